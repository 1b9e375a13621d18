"""Ask an Ethereum node over JSON-RPC 2.0: its chain, blocks, contract calls, logs and receipts.

Requests and results follow the Ethereum execution API (ethereum.org, JSON-RPC API): quantities are hex without leading
zeros.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from core.failures import Misconfigured, Unavailable
from core.net.json_client import Client, JsonResponse, post
from core.settings import Network

_log = logging.getLogger(__name__)

FIRST_PAGE_BLOCKS = 16
"""Blocks in the first eth_getLogs of a search. What is looked for is mostly in the newest blocks."""

PAGE_BLOCKS = 2_000
"""Most blocks in one eth_getLogs. Many nodes refuse more, and some refuse more than 500 or even 10."""

TOPIC_VALUES = 500
"""Most values of one topic in a filter: nodes limit them to 1,000 or more."""

# Tried at the start. A payment is looked up within its last half hour or so, which is 900 blocks of two seconds.
_TRIAL_BLOCKS = (512, 64, 8, 1)
_NO_EVENT = "0x" + "00" * 32

T = TypeVar("T")


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


# A number of at most 60 bits, and a 32-byte word.
Quantity = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{1,15}$")]
Word = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{64}$")]


class Block(_Model):
    """A block's number, and its clock as `time` (UTC)."""

    number: Quantity
    timestamp: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{1,9}$")]

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(int(self.timestamp, 16), UTC)


class Log(_Model):
    """An event that a contract emitted."""

    address: str
    topics: list[str]
    data: str
    log_index: Quantity
    transaction_hash: Word

    @property
    def index(self) -> int:
        return int(self.log_index, 16)

    @property
    def event(self) -> list[str]:
        """The emitter and the topics in lower case, for comparison."""
        return [part.lower() for part in (self.address, *self.topics)]


class Receipt(_Model):
    """The result of a transaction: `status` is 0x1 for success, and `logs` are its events in order."""

    status: Quantity
    logs: list[Log]


class MinedReceipt(Receipt):
    """A receipt with the block that holds the transaction."""

    block_number: Quantity


async def chain_id(http: Client, network: Network) -> int:
    """Ask for the chain id of the node. Compare it with `network.chain_id` before trusting the node.

    Raises:
        Unavailable: `chain_unreachable`.
    """
    return int(await request(http, network, TypeAdapter(Quantity), "eth_chainId"), 16)


async def check_nodes(http: Client, networks: Iterable[Network]) -> None:
    """Compare each node's chain with the network that it was configured for.

    A node that does not answer only causes a warning: it may come back, and until then decides nothing. So does one
    that refuses eth_getLogs, or answers it for few blocks only: payments whose settlement is unknown depend on it.

    Raises:
        Misconfigured: its sentence names the network whose node is on another chain.
    """

    async def check_node(network: Network) -> None:
        try:
            actual_id = await chain_id(http, network)
        except Unavailable:
            _log.warning("payment: the node of %s cannot be asked which chain it is on", network.id)
            return
        if actual_id != network.chain_id:
            raise Misconfigured(f"INSTANT_NETWORKS: the rpc_url of {network.id} leads to a node of chain {actual_id}")
        await _try_logs(http, network)

    await asyncio.gather(*(check_node(network) for network in networks))


async def _try_logs(http: Client, network: Network) -> None:
    """Ask for the logs of the newest blocks once, and warn if the node serves few of them or none."""
    for blocks in _TRIAL_BLOCKS:
        try:
            last = int((await block(http, network, "latest")).number, 16)
            await logs(
                http, network, TypeAdapter(list[Log]), [], [_NO_EVENT], first=max(last - blocks + 1, 0), last=last
            )
        except Unavailable:
            continue
        if blocks < _TRIAL_BLOCKS[0]:
            _log.warning(
                "INSTANT_NETWORKS: the node at the rpc_url of %s refuses eth_getLogs of more than some %d blocks:"
                " to look up an old payment takes long",
                network.id,
                blocks,
            )
        return
    _log.warning(
        "INSTANT_NETWORKS: the node at the rpc_url of %s refuses eth_getLogs: payments whose settlement is unknown"
        " stay undecided until it answers them, or rpc_url names another node",
        network.id,
    )


async def log_pages(
    http: Client, network: Network, latest: Block, oldest: datetime, read: Callable[[int, int], Awaitable[T]]
) -> AsyncIterator[T]:
    """Read logs page by page, from `latest` back to the page that begins before `oldest`.

    Pages begin small and grow. Nodes limit the blocks of one eth_getLogs, or its results, and refuse in many ways. So
    a page that fails is halved, and later ones stay as small, as long as the node answers at all.

    Args:
        read: reads the logs of the blocks from the first to the last.

    Raises:
        Unavailable: the node is away, or it refuses even a single block.
    """
    last, size, most = int(latest.number, 16), FIRST_PAGE_BLOCKS, PAGE_BLOCKS
    while last >= 0:
        first = max(last - size + 1, 0)
        try:
            page = await read(first, last)
        except Unavailable:
            if first == last:
                raise
            await chain_id(http, network)
            size = most = (last - first + 1) // 2
            continue
        yield page
        if (await block(http, network, hex(first))).time < oldest:
            return
        last, size = first - 1, min(2 * size, most)


async def logs(
    http: Client,
    network: Network,
    adapter: TypeAdapter[list[T]],
    kind: list[object],
    values: Sequence[str],
    *,
    first: int,
    last: int,
) -> list[T]:
    """Read the asset's logs in these blocks, whose topics begin with `kind` and continue with one of `values`."""
    found: list[T] = []
    for start in range(0, len(values), TOPIC_VALUES):  # an empty list in a filter would match everything
        topics = [*kind, values[start : start + TOPIC_VALUES]]
        log_filter = {"address": network.asset, "topics": topics, "fromBlock": hex(first), "toBlock": hex(last)}
        part: list[T] = await request(http, network, adapter, "eth_getLogs", log_filter)
        found += part
    return found


async def block(http: Client, network: Network, tag: str) -> Block:
    """Read a block by its number in hex, or by a tag such as `latest`.

    Raises:
        Unavailable: `chain_unreachable`.
    """
    return await request(http, network, TypeAdapter(Block), "eth_getBlockByNumber", tag, False)


async def request(http: Client, network: Network, adapter: TypeAdapter[T], method: str, *params: object) -> T:
    """Make one JSON-RPC 2.0 call, and return its result if that has the expected shape.

    Raises:
        Unavailable: `chain_unreachable` if the node does not answer, or answers anything else.
    """
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    response = await post(http, network.rpc_url, body)
    if (
        isinstance(response, JsonResponse)
        and response.status == 200
        and response.body
        and response.body.get("error") is None
    ):
        try:
            return adapter.validate_python(response.body.get("result"))
        except ValidationError:
            pass
    raise Unavailable("chain_unreachable")


def topic_of(address: str) -> str:
    """Encode an address as an indexed topic."""
    return "0x" + address.lower().removeprefix("0x").rjust(64, "0")
