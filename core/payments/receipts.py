"""Sign offers and receipts, so that a buyer can prove to a stranger what was offered, paid for and delivered.

There are three: the signed offer and the signed receipt of x402 (specs/extensions/extension-offer-and-receipt.md,
JWS), and our own receipt, which also names request, answer, version and model. All are Ed25519 signatures by keys that
are derived from the master keys and published as a key set and as did:web (docs/decisions/0028).
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from urllib.parse import quote, urlsplit
from uuid import UUID

from cachetools import LRUCache

from core import db
from core.db.queries.receipt_key import sql
from core.evm.addresses import checksummed
from core.executions.views import Execution
from core.payments.x402_sdk import PaymentRequired
from core.secrets import signing
from core.secrets.vault import vault
from core.settings import settings

OFFER_RECEIPT = "offer-receipt"
"""The name of x402's extension."""

RECEIPT_KIND, RECORD_KIND, X402_KIND = "receipt+jwt", "record+jwt", "JWT"
"""`typ` of what is signed."""

_SIGNED: LRUCache[tuple[str, UUID, str | None], str] = LRUCache(4096)
_OFFERS_SCHEMA = {
    "type": "object",
    "properties": {"offers": {"type": "array", "items": {"type": "object", "required": ["format", "signature"]}}},
    "required": ["offers"],
}
_RECEIPT_SCHEMA = {"type": "object", "properties": {"receipt": {"type": "object"}}, "required": ["receipt"]}


def did() -> str:
    """Return the DID of this door (did:web): its host, with the colon of a port encoded, and its path."""
    url = urlsplit(settings().public_url)
    return ":".join(["did:web", quote(url.netloc.lower(), safe=""), *filter(None, url.path.split("/"))])


def sign(document: Mapping[str, object], kind: str) -> str:
    """Sign a document with the newest key; the same document gets the same signature.

    Args:
        document: JSON.
        kind: `typ` of the signature, one of the kinds above.
    """
    payload = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
    key = _signers()[0]
    return key.sign(payload, key_id=f"{did()}#{key.thumbprint}", kind=kind)


@cache
def _signers() -> tuple[signing.Signer, ...]:
    """The key pairs of all configured master keys, newest first."""
    return tuple(signing.signer(vault().seed(key_id, "receipt")) for key_id in vault().key_ids)


async def publish_keys(conn: db.Connection) -> None:
    """Publish the public keys of this process, before it signs anything."""
    signers = _signers()
    await sql.publish(
        conn, key_ids=[one.thumbprint for one in signers], public_keys=[one.public_key for one in signers]
    )


async def published_keys(conn: db.Connection) -> dict[str, bytes]:
    """Read all public keys that ever signed here, newest first, by their thumbprints."""
    return {row.key_id: bytes(row.public_key) async for row in sql.published(conn)}


def signed_offers(required: PaymentRequired, valid_until: int) -> dict[str, object]:
    """Sign each entry of an offer: x402's extension, to be put under OFFER_RECEIPT.

    Args:
        required: the offer.
        valid_until: unix seconds (UTC).
    """
    url = required.resource.url if required.resource else ""
    signed = [
        {
            "format": "jws",
            "acceptIndex": place,
            "signature": sign(
                {
                    "version": 1,
                    "resourceUrl": url,
                    "scheme": entry.scheme,
                    "network": entry.network,
                    "asset": entry.asset,
                    "payTo": entry.pay_to,
                    "amount": entry.amount,
                    "validUntil": valid_until,
                },
                X402_KIND,
            ),
        }
        for place, entry in enumerate(required.accepts)
    ]
    return {"info": {"offers": signed}, "schema": _OFFERS_SCHEMA}


def x402_receipt(row: Execution) -> dict[str, object] | None:
    """Sign x402's receipt of a delivered answer: the extensions of a PAYMENT-RESPONSE; None without an answer.

    It names the transaction, because who reads it has the payment anyway.
    """
    if row.delivery is None or row.payment_state != "paid":
        return None
    signature = _once(X402_KIND, row, lambda: _x402_receipt(row, row.delivery or {}))
    signed = {"format": "jws", "signature": signature}
    return {OFFER_RECEIPT: {"info": {"receipt": signed}, "schema": _RECEIPT_SCHEMA}}


def _x402_receipt(row: Execution, delivery: Mapping[str, object]) -> dict[str, object]:
    return {
        "version": 1,
        "network": row.network,
        "resourceUrl": _url_of(row),
        "payer": checksummed(db.required(row.payer)),
        "issuedAt": _unix(_answered_at(delivery)),
        "transaction": row.transaction,
    }


def receipt_of(row: Execution) -> str | None:
    """Sign the receipt of a delivered answer; None before there is one, for a test, and for answers without hashes.

    It is made of what is kept for ever, so it can be had again when the content is deleted.
    """
    if row.delivery is None or row.payment_state != "paid":
        return None
    return _once(RECEIPT_KIND, row, lambda: _claims(row, row.delivery or {}))


def _claims(row: Execution, told: Mapping[str, object]) -> dict[str, object]:
    return {
        "iss": did(),
        "iat": _unix(_answered_at(told)),
        "jti": str(row.id),
        "resource": _url_of(row),
        "version": row.number,
        "versionId": str(row.version_id),
        "offer": {
            "scheme": "exact",
            "network": row.network,
            "asset": checksummed(db.required(row.asset)),
            "payTo": checksummed(db.required(row.pay_to)),
            "amount": str(row.amount_atomic),
        },
        "payer": checksummed(db.required(row.payer)),
        "transaction": row.transaction,
        "requestSha256": told["request_sha256"],
        "answerSha256": told["answer_sha256"],
        "modelAsked": row.model_id,
        "modelServed": told["model_served"],
        "provider": told["provider"],
        "finishReason": told["finish_reason"],
        "inputTokens": told["input_tokens"],
        "outputTokens": told["output_tokens"],
        "askedAt": _text(row.claimed_at),
        "paidAt": _text(row.decided_at),
        "answeredAt": _text(_answered_at(told)),
    }


def _once(kind: str, row: Execution, document: Callable[[], dict[str, object]]) -> str:
    """Sign what is said of an execution, once while it is looked at often: what its rows say never changes."""
    key = kind, row.id, row.transaction
    signed = _SIGNED.get(key)
    if signed is None:
        signed = _SIGNED[key] = sign(document(), kind)
    return signed


def _answered_at(delivery: Mapping[str, object]) -> datetime:
    return datetime.fromisoformat(str(delivery["answered_at"]))


def _url_of(row: Execution) -> str:
    return f"{settings().public_url}/@{row.handle}/{row.slug}"


def _unix(time: datetime) -> int:
    return int(time.timestamp())


def _text(time: datetime | None) -> str:
    return db.required(time).astimezone(UTC).isoformat().replace("+00:00", "Z")
