"""Ask a door for what the commands about refunds need. The key of the paying wallet stays on this machine."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from cli.remote import door
from cli.remote.door import Refused
from core.evm.signatures import Wallet
from core.payments import refund_authorizations, refund_payment
from core.payments.refund_payment import Limits, Payable, Payment, Plan
from core.payments.refund_transfers import Reserved
from core.payments.refund_wallets import WalletState
from core.secrets.private import Private

# How long an authorization may be valid that this machine signs.
_LONGEST = timedelta(hours=1)
_SEND_SECONDS = 120


@dataclass(frozen=True, slots=True)
class _Token:
    """The asset that a door asks to sign for."""

    chain_id: int
    asset: str
    asset_name: str
    asset_version: str


def plan(wallet: str, limits: Limits) -> Plan:
    """Plan what a wallet pays now."""
    told = door.ask("GET", "/me/refunds", params={"wallet": wallet}).json()
    handle = door.own_handle()
    rows = [
        Payable(
            execution_id=UUID(row["executionId"]),
            account_id=UUID(int=0),
            handle=handle,
            network=row["network"],
            asset=row["asset"],
            pay_to=row["payTo"],
            amount_atomic=_atomic(row["amountUsdc"]),
            due_at=datetime.fromisoformat(row["dueAt"]),
            paid_at=datetime.fromisoformat(row["dueAt"]),
            received_by=row["receivedBy"],
            payout=row["payout"],
            stored=None,
            bound_to=row["boundTo"],
            valid_before=None,
        )
        for row in told["refunds"]
    ]
    tokens = {row["network"]: _token(row["token"]) for row in told["refunds"] if row["token"]}
    has = {name: None if text is None else _atomic(text) for name, text in told["balances"].items()}
    return Plan(wallet, refund_payment.choose(rows, wallet, tokens, has, limits), has)


def pay(refund: Payable, wallet: Wallet) -> Payment:
    """Pay one refund: have it recorded, sign it here, and have it sent.

    Raises:
        Refused: the door asks to sign anything else than was planned.
    """
    path = f"/me/refunds/{refund.execution_id}/transfer"
    asked = door.ask("POST", path, body={"wallet": wallet.address}).json()
    if asked["authorization"] is None:
        return Payment(refund.execution_id, "not_sent", asked["reason"], None)
    said, token = asked["authorization"], _token(asked["token"])
    reserved = Reserved(
        id=UUID(int=0),
        network=refund.network,
        asset=refund.asset,
        payer=wallet.address,
        nonce=refund_authorizations.nonce_of(refund.execution_id),
        pay_to=refund.pay_to,
        amount_atomic=refund.amount_atomic,
        valid_before=datetime.fromtimestamp(int(said["validBefore"]), UTC),
    )
    is_as_planned = (
        refund_authorizations.authorization_of(reserved) == said
        and f"eip155:{token.chain_id}" == refund.network
        and token.asset.lower() == refund.asset
        and reserved.valid_before < datetime.now(UTC) + _LONGEST
    )
    if not is_as_planned:
        raise Refused("it asks to sign something else than this refund, so nothing was signed")
    signature = wallet.sign(refund_authorizations.digest_of(token, reserved))
    body = {"wallet": wallet.address, "signature": f"0x{signature.hex()}"}
    told = door.ask("PUT", path, body=body, seconds=_SEND_SECONDS).json()
    return Payment(refund.execution_id, told["state"], told["reason"], told["transaction"])


def wallet_state() -> WalletState:
    """Read the wallet that pays by itself.

    Raises:
        NotFound: there is none.
    """
    return _state(door.ask("GET", "/me/refund-wallet").json())


def put_wallet(key: Private[str], daily_cap_usdc: str) -> WalletState:
    """Have a wallet's key stored sealed."""
    body = {"key": key.reveal(), "dailyCapUsdc": daily_cap_usdc}
    return _state(door.ask("PUT", "/me/refund-wallet", body=body).json())


def change_wallet(daily_cap_usdc: str | None, enabled: bool | None) -> WalletState:
    """Change its cap, or switch it on or off.

    Raises:
        NotFound: there is none.
    """
    body = {"dailyCapUsdc": daily_cap_usdc, "enabled": enabled}
    changes = {name: value for name, value in body.items() if value is not None}
    return _state(door.ask("PATCH", "/me/refund-wallet", body=changes).json())


def remove_wallet() -> None:
    """Have its key deleted."""
    door.ask("DELETE", "/me/refund-wallet")


def _token(said: dict[str, Any]) -> _Token:
    return _Token(int(said["chainId"]), str(said["address"]), str(said["name"]), str(said["version"]))


def _state(said: dict[str, Any]) -> WalletState:
    return WalletState(
        address=said["address"],
        daily_cap_atomic=_atomic(said["dailyCapUsdc"]),
        enabled=said["enabled"],
        trouble=said["trouble"],
        created_at=datetime.fromisoformat(said["setAt"]),
        paid_today_atomic=_atomic(said["paidTodayUsdc"]),
    )


def _atomic(usdc: str) -> int:
    return int(Decimal(usdc).scaleb(6))
