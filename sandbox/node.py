"""Answer the practice chain's JSON-RPC: the methods that readers of a real EVM node use, over the same book."""

from collections.abc import Callable
from typing import Annotated, Literal

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import event_signature_to_log_topic, function_signature_to_4byte_selector
from eth_utils.crypto import keccak
from pydantic import AliasChoices, BaseModel, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import from_json

from core.settings import SANDBOX_ASSET, SANDBOX_ASSET_NAME, SANDBOX_NETWORK
from sandbox.book import Block, Book, Transaction

MOST_BLOCKS = 2_000
"""The widest range that eth_getLogs answers, as at many public nodes."""

_AUTHORIZATION_STATE = function_signature_to_4byte_selector("authorizationState(address,bytes32)")
_NAME = function_signature_to_4byte_selector("name()")
_VERSION = function_signature_to_4byte_selector("version()")
_DECIMALS = function_signature_to_4byte_selector("decimals()")
_BALANCE_OF = function_signature_to_4byte_selector("balanceOf(address)")
_TRANSFER = event_signature_to_log_topic("Transfer(address,address,uint256)")
_USED = event_signature_to_log_topic("AuthorizationUsed(address,bytes32)")
_CANCELED = event_signature_to_log_topic("AuthorizationCanceled(address,bytes32)")

_Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$", to_lower=True)]
_Word = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{64}$", to_lower=True)]
_Data = Annotated[str, StringConstraints(pattern=r"^0x([0-9a-fA-F]{2})*$")]
_Tag = (
    Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{1,15}$")]
    | Literal["earliest", "latest", "pending", "safe", "finalized"]
)


_CONSTANTS = {
    _NAME: encode(["string"], [SANDBOX_ASSET_NAME]),
    _VERSION: encode(["string"], ["2"]),
    _DECIMALS: encode(["uint8"], [6]),
}


class _Call(BaseModel):
    to: _Address
    data: _Data = Field(default="0x", validation_alias=AliasChoices("input", "data"))


class _Filter(BaseModel):
    from_block: _Tag = Field(default="latest", alias="fromBlock")
    to_block: _Tag = Field(default="latest", alias="toBlock")
    address: _Address | list[_Address] | None = None
    topics: Annotated[list[_Word | list[_Word] | None], Field(max_length=4)] = []


class _Request(BaseModel):
    jsonrpc: Literal["2.0"]
    id: int | str | None = None
    method: str
    params: list[object] = []


class _Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def answer(book: Book, body: bytes) -> dict[str, object]:
    """Answer one JSON-RPC 2.0 request; batches are not supported.

    Args:
        body: the request's body.

    Returns:
        The response object: a result, or an error with a code of JSON-RPC or EIP-1474.
    """
    try:
        asked = from_json(body)
    except ValueError:
        return _error(None, -32700, "parse error")
    try:
        request = _Request.model_validate(asked)
    except ValidationError:
        return _error(None, -32600, "invalid request")
    method = _METHODS.get(request.method)
    if method is None:
        return _error(request.id, -32601, "method not found")
    try:
        return {"jsonrpc": "2.0", "id": request.id, "result": method(book, request.params)}
    except ValidationError:
        return _error(request.id, -32602, "invalid params")
    except _Refused as refused:
        return _error(request.id, refused.code, str(refused))


def _error(request_id: int | str | None, code: int, message: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}


def _chain_id(_book: Book, _params: list[object]) -> str:
    return hex(int(SANDBOX_NETWORK.split(":")[1]))


def _block_number(book: Book, _params: list[object]) -> str:
    return hex(book.head().number)


def _get_block(book: Book, params: list[object]) -> dict[str, object] | None:
    tag, _ = TypeAdapter(tuple[_Tag, bool]).validate_python(params)
    block = book.block(_number(book, tag))
    if block is None:
        return None
    return {
        "number": hex(block.number),
        "hash": _block_hash(block.number),
        "timestamp": hex(block.timestamp),
        "transactions": [transaction.hash for transaction in book.transactions(block.number, block.number)],
    }


