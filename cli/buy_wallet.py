"""Use the buyer's wallet: choose what it may pay for, and make its one signature."""

import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from x402 import x402Client
from x402.client_base import SpendControlAsset
from x402.http.utils import decode_payment_required_header, encode_payment_signature_header
from x402.mechanisms.evm.default_assets import DEFAULT_ASSETS
from x402.mechanisms.evm.exact import register_exact_evm_client
from x402.mechanisms.evm.signers import EthAccountSigner
from x402.schemas import PaymentPayload, PaymentRequired, PaymentRequirements

from cli.wallet_key import read_key
from core.failures import Failure, Misconfigured
from core.payments import x402_sdk  # noqa: F401 - keeps Python's recursion limit: sellers are strangers too
from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK

KEY_VARIABLE = "INSTANT_WALLET_KEY"

LONGEST_SECONDS = 3600
"""The longest validity of an authorization that this command signs."""

_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_BASE_NETWORKS = ("eip155:8453", "eip155:84532")
_ATOMIC = Decimal(10) ** 6


class NotBought(Failure):
    """Nothing was signed; the sentence says why."""


def open_wallet(file: Path | None) -> LocalAccount:
    """Open the wallet whose private key is in `file`, or in the environment.

    Raises:
        Misconfigured: there is no key, it is malformed, or others can read the file.
    """
    source = str(file) if file else KEY_VARIABLE
    text = read_key(file, KEY_VARIABLE, "--wallet-file").reveal()
    wallet: LocalAccount | None = None
    if _KEY.fullmatch(text):
        with suppress(ValueError):
            wallet = Account.from_key(text)
    if wallet is None:
        raise Misconfigured(f"{source} does not hold a private key: 64 hex digits")
    return wallet


def new_wallet() -> LocalAccount:
    """Make a throw-away wallet for practice money."""
    wallet: LocalAccount = Account.create()
    return wallet


def sign_text(wallet: LocalAccount, text: str) -> str:
    """Sign a text as `personal_sign` does (EIP-191); return the signature in hex with 0x."""
    return "0x" + wallet.sign_message(encode_defunct(text=text)).signature.hex().removeprefix("0x")


def assets(more: tuple[str, ...]) -> dict[str, set[str]]:
    """List the tokens, all of six decimals, that may be paid with: lower-case addresses by CAIP-2 network.

    They are the practice asset, USDC on Base and Base Sepolia (the SDK's default assets), and the buyer's own.

    Args:
        more: NETWORK=ADDRESS each.

    Raises:
        Misconfigured: one has another form.
    """
    known = {SANDBOX_NETWORK: {SANDBOX_ASSET}}
    for network in _BASE_NETWORKS:
        known[network] = {asset["asset"].lower() for asset in DEFAULT_ASSETS[network] if asset["symbol"] == "USDC"}
    for pair in more:
        network, _, address = pair.partition("=")
        if not network.startswith("eip155:") or not _ADDRESS.fullmatch(address):
            raise Misconfigured(f"write --asset eip155:NUMBER=0xADDRESS, not {pair}")
        known.setdefault(network, set()).add(address.lower())
    return known


def read_offer(header: str | None) -> PaymentRequired:
    """Read the offer in a PAYMENT-REQUIRED header.

    Raises:
        NotBought: it is not an offer of x402 v2.
    """
    try:
        required = decode_payment_required_header(header or "")
    except ValueError:
        required = None
    if not isinstance(required, PaymentRequired):
        raise NotBought("there is no x402 v2 offer at this address")
    return required


def choose(required: PaymentRequired, known: Mapping[str, set[str]], most_usdc: Decimal) -> PaymentRequirements:
    """Choose the first entry of an offer that can be paid.

    Args:
        required: the offer.
        known: the tokens from `assets`.
        most_usdc: the highest price.

    Raises:
        NotBought: no entry can be paid; the sentence says why.
    """
    payable = [entry for entry in required.accepts if _is_payable(entry, known)]
    if not payable:
        asked = ", ".join(f"{entry.scheme} {entry.network}={entry.asset}" for entry in required.accepts)
        raise NotBought(f"the seller asks for tokens that this tool does not know ({asked}); see --asset")
    for entry in payable:
        if price(entry) <= most_usdc:
            return entry
    raise NotBought(f"it costs {price(payable[0]):f} USDC, more than --max-price {most_usdc:f}")


def price(entry: PaymentRequirements) -> Decimal:
    """The price of an entry in USDC."""
    return int(entry.amount) / _ATOMIC


async def sign(wallet: LocalAccount, required: PaymentRequired, chosen: PaymentRequirements) -> tuple[str, int]:
    """Sign a payment for one entry of an offer.

    Returns:
        The PAYMENT-SIGNATURE header, and the unix seconds (UTC) until which it can be settled.
    """
    client = register_exact_evm_client(x402Client(), EthAccountSigner(wallet), networks=chosen.network)
    # The SDK's own spend controls are narrowed to this amount of this token.
    limit = SpendControlAsset(network=chosen.network, asset=chosen.asset, max_amount_per_payment=chosen.amount)
    client.set_spend_controls({"allowed_assets": [limit]})
    payload = await client.create_payment_payload(required.model_copy(update={"accepts": [chosen]}))
    if not isinstance(payload, PaymentPayload):
        raise NotBought("there is no x402 v2 offer at this address")
    return encode_payment_signature_header(payload), int(payload.payload["authorization"]["validBefore"])


def _is_payable(entry: PaymentRequirements, known: Mapping[str, set[str]]) -> bool:
    extra = entry.extra or {}
    return (
        entry.scheme == "exact"
        and entry.asset.lower() in known.get(entry.network, set())
        and entry.amount.isascii()
        and entry.amount.isdecimal()
        and extra.get("assetTransferMethod", "eip3009") == "eip3009"
        and 0 < entry.max_timeout_seconds <= LONGEST_SECONDS
    )
