"""Store a buyer's order until it is answered: the signed payment, and the request that it is for."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.failures import Misconfigured


class Order(BaseModel):
    """One signed payment, with everything that makes a second attempt identical to the first.

    Attributes:
        url: the resource.
        body: the inputs, as they were sent.
        call: names the MCP call that it pays, by `call_name`; empty for one by HTTP.
        status_url: where its answer can be fetched, once the seller said so.
        payment: the PAYMENT-SIGNATURE header; its bearer can fetch the answer.
        title: the seller's title for the resource.
        price_usdc: the signed price.
        network: CAIP-2.
        valid_before: unix seconds (UTC) after which the payment can no longer be settled.
        refused: whether the seller refused it. That is only the seller's word until `valid_before`.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    url: str
    body: dict[str, Any] = Field(repr=False)
    payment: str = Field(repr=False)
    title: str
    price_usdc: str
    network: str
    valid_before: int
    refused: bool = False
    call: str = ""
    status_url: str | None = Field(default=None, repr=False)

    @property
    def is_usable(self) -> bool:
        """Whether anybody who has the payment can still settle it."""
        return self.valid_before > time.time()


def keep(order: Order) -> Path:
    """Write an order so that only its owner can read it and a crash cannot lose it.

    Raises:
        Misconfigured: it cannot be written; then nothing may be paid.
    """
    path, is_kept = place(order), False
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace(path, order.model_dump_json(indent=2))
        is_kept = True
    if not is_kept:
        raise Misconfigured(f"{path.parent} cannot be written, and a payment has to be stored there before it is sent")
    return path


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable only by its owner, so that it survives a crash of the machine.

    Raises:
        OSError: it is as it was.
    """
    # mkstemp creates it with mode 600.
    descriptor, half_written = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(half_written).rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def place(order: Order) -> Path:
    """Return the file of an order, which is named after its payment."""
    return folder() / f"{hashlib.sha256(order.payment.encode()).hexdigest()[:16]}.json"


def read(path: Path) -> Order:
    """Read a stored order.

    Raises:
        Misconfigured: the file holds none.
    """
    try:
        return Order.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        pass
    raise Misconfigured(f"{path} holds no unfinished payment")


def drop(path: Path) -> None:
    """Remove an order that needs no second attempt."""
    path.unlink(missing_ok=True)


def unfinished(url: str, body: dict[str, Any]) -> list[Path]:
    """Find stored orders of the same request that can still be settled; remove refused ones that have expired."""
    return [path for path, order in _kept() if (order.url, order.body) == (url, body) and order.is_usable]


def of_call(call: str) -> Order | None:
    """Find the stored order of an MCP call, however old: the seller still knows what it paid for."""
    return next((order for _, order in _kept() if order.call == call), None)


def of_status(status_url: str) -> Order | None:
    """Find the stored order whose answer can be fetched there."""
    return next((order for _, order in _kept() if order.status_url == status_url), None)


def call_name(url: str, tool: str, arguments: dict[str, Any]) -> str:
    """Name an MCP call: equal for equal arguments in any order."""
    return hashlib.sha256(json.dumps([url, tool, arguments], sort_keys=True).encode()).hexdigest()


def _kept() -> Iterator[tuple[Path, Order]]:
    """Read the stored orders, without refused ones that have expired, which are removed."""
    for path in sorted(folder().glob("*.json")):
        try:
            order = read(path)
        except Misconfigured:
            continue
        if order.refused and not order.is_usable:
            drop(path)
        else:
            yield path, order


def encode(body: dict[str, Any]) -> bytes:
    """Encode the request's body: the same bytes at every attempt."""
    return json.dumps(body).encode()


def folder() -> Path:
    """Return the folder of stored orders: in the state folder if there is one, otherwise in the user's XDG state."""
    state = Path(os.environ.get("INSTANT_STATE_DIR") or ".instant")
    if not state.is_dir():
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "x402-instant"
    return state.resolve() / "purchases"
