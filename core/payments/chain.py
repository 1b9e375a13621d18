"""Read the state of an authorization from the chain, over a node's JSON-RPC.

Sources: EIP-3009 for `authorizationState`, `AuthorizationUsed` and `AuthorizationCanceled`; Circle's FiatTokenV2 for
the order of events: in a transfer, `AuthorizationUsed` is directly followed by its `Transfer`.
"""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from eth_abi.abi import encode
from eth_utils.abi import event_signature_to_log_topic, function_signature_to_4byte_selector
from pydantic import Field, TypeAdapter

from core.evm import node
from core.failures import Unavailable
from core.net.json_client import Client
from core.settings import Network

CLOCK_SKEW = timedelta(minutes=10)
"""How far before `since` to search: the clock of a block may differ from ours."""

_AUTHORIZATION_STATE = function_signature_to_4byte_selector("authorizationState(address,bytes32)")
_USED = "0x" + event_signature_to_log_topic("AuthorizationUsed(address,bytes32)").hex()
_CANCELED = "0x" + event_signature_to_log_topic("AuthorizationCanceled(address,bytes32)").hex()
_TRANSFER = "0x" + event_signature_to_log_topic("Transfer(address,address,uint256)").hex()


@dataclass(frozen=True, slots=True)
class Landed:
    """The money moved as signed, in `transaction` (0x and 64 lower-case hex digits)."""

    transaction: str


@dataclass(frozen=True, slots=True)
class NotUsed:
    """The authorization was unused at `chain_time`, the clock (UTC) of the latest block; it may still land."""

    chain_time: datetime


@dataclass(frozen=True, slots=True)
class UsedElsewhere:
    """The nonce was spent by a cancellation or another transfer: this payment can never land."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer on the chain. Addresses and hash are lower-case hex; the amount is in atomic units.

    `nonce` belongs to the authorization that moved the money; None if it moved without one.
    """

    transaction: str
    payer: str
    pay_to: str
    amount_atomic: int
    nonce: bytes | None


class _Spent(node.Log):
    topics: Annotated[list[node.Word], Field(min_length=3, max_length=3)]


class _Moved(_Spent):
    data: node.Word


async def landed(
    http: Client,
    network: Network,
    *,
    payer: str,
    nonce: bytes,
    pay_to: str,
    amount_atomic: int,
    since: datetime,
    latest: node.Block | None = None,
) -> Landed | NotUsed | UsedElsewhere:
    """Find the state of an authorization. The token's state says whether it was used, its logs by which transfer.

    Args:
        payer: the wallet that signed it.
        nonce: its 32 bytes.
        pay_to: the payee it was signed for.
        amount_atomic: the amount, in atomic units.
        since: a time at which the authorization was still unused; much older blocks are not searched.
        latest: the block whose state counts; None: the newest.

    Raises:
        Unavailable: `chain_unreachable` if the node does not answer or answers nonsense; `chain_wrong` if it is on
            another chain; `chain_incomplete` if it says "used" but shows no log of it, as nodes do whose log index
            lags. The state is then undecided.
    """
    # Asked every time: a URL may point to another node now, and "unused" on another chain would void a paid call.
    if await node.chain_id(http, network) != network.chain_id:
        raise Unavailable("chain_wrong")
    latest = latest or await node.block(http, network, "latest")
    call_data = _AUTHORIZATION_STATE + encode(["address", "bytes32"], [payer, nonce])
    # Asked for the block whose clock we report: a state of another block could be older than that clock.
    is_used = await node.call(http, network, call_data, latest.number)
    if is_used is None or len(is_used) != 32:
        raise Unavailable("chain_unreachable")
    if not any(is_used):
        return NotUsed(latest.time)
    spent = [node.topic_of(payer), "0x" + nonce.hex()]
    log = await _newest_log(http, network, [[_USED, _CANCELED], spent[0]], spent[1], latest, since - CLOCK_SKEW)
    if log is None or log.event not in ([network.asset.lower(), kind, *spent] for kind in (_USED, _CANCELED)):
        raise Unavailable("chain_incomplete")
    is_paid = log.event[1] == _USED and await _pays(http, network, log, payer, pay_to, amount_atomic)
    return Landed(log.transaction_hash.lower()) if is_paid else UsedElsewhere()


