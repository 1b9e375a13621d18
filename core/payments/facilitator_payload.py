"""Build what a facilitator gets of a payment: what the buyer signed, and our own words for the rest."""

from collections.abc import Callable

from core.evm.addresses import checksummed
from core.payments.bazaar import Told
from core.payments.x402_sdk import BAZAAR, PaymentPayload, PaymentRequirements, ResourceInfo


def _plain_number(digits: str) -> str:
    return digits.lstrip("0") or "0"


_SIGNATURE_DIGITS = 2 + 2 * 65
# Members of an authorization, and how we spell them: a signature is over their values, in whatever spelling.
_SPELLED: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("from", "to"), checksummed),
    "nonce": str.lower,
    **dict.fromkeys(("value", "validAfter", "validBefore"), _plain_number),
}


def outgoing(payload: PaymentPayload, requirements: PaymentRequirements, told: Told | None = None) -> PaymentPayload:
    """Build the payload for the facilitator: the signed authorization of the buyer, and our own words for the rest.

    Facilitators validate members that nobody signed, such as `resource.description` and `extensions`. A buyer could
    write anything there, and would choose what the facilitator answers. The spelling is ours for the same reason:
    viem throws at an address whose capitals are no checksum (EIP-55), web3.py also at one without capitals, and a
    facilitator may then answer 500.

    Args:
        payload: as the buyer sent it, matched with our offer.
        requirements: our own.
        told: what it may list of the product, in our words; what the buyer echoed of that is not sent.
    """
    url_only = ResourceInfo(url=payload.resource.url) if payload.resource else None
    authorization = payload.payload["authorization"]
    return PaymentPayload(
        x402_version=2,
        payload={
            "signature": _spelled_signature(payload.payload["signature"]),
            "authorization": {
                name: spell(authorization[name]) for name, spell in _SPELLED.items() if name in authorization
            },
        },
        accepted=requirements,
        resource=told.resource if told else url_only,
        extensions={BAZAAR: told.block} if told and told.block else None,
    )


def _spelled_signature(signature: str) -> str:
    """Spell a signature of 65 bytes with 27 or 28 at its end, as ecrecover takes it; others stay as they are."""
    spelled = signature.lower()
    end = {"00": "1b", "01": "1c"}.get(spelled[-2:]) if len(spelled) == _SIGNATURE_DIGITS else None
    return spelled if end is None else spelled[:-2] + end
