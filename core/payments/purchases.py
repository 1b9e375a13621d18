"""Let a wallet prove itself and list what it bought (x402's extension sign-in-with-x, CAIP-122). It gets no account.

The SDK gives the form of header and schema. Its hooks are of no use here: they grant access by the path that the client
names, and keep no nonces. The message that was signed is written anew from the header and read as a whole, so a header
whose values run into each other fits no signature of what we check.
"""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from core import db
from core.accounts import sign_in
from core.accounts.sign_in import SignedIn
from core.db.queries.purchase import sql
from core.executions import views
from core.executions.views import Execution
from core.failures import InvalidInput
from core.net.json_client import Client
from core.payments.x402_sdk import SIGN_IN_WITH_X, PaymentRequired, build_siwx_schema, parse_siwx_header
from core.secrets.digests import sha256
from core.secrets.vault import vault
from core.settings import settings

HEADER_LIMIT = 16_384
"""Most characters of the header."""

_STATEMENT = "Sign in to list what this wallet bought."
_NONCES_KEPT_SECONDS = 86_400
_CURSOR = "purchases"


@dataclass(frozen=True, slots=True)
class Reader:
    """A wallet that has proved itself, and where its list continues.

    Attributes:
        payer: lower-case hex with 0x.
        network: of a contract wallet, the chain that vouched for it (CAIP-2); None for one with a key.
        after: time (UTC) and execution of the last purchase that it has seen.
    """

    payer: str
    network: str | None
    after: tuple[datetime, UUID] | None = None


def challenge(error: str) -> PaymentRequired:
    """Build a 402 of x402 v2 that asks for a signature and for no payment.

    Args:
        error: why.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    info = {
        "domain": sign_in.domain(),
        "uri": f"{settings().public_url}/purchases",
        "statement": _STATEMENT,
        "version": "1",
        "nonce": sign_in.make_nonce("purchases"),
        "issuedAt": _text(now),
        "expirationTime": _text(now + timedelta(seconds=sign_in.NONCE_SECONDS)),
    }
    chains = [{"chainId": network.id, "type": "eip191"} for network in settings().networks]
    extension = {"info": info, "supportedChains": chains, "schema": build_siwx_schema()}
    return PaymentRequired(error=error, accepts=[], extensions={SIGN_IN_WITH_X: extension})


async def prove(pool: db.Pool, http: Client, header: str) -> Reader:
    """Check the signature of a header SIGN-IN-WITH-X, and spend its nonce.

    Takes the pool and the client: a contract wallet is asked on its chain (EIP-1271) before the nonce is spent, so that
    nobody spends the nonce of somebody else.

    Raises:
        InvalidInput: names `SIGN-IN-WITH-X`.
        Unavailable: `chain_unreachable`, a contract's chain cannot be asked.
    """
    message, signature = _message(header)
    try:
        wallet = await sign_in.verify(http, message, signature, use="purchases")
    except InvalidInput as wrong:
        problem = next(iter(wrong.fields.values()))
    else:
        await _spend(pool, wallet)
        return Reader(wallet.address, wallet.network if wallet.is_contract else None)
    raise InvalidInput({"SIGN-IN-WITH-X": problem})


async def page(conn: db.Connection, reader: Reader, most: int) -> tuple[list[Execution], str | None]:
    """List a wallet's purchases, newest first.

    Returns:
        The executions, and the cursor of the next page: it proves the wallet for as long as a nonce lives.
    """
    time_, id_ = reader.after or (None, None)
    rows = sql.page(conn, payer=reader.payer, network=reader.network, after_time=time_, after_id=id_, most=most + 1)
    found = [row async for row in rows]
    shown = found[:most]
    executions = await views.read_all(conn, [row.id for row in shown])
    if len(found) <= most:
        return executions, None
    last = [reader.payer, reader.network, shown[-1].created_at.isoformat(), str(shown[-1].id)]
    expires = int(time.time()) + sign_in.NONCE_SECONDS
    return executions, vault().token(_CURSOR, json.dumps([*last, expires]).encode())


def read_cursor(cursor: str) -> Reader:
    """Read a cursor of `page`.

    Raises:
        InvalidInput: names `cursor`; it is none of ours, or too old.
    """
    read = vault().read_token(_CURSOR, cursor)
    parts = None if read is None else json.loads(read)
    if parts is None or parts[4] < time.time():
        raise InvalidInput({"cursor": "is none of ours, or too old; begin again without one"})
    return Reader(parts[0], parts[1], (datetime.fromisoformat(parts[2]), UUID(parts[3])))


async def _spend(pool: db.Pool, wallet: SignedIn) -> None:
    async with pool.connection() as conn:
        await sql.forget_nonces(conn, seconds=_NONCES_KEPT_SECONDS)
        spent = await sql.spend_nonce(conn, nonce_sha256=sha256(wallet.nonce))
    if spent is None:
        raise InvalidInput({"SIGN-IN-WITH-X": "its nonce was used before; get a new one"})


def _message(header: str) -> tuple[str, str]:
    """Write the message (EIP-4361) that a header says was signed, and return it with the signature."""
    try:
        proof = parse_siwx_header(header) if len(header) <= HEADER_LIMIT else None
    except (ValueError, RecursionError):
        # The SDK's error quotes the header.
        proof = None
    if proof is None:
        raise InvalidInput({"SIGN-IN-WITH-X": "must be base64 of JSON, as x402's extension sign-in-with-x has it"})
    namespace, _, chain = proof.chain_id.partition(":")
    if namespace != "eip155" or proof.type != "eip191":
        raise InvalidInput({"SIGN-IN-WITH-X": "must be of a chain of Ethereum's kind: eip155, type eip191"})
    optional = {
        "Expiration Time": proof.expiration_time,
        "Not Before": proof.not_before,
        "Request ID": proof.request_id,
    }
    lines = [
        f"{proof.domain} wants you to sign in with your Ethereum account:",
        proof.address,
        "",
        *([] if proof.statement is None else [proof.statement]),
        "",
        f"URI: {proof.uri}",
        f"Version: {proof.version}",
        f"Chain ID: {chain}",
        f"Nonce: {proof.nonce}",
        f"Issued At: {proof.issued_at}",
        *(f"{name}: {value}" for name, value in optional.items() if value is not None),
        *([] if proof.resources is None else ["Resources:", *(f"- {resource}" for resource in proof.resources)]),
    ]
    return "\n".join(lines), proof.signature


def _text(time_: datetime) -> str:
    return time_.strftime("%Y-%m-%dT%H:%M:%SZ")
