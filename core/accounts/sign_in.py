"""Make nonces for signing in with a wallet, and check what the wallet signed (EIP-4361, version 1).

A nonce is a random number and its end under a MAC. Nothing is stored until a wallet of an account signs it, so nobody
can fill a table with nonces, or use up those of others; the session that it opens keeps it from being used twice.
"""

import os
import re
import struct
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from core.evm import wallets
from core.failures import InvalidInput
from core.net.json_client import Client
from core.secrets.vault import vault
from core.settings import Network, settings

Use = Literal["sign-in", "purchases"]
"""What a signature is for: a creator's session, or the list of what a wallet bought."""

NONCE_SECONDS = 600
"""How long a nonce can be signed."""

_CLOCKS = timedelta(seconds=60)  # by which a wallet's clock may be ahead
_NONCE = struct.Struct(">I12s")
_MOST_SIGNATURE = 8_192

# The ABNF of EIP-4361. A date is RFC 3339's, and a URI is RFC 3986's by its characters; ours is compared as a whole.
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
_URI = r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*"
_MESSAGE = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?"
    r"(?P<domain>[A-Za-z0-9._~:\[\]@!$&'()*+,;=%-]+) wants you to sign in with your Ethereum account:\n"
    r"(?P<address>0x[0-9a-fA-F]{40})\n\n"
    r"(?:(?P<statement>[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;= -]+)\n)?\n"
    rf"URI: (?P<uri>{_URI})\n"
    r"Version: 1\n"
    r"Chain ID: (?P<chain>[0-9]{1,32})\n"
    r"Nonce: (?P<nonce>[A-Za-z0-9]{8,200})\n"
    rf"Issued At: (?P<issued>{_TIME})"
    rf"(?:\nExpiration Time: (?P<expires>{_TIME}))?"
    rf"(?:\nNot Before: (?P<begins>{_TIME}))?"
    r"(?:\nRequest ID: (?P<request>[A-Za-z0-9._~:@!$&'()*+,;=%-]*))?"
    rf"(?:\nResources:(?P<resources>(?:\n- {_URI})*))?"
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A wallet that has signed one of our nonces.

    Attributes:
        address: lower-case hex with 0x.
        network: the chain that the message names, as CAIP-2.
        is_contract: whether a contract on that network vouches for the signature, rather than the address's own key.
        nonce: what was signed.
    """

    address: str
    network: str
    is_contract: bool
    nonce: str


def domain() -> str:
    """Return host and port of the door, which a wallet compares with the page that asks it to sign."""
    return urlsplit(settings().public_url).netloc.lower()


def make_nonce(use: Use = "sign-in") -> str:
    """Make a nonce that can be signed within NONCE_SECONDS, and is good for one use: it opens nothing else."""
    token = vault().token(use, _NONCE.pack(int(time.time()) + NONCE_SECONDS, os.urandom(12)))
    return urlsafe_b64decode(token + "=" * (-len(token) % 4)).hex()


def message_for(address: str, network: Network, nonce: str) -> str:
    """Write the message for a wallet to sign.

    Args:
        address: the wallet's. The message has the capitals of EIP-55, as EIP-4361 demands.
        network: one of ours.
        nonce: from `make_nonce`.
    """
    from eth_utils.address import to_checksum_address  # slow to import, and only sign-ins need it

    now = datetime.now(UTC).replace(microsecond=0)
    return (
        f"{domain()} wants you to sign in with your Ethereum account:\n{to_checksum_address(address)}\n\n"
        f"Sign in to sell prompts.\n\nURI: {settings().public_url}\nVersion: 1\nChain ID: {network.chain_id}\n"
        f"Nonce: {nonce}\nIssued At: {_text(now)}\nExpiration Time: {_text(now + timedelta(seconds=NONCE_SECONDS))}"
    )


async def verify(http: Client, message: str, signature: str, use: Use = "sign-in") -> SignedIn:
    """Check a message and its signature.

    Takes the client: a contract wallet is asked on its chain (EIP-1271).

    Args:
        http: the client for nodes.
        message: the text that was signed, exactly.
        signature: hex with 0x; 65 bytes of an ordinary wallet, or up to 8 KiB for a contract.
        use: what its nonce was made for.

    Raises:
        InvalidInput: names `message` or `signature`.
        Unavailable: `chain_unreachable`, a contract's chain cannot be asked.
    """
    found = _MESSAGE.fullmatch(message)
    if found is None:
        raise InvalidInput({"message": "must be a message of EIP-4361, version 1, exactly as it was signed"})
    network = next((one for one in settings().networks if str(one.chain_id) == found["chain"]), None)
    if network is None:
        served = ", ".join(str(one.chain_id) for one in settings().networks)
        raise InvalidInput({"message": f"its Chain ID must be one of: {served}"})
    if problem := _problem(found, use):
        raise InvalidInput({"message": problem})
    raw = _signature(signature)
    proof = None if raw is None else await wallets.proof(http, network, found["address"], message.encode(), raw)
    if proof is None:
        raise InvalidInput({"signature": "is not this wallet's signature of this message"})
    return SignedIn(found["address"].lower(), network.id, proof == "contract", found["nonce"])


def _problem(found: re.Match[str], use: Use) -> str | None:
    """Say what is wrong with a message that is well-formed; None if nothing is."""
    from eth_utils.address import to_checksum_address  # slow to import, and only sign-ins need it

    ours, uri = urlsplit(settings().public_url), urlsplit(found["uri"])
    now = datetime.now(UTC)
    issued, expires, begins = (_time(found[name]) for name in ("issued", "expires", "begins"))
    if found["domain"].lower() != domain() or (found["scheme"] or ours.scheme).lower() != ours.scheme:
        return f"its domain must be {domain()}; you may be on a page that is not ours"
    if (uri.scheme.lower(), uri.netloc.lower()) != (ours.scheme, domain()):
        return f"its URI must begin with {ours.scheme}://{domain()}"
    if found["address"] != to_checksum_address(found["address"]):
        return "its address must have the capitals of EIP-55"
    if not _is_fresh(found["nonce"], use, now):
        return "its nonce is none of ours, or too old; get a new one"
    if issued is None or (found["expires"] and expires is None) or (found["begins"] and begins is None):
        return "it has a time that does not exist"
    if issued > now + _CLOCKS or (begins and begins > now + _CLOCKS) or (expires and expires <= now):
        return "it is not valid now; compare your clock with the Date header"
    return None


def _is_fresh(nonce: str, use: Use, now: datetime) -> bool:
    try:
        token = urlsafe_b64encode(bytes.fromhex(nonce)).decode().rstrip("=")
    except ValueError:
        return False
    payload = vault().read_token(use, token)
    return nonce == nonce.lower() and payload is not None and _NONCE.unpack(payload)[0] > now.timestamp()


def _signature(text: str) -> bytes | None:
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return None
    return raw if len(raw) <= _MOST_SIGNATURE else None


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text.upper()) if text else None
    except ValueError:
        return None


def _text(time_: datetime) -> str:
    return time_.strftime("%Y-%m-%dT%H:%M:%SZ")
