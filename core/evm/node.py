"""Ask an Ethereum node over JSON-RPC 2.0: its chain, blocks, contract calls, logs and receipts.

Requests and results follow the Ethereum execution API (ethereum.org, JSON-RPC API): quantities are hex without leading
zeros.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from core.failures import Unavailable
from core.net.json_client import Client, JsonResponse, post
from core.settings import Network

FIRST_PAGE_BLOCKS = 16
"""Blocks in the first eth_getLogs of a search. What is looked for is mostly in the newest blocks."""

PAGE_BLOCKS = 2_000
"""Most blocks in one eth_getLogs. Many nodes refuse more, and some refuse more than 500 or even 10."""

TOPIC_VALUES = 500
"""Most values of one topic in a filter: nodes limit them to 1,000 or more."""

T = TypeVar("T")

_BALANCE_OF = function_signature_to_4byte_selector("balanceOf(address)")


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


# A number of at most 60 bits, and a 32-byte word.
Quantity = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{1,15}$")]
Word = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{64}$")]
_Bytes = Annotated[str, Field(pattern=r"^0x([0-9a-fA-F]{2})*$")]


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


async def confirmed_block(http: Client, network: Network) -> Block:
    """Read the newest block that `network.confirmations` others follow.

    Raises:
        Unavailable: `chain_unreachable`; `chain_wrong`, the node is on another chain.
    """
    # Asked every time: a URL may point to another node now, on whose chain nothing was paid.
    if await chain_id(http, network) != network.chain_id:
        raise Unavailable("chain_wrong")
    newest = int((await block(http, network, "latest")).number, 16)
    return await block(http, network, hex(max(newest - network.confirmations, 0)))


async def balance(http: Client, network: Network, address: str) -> int:
    """Read how much of the asset an address has (ERC-20 `balanceOf`), in atomic units.

    Raises:
        Unavailable: `chain_unreachable`.
    """
    said = await call(http, network, _BALANCE_OF + encode(["address"], [address]))
    if said is None or len(said) != 32:
        raise Unavailable("chain_unreachable")
    return int.from_bytes(said)


async def call(
    http: Client, network: Network, call_data: bytes, tag: str = "latest", *, to: str | None = None
) -> bytes | None:
    """Call a contract (eth_call), by default the asset's; None if it reverts or is no contract.

    Raises:
        Unavailable: `chain_unreachable`.
    """
    transaction = {"to": to or network.asset, "data": "0x" + call_data.hex()}
    body = await _post(http, network, "eth_call", transaction, tag)
    error = body.get("error")
    if error is None:
        return bytes.fromhex(_result(body, TypeAdapter(_Bytes))[2:]) or None
    # Code 3 is Geth's. Other nodes have a code of their own for it, and only the word in common.
    if isinstance(error, dict) and (error.get("code") == 3 or "revert" in str(error.get("message")).lower()):
        return None
    raise Unavailable("chain_unreachable")


async def code(http: Client, network: Network) -> bytes:
    """Read the code at the asset's address (eth_getCode); empty if it is no contract.

    Raises:
        Unavailable: `chain_unreachable`.
    """
    return bytes.fromhex(
        (await request(http, network, TypeAdapter(_Bytes), "eth_getCode", network.asset, "latest"))[2:]
    )


async def request(http: Client, network: Network, adapter: TypeAdapter[T], method: str, *params: object) -> T:
    """Make one JSON-RPC 2.0 call, and return its result if that has the expected shape.

    Raises:
        Unavailable: `chain_unreachable` if the node does not answer, or answers anything else.
    """
    body = await _post(http, network, method, *params)
    if body.get("error") is None:
        return _result(body, adapter)
    raise Unavailable("chain_unreachable")


async def _post(http: Client, network: Network, method: str, *params: object) -> dict[str, object]:
    response = await post(http, network.rpc_url, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    if isinstance(response, JsonResponse) and response.status == 200 and response.body:
        return response.body
    raise Unavailable("chain_unreachable")


def _result(body: dict[str, object], adapter: TypeAdapter[T]) -> T:
    try:
        return adapter.validate_python(body.get("result"))
    except ValidationError:
        pass
    raise Unavailable("chain_unreachable")


def topic_of(address: str) -> str:
    """Encode an address as an indexed topic."""
    return "0x" + address.lower().removeprefix("0x").rjust(64, "0")
