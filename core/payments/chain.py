"""What the chain says about an authorization, read over a node's JSON-RPC.

Facts of the token: EIP-3009 for `authorizationState`, `AuthorizationUsed` and `AuthorizationCanceled`; Circle's
FiatTokenV2 for their order: a transfer's `AuthorizationUsed` is directly followed by its `Transfer`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, TypeVar

from eth_abi.abi import encode
from eth_utils.abi import event_signature_to_log_topic, function_signature_to_4byte_selector
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from core.failures import Misconfigured, Unavailable
from core.net.json_client import Client, JsonResponse, post
from core.settings import Network

log = logging.getLogger(__name__)

PAGE_BLOCKS = 2_000
"""Blocks in one eth_getLogs: the least of the caps in use at public nodes that serve logs at all."""

CLOCK_SKEW = timedelta(minutes=10)
"""How far before `since` a block may say it was made: its clock is not ours."""

TOPIC_VALUES = 500
"""Most addresses in one filter: nodes have caps, from 1,000 on."""

T = TypeVar("T")

_AUTHORIZATION_STATE = function_signature_to_4byte_selector("authorizationState(address,bytes32)")
_USED = "0x" + event_signature_to_log_topic("AuthorizationUsed(address,bytes32)").hex()
_CANCELED = "0x" + event_signature_to_log_topic("AuthorizationCanceled(address,bytes32)").hex()
_TRANSFER = "0x" + event_signature_to_log_topic("Transfer(address,address,uint256)").hex()


@dataclass(frozen=True, slots=True)
class Landed:
    """The money moved as it was signed, in `transaction` (0x and 64 lower-case hex digits)."""

    transaction: str


@dataclass(frozen=True, slots=True)
class NotUsed:
    """It has not moved by `chain_time`, the clock (UTC) of the latest block; it still may before validBefore."""

    chain_time: datetime


@dataclass(frozen=True, slots=True)
class UsedElsewhere:
    """The nonce is spent, by a cancellation or another transfer: this payment can never land."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money that moved, as the chain shows it. Addresses and hash are lower-case hex, the amount is atomic units.

    `nonce` is that of the authorization by which it moved; None if it moved without one.
    """

    transaction: str
    payer: str
    pay_to: str
    amount_atomic: int
    nonce: bytes | None


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


_Quantity = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{1,15}$")]
_Word = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{64}$")]


class _Block(_Model):
    number: _Quantity
    timestamp: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{1,9}$")]

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(int(self.timestamp, 16), UTC)


class _Log(_Model):
    address: str
    topics: list[str]
    data: str
    log_index: _Quantity
    transaction_hash: _Word

    @property
    def index(self) -> int:
        return int(self.log_index, 16)

    @property
    def event(self) -> list[str]:
        """Emitter and topics, comparable."""
        return [part.lower() for part in (self.address, *self.topics)]


class _Spent(_Log):
    topics: Annotated[list[_Word], Field(min_length=3, max_length=3)]


class _Moved(_Spent):
    data: _Word


class _Receipt(_Model):
    status: _Quantity
    logs: list[_Log]


async def chain_id(http: Client, network: Network) -> int:
    """The number of the chain that the node is on, to be compared with `network.chain_id` before trusting it.

    Raises:
        Unavailable: `chain_unreachable`.
    """
    return int(await _ask(http, network, TypeAdapter(_Quantity), "eth_chainId"), 16)


async def check_nodes(http: Client, networks: Iterable[Network]) -> None:
    """Compare each node's chain with the network that it was configured for.

    A node that cannot be asked is only a warning: it may come back, and until then decides nothing.

    Raises:
        Misconfigured: naming the network whose node is on another chain.
    """

    async def check_one(network: Network) -> None:
        try:
            found = await chain_id(http, network)
        except Unavailable:
            log.warning("payment: the node of %s cannot be asked which chain it is on", network.id)
            return
        if found != network.chain_id:
            raise Misconfigured(f"INSTANT_NETWORKS: the rpc_url of {network.id} leads to a node of chain {found}")

    await asyncio.gather(*(check_one(network) for network in networks))


async def landed(
    http: Client,
    network: Network,
    *,
    payer: str,
    nonce: bytes,
    pay_to: str,
    amount_atomic: int,
    since: datetime,
) -> Landed | NotUsed | UsedElsewhere:
    """Decide what became of an authorization: the state says whether, the logs say what for.

    Args:
        payer: who signed it.
        nonce: its 32 bytes.
        pay_to: who should have received it.
        amount_atomic: how much, in atomic units.
        since: the authorization was unused until about then; older blocks are not searched.

    Raises:
        Unavailable: `chain_unreachable` if the node cannot be asked or answers nonsense; `chain_wrong` if it is on
            another chain; `chain_incomplete` if it says "used" but shows no log of it, as nodes do whose log index
            lags. In each case nothing is decided.
    """
    # Asked every time: the node behind a URL can be exchanged, and "unused" on another chain would void a paid call.
    if await chain_id(http, network) != network.chain_id:
        raise Unavailable("chain_wrong")
    latest = await _block(http, network, "latest")
    asked = _AUTHORIZATION_STATE + encode(["address", "bytes32"], [payer, nonce])
    call = {"to": network.asset, "data": "0x" + asked.hex()}
    # Asked of the very block whose clock is reported: a state from another block could be older than that clock.
    is_used = await _ask(http, network, TypeAdapter(_Word), "eth_call", call, latest.number)
    if int(is_used, 16) == 0:
        return NotUsed(latest.time)
    spent = [_padded(payer), "0x" + nonce.hex()]
    log = await _newest_log(http, network, [[_USED, _CANCELED], *spent], latest, since - CLOCK_SKEW)
    if log is None or log.event not in ([network.asset.lower(), kind, *spent] for kind in (_USED, _CANCELED)):
        raise Unavailable("chain_incomplete")
    is_paid = log.event[1] == _USED and await _pays(http, network, log, payer, pay_to, amount_atomic)
    return Landed(log.transaction_hash.lower()) if is_paid else UsedElsewhere()


async def _pays(http: Client, network: Network, used: _Log, payer: str, pay_to: str, amount_atomic: int) -> bool:
    """Whether the transaction that used the authorization did so for our transfer.

    Only the token's very next event counts. One transaction can hold several authorizations of one payer, and a
    Transfer that belongs to another of them must not pay for this one too.
    """
    receipt = await _ask(http, network, TypeAdapter(_Receipt), "eth_getTransactionReceipt", used.transaction_hash)
    asset = network.asset.lower()
    after = [log for log in receipt.logs if log.address.lower() == asset and log.index > used.index]
    if int(receipt.status, 16) != 1 or not after:
        return False
    following = min(after, key=lambda log: log.index)
    wanted = [asset, _TRANSFER, _padded(payer), _padded(pay_to)]
    return following.event == wanted and following.data.lower() == f"0x{amount_atomic:064x}"


async def received(
    http: Client, network: Network, pay_to: Collection[str], since: datetime
) -> AsyncIterator[list[Transfer]]:
    """Every transfer of the asset to these addresses, the newest page of blocks first, back to a little before `since`.

    Raises:
        Unavailable: as `landed` does, but never `chain_incomplete`. What came until then is true, but not all.
    """
    if await chain_id(http, network) != network.chain_id:
        raise Unavailable("chain_wrong")
    recipients = [_padded(address) for address in pay_to]
    async for first, last in _pages(http, network, await _block(http, network, "latest"), since - CLOCK_SKEW):
        page = partial(_logs, http, network, first=first, last=last)
        moved = await page(TypeAdapter(list[_Moved]), [_TRANSFER, None], recipients)
        uses = await page(TypeAdapter(list[_Spent]), [_USED], sorted({log.event[2] for log in moved}))
        used = {(log.transaction_hash.lower(), log.index): log for log in uses}
        yield [_transfer(log, used.get((log.transaction_hash.lower(), log.index - 1))) for log in moved]


def _transfer(moved: _Moved, before: _Spent | None) -> Transfer:
    """A transfer, by the authorization whose use is the very event before it, if that is its payer's."""
    _, _, payer, recipient = moved.event
    nonce = bytes.fromhex(before.event[3][2:]) if before and before.event[1:3] == [_USED, payer] else None
    parties = ("0x" + payer[-40:], "0x" + recipient[-40:])
    return Transfer(moved.transaction_hash.lower(), *parties, int(moved.data, 16), nonce)