async def _pays(http: Client, network: Network, used: node.Log, payer: str, pay_to: str, amount_atomic: int) -> bool:
    """Whether the transaction that used the authorization made our transfer."""
    receipt = await node.request(
        http, network, TypeAdapter(node.Receipt), "eth_getTransactionReceipt", used.transaction_hash
    )
    return _shows(receipt, network, used, payer, pay_to, amount_atomic)


def _shows(
    receipt: node.Receipt, network: Network, used: node.Log, payer: str, pay_to: str, amount_atomic: int
) -> bool:
    """Whether a transaction made our transfer by this use of the authorization.

    Only the token's next event counts. One transaction can hold several authorizations of one payer, and the
    Transfer of another one must not pay for this one too.
    """
    asset = network.asset.lower()
    after = [log for log in receipt.logs if log.address.lower() == asset and log.index > used.index]
    if int(receipt.status, 16) != 1 or not after:
        return False
    next_log = min(after, key=lambda log: log.index)
    expected = [asset, _TRANSFER, node.topic_of(payer), node.topic_of(pay_to)]
    return next_log.event == expected and next_log.data.lower() == f"0x{amount_atomic:064x}"


async def holds(
    http: Client,
    network: Network,
    transaction: str,
    *,
    payer: str,
    nonce: bytes,
    pay_to: str,
    amount_atomic: int,
) -> int | None:
    """Return the block in which this transaction made the transfer of an authorization; None if it did not.

    Raises:
        Unavailable: `chain_unreachable`.
    """
    adapter: TypeAdapter[node.MinedReceipt | None] = TypeAdapter(node.MinedReceipt | None)
    receipt = await node.request(http, network, adapter, "eth_getTransactionReceipt", transaction)
    if receipt is None:
        return None
    use = [network.asset.lower(), _USED, node.topic_of(payer), "0x" + nonce.hex()]
    is_held = any(
        _shows(receipt, network, log, payer, pay_to, amount_atomic) for log in receipt.logs if log.event == use
    )
    return int(receipt.block_number, 16) if is_held else None


async def received(
    http: Client, network: Network, pay_to: Collection[str], since: datetime
) -> AsyncIterator[list[Transfer]]:
    """Yield every transfer of the asset to these addresses, newest blocks first, back to a little before `since`.

    Raises:
        Unavailable: as in `landed`, but never `chain_incomplete`. The pages yielded until then are correct.
    """
    if await node.chain_id(http, network) != network.chain_id:
        raise Unavailable("chain_wrong")
    recipients = [node.topic_of(address) for address in pay_to]

    async def read(first: int, last: int) -> list[Transfer]:
        page = partial(node.logs, http, network, first=first, last=last)
        moved = await page(TypeAdapter(list[_Moved]), [_TRANSFER, None], recipients)
        uses = await page(TypeAdapter(list[_Spent]), [_USED], sorted({log.event[2] for log in moved}))
        used = {(log.transaction_hash.lower(), log.index): log for log in uses}
        return [_transfer(log, used.get((log.transaction_hash.lower(), log.index - 1))) for log in moved]

    latest = await node.block(http, network, "latest")
    async for transfers in node.log_pages(http, network, latest, since - CLOCK_SKEW, read):
        yield transfers


def _transfer(moved: _Moved, before: _Spent | None) -> Transfer:
    """Build a transfer. Its nonce comes from the event directly before it, if that is a use by the same payer."""
    _, _, payer, recipient = moved.event
    nonce = bytes.fromhex(before.event[3][2:]) if before and before.event[1:3] == [_USED, payer] else None
    parties = ("0x" + payer[-40:], "0x" + recipient[-40:])
    return Transfer(moved.transaction_hash.lower(), *parties, int(moved.data, 16), nonce)


async def _newest_log(
    http: Client, network: Network, kind: list[object], value: str, latest: node.Block, oldest: datetime
) -> node.Log | None:
    """Find the asset's newest log whose topics are `kind` and `value`, back to a page that begins before `oldest`."""

    async def read(first: int, last: int) -> list[node.Log]:
        return await node.logs(http, network, TypeAdapter(list[node.Log]), kind, [value], first=first, last=last)

    async for logs in node.log_pages(http, network, latest, oldest, read):
        if logs:
            return logs[-1]
    return None