def _call(book: Book, params: list[object]) -> str:
    call, tag = TypeAdapter(tuple[_Call, _Tag]).validate_python(params)
    block = _known(book, tag).number
    if call.to != SANDBOX_ASSET:
        return "0x"
    data = bytes.fromhex(call.data[2:])
    try:
        if data[:4] == _AUTHORIZATION_STATE:
            payer, nonce = decode(["address", "bytes32"], data[4:])
            return "0x" + encode(["bool"], [book.is_used(payer, "0x" + nonce.hex(), block)]).hex()
        if data[:4] == _BALANCE_OF:
            (address,) = decode(["address"], data[4:])
            return "0x" + encode(["uint256"], [book.balance_at(address, block)]).hex()
        if data in _CONSTANTS:
            return "0x" + _CONSTANTS[data].hex()
    except DecodingError:
        pass
    raise _Refused(3, "execution reverted")


def _get_code(book: Book, params: list[object]) -> str:
    """Answer INVALID (EIP-141) for the asset: it has no code, and readers ask only whether it has."""
    address, tag = TypeAdapter(tuple[_Address, _Tag]).validate_python(params)
    _known(book, tag)
    return "0xfe" if address == SANDBOX_ASSET else "0x"


def _get_logs(book: Book, params: list[object]) -> list[dict[str, object]]:
    (wanted,) = TypeAdapter(tuple[_Filter]).validate_python(params)
    first, last = _number(book, wanted.from_block), _number(book, wanted.to_block)
    if last - first >= MOST_BLOCKS:
        raise _Refused(-32005, f"query exceeds the range of {MOST_BLOCKS} blocks")
    addresses = [wanted.address] if isinstance(wanted.address, str) else wanted.address
    if addresses is not None and SANDBOX_ASSET not in addresses:
        return []
    logs = (log for transaction in book.transactions(first, last) for log in _logs(transaction))
    return [log for log in logs if _fits(log["topics"], wanted.topics)]


def _get_receipt(book: Book, params: list[object]) -> dict[str, object] | None:
    (transaction_hash,) = TypeAdapter(tuple[_Word]).validate_python(params)
    transaction = book.transaction(transaction_hash)
    if transaction is None:
        return None
    return {
        "transactionHash": transaction.hash,
        "transactionIndex": "0x0",
        "blockNumber": hex(transaction.block),
        "blockHash": _block_hash(transaction.block),
        "status": "0x1",
        "logs": _logs(transaction),
    }


def _logs(transaction: Transaction) -> list[dict[str, object]]:
    """List the events of a transaction in the order in which FiatTokenV2 emits them."""
    events: list[tuple[list[bytes], bytes]] = []
    if transaction.nonce is not None:
        spent = _CANCELED if transaction.amount is None else _USED
        events.append(([spent, _padded(transaction.payer), bytes.fromhex(transaction.nonce[2:])], b""))
    if transaction.amount is not None and transaction.pay_to is not None:
        parties = [_padded(transaction.payer), _padded(transaction.pay_to)]
        events.append(([_TRANSFER, *parties], encode(["uint256"], [transaction.amount])))
    return [
        {
            "address": SANDBOX_ASSET,
            "topics": ["0x" + topic.hex() for topic in topics],
            "data": "0x" + data.hex(),
            "blockNumber": hex(transaction.block),
            "blockHash": _block_hash(transaction.block),
            "transactionHash": transaction.hash,
            "transactionIndex": "0x0",
            "logIndex": hex(index),
            "removed": False,
        }
        for index, (topics, data) in enumerate(events)
    ]


def _fits(topics: object, wanted: list[str | list[str] | None]) -> bool:
    """Match topics as eth_getLogs does: by position; None matches all, a list matches each of its members."""
    have = topics if isinstance(topics, list) else []
    return len(wanted) <= len(have) and all(
        want is None or topic == want or (isinstance(want, list) and topic in want)
        for topic, want in zip(have, wanted, strict=False)
    )


def _number(book: Book, tag: str) -> int:
    if tag == "earliest":
        return 0
    return int(tag, 16) if tag.startswith("0x") else book.head().number


def _known(book: Book, tag: str) -> Block:
    block = book.block(_number(book, tag))
    if block is None:
        raise _Refused(-32001, "header not found")
    return block


def _block_hash(number: int) -> str:
    return "0x" + keccak(primitive=SANDBOX_NETWORK.encode() + number.to_bytes(8, "big")).hex()


def _padded(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(32, b"\0")


_METHODS: dict[str, Callable[[Book, list[object]], object]] = {
    "eth_chainId": _chain_id,
    "eth_blockNumber": _block_number,
    "eth_getBlockByNumber": _get_block,
    "eth_call": _call,
    "eth_getCode": _get_code,
    "eth_getLogs": _get_logs,
    "eth_getTransactionReceipt": _get_receipt,
}