async def _newest_log(
    http: Client, network: Network, topics: list[object], latest: _Block, oldest: datetime
) -> _Log | None:
    """The asset's newest log with these topics, searched page by page back to a page that begins before `oldest`."""
    async for first, last in _pages(http, network, latest, oldest):
        wanted = {"address": network.asset, "topics": topics, "fromBlock": hex(first), "toBlock": hex(last)}
        if logs := await _ask(http, network, TypeAdapter(list[_Log]), "eth_getLogs", wanted):
            return logs[-1]
    return None


async def _pages(http: Client, network: Network, latest: _Block, oldest: datetime) -> AsyncIterator[tuple[int, int]]:
    """First and last block of each page, from `latest` back to the page that begins before `oldest`."""
    last = int(latest.number, 16)
    while last >= 0:
        first = max(last - PAGE_BLOCKS + 1, 0)
        yield first, last
        if (await _block(http, network, hex(first))).time < oldest:
            return
        last = first - 1


async def _logs(
    http: Client,
    network: Network,
    shape: TypeAdapter[list[T]],
    kind: list[object],
    addresses: Sequence[str],
    *,
    first: int,
    last: int,
) -> list[T]:
    """The asset's logs in these blocks, whose topics begin with `kind` and go on with one of `addresses`.

    Nodes say in many ways that an answer would be too long, and it may be longer than we read. So a page that fails is
    halved, as long as the node answers anything at all.
    """
    if not addresses:
        return []  # an empty list in a filter would fit everything
    if len(addresses) > TOPIC_VALUES:
        half = len(addresses) // 2
        some = await _logs(http, network, shape, kind, addresses[:half], first=first, last=last)
        return [*some, *await _logs(http, network, shape, kind, addresses[half:], first=first, last=last)]
    topics = [*kind, addresses]
    wanted = {"address": network.asset, "topics": topics, "fromBlock": hex(first), "toBlock": hex(last)}
    try:
        return await _ask(http, network, shape, "eth_getLogs", wanted)
    except Unavailable:
        if first == last:
            raise
    await chain_id(http, network)
    middle = (first + last) // 2
    older = await _logs(http, network, shape, kind, addresses, first=first, last=middle)
    return [*older, *await _logs(http, network, shape, kind, addresses, first=middle + 1, last=last)]


async def _block(http: Client, network: Network, tag: str) -> _Block:
    return await _ask(http, network, TypeAdapter(_Block), "eth_getBlockByNumber", tag, False)


async def _ask(http: Client, network: Network, shape: TypeAdapter[T], method: str, *params: object) -> T:
    """One JSON-RPC 2.0 call, and its result if that has the expected shape."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = await post(http, network.rpc_url, request)
    if isinstance(answer, JsonResponse) and answer.status == 200 and answer.body and answer.body.get("error") is None:
        try:
            return shape.validate_python(answer.body.get("result"))
        except ValidationError:
            pass
    raise Unavailable("chain_unreachable")


def _padded(address: str) -> str:
    """An address as an indexed topic."""
    return "0x" + address.lower().removeprefix("0x").rjust(64, "0")
