"""Hold the practice OpenRouter's memory: its catalog, and for each key the queued faults and the calls."""

import asyncio
import json
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from fastapi import Request

from sandbox.openrouter_faults import NO_FAULT, Fault

KEY_PREFIX: Final = "sk-or-v1-practice-"
DEMO_KEY: Final = f"{KEY_PREFIX}demo"
"""Keys that begin so are answered with what a model was asked, so that a reader sees what substitution did."""
_SECRET_HEADERS = frozenset({"authorization", "x-api-key"})
_CATALOG = Path(__file__).with_name("catalog.json")
_ROUTED_TO = "openai/gpt-5-mini"


@dataclass(slots=True)
class Account:
    """The server's memory of one key. Credits and usage are US dollars, latency seconds.

    `latency_between` holds 95 percent of the answers' latencies, which then vary; it overrides `latency_seconds`.
    `price_factor` is how much more than the listed price the only available endpoint charges this key.
    `recites` says that its answers show the whole prompt.
    `gate` is what answers with the option `gate` wait at.
    `silence` is the number of `GET /generation` requests without a result before a generation is found.
    """

    revoked: bool = False
    latency_seconds: float | None = None
    latency_between: tuple[float, float] | None = None
    management: bool = False
    expires_at: datetime | None = None
    credits: Decimal | None = None
    limit_reset: str | None = None
    price_factor: Decimal = Decimal(1)
    recites: bool = False
    usage: Decimal = Decimal(0)
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    generations: list[dict[str, Any]] = field(default_factory=list)
    silence: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: Counter[str] = field(default_factory=Counter)

    @property
    def is_dead(self) -> bool:
        """Whether the key was revoked, or has expired."""
        return self.revoked or (self.expires_at is not None and self.expires_at <= datetime.now(UTC))

    def charge(self, generation: dict[str, Any]) -> None:
        """Charge a generation by its usage."""
        generation["cost"] = generation.pop("usage")["cost"]
        self.usage += generation["cost"]
        self.generations.append(generation)

    def generation(self, generation_id: str) -> dict[str, Any] | None:
        """Answer `GET /generation`: nothing for the first `silence` requests."""
        self.asked[generation_id] += 1
        if self.asked[generation_id] <= self.silence:
            return None
        return next((made for made in self.generations if made["id"] == generation_id), None)

    def next_fault(self) -> Fault:
        """Take the next queued fault for a chat call; `NO_FAULT` if there is none."""
        if not self.faults:
            return NO_FAULT
        fault = self.faults[0]
        if fault.left is not None:
            fault.left -= 1
            if fault.left == 0:
                self.faults.popleft()
        return fault


class Practice:
    """One server's memory: the catalog, the list that replaces it, and the accounts."""

    def __init__(self, latency_seconds: float) -> None:
        self.latency_seconds = latency_seconds
        self.catalog: list[dict[str, Any]] = json.loads(_CATALOG.read_text("utf-8"), parse_float=Decimal)
        self.listing: bytes | None = None
        self.accounts: dict[str, Account] = {}
        self.arrived = asyncio.Condition()
        self._answers: dict[tuple[int, bool, bytes], dict[str, Any]] = {}

    async def note(self, account: Account, body: dict[str, Any], request: Request) -> None:
        """Record a chat call that arrived, and wake those who wait for it."""
        headers = {name: value for name, value in request.headers.items() if name not in _SECRET_HEADERS}
        async with self.arrived:
            at = datetime.now(UTC).isoformat()
            account.requests.append({"model": body["model"], "body": body, "headers": headers, "at": at})
            self.arrived.notify_all()

    def store(self, place: tuple[int, bool, bytes], completion: dict[str, Any]) -> None:
        """Cache an answer for the identical request of the same key."""
        self._answers.setdefault(place, completion)

    def stored(self, place: tuple[int, bool, bytes]) -> dict[str, Any] | None:
        """Return the cached answer."""
        return self._answers.get(place)

    def account(self, key: str) -> Account:
        """Return the account of a key, created when it is first seen."""
        return self.accounts.setdefault(key, Account(recites=key.startswith(DEMO_KEY)))

    def bearer(self, request: Request) -> Account | None:
        """Return the account of the Authorization header; None if it is not valid."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX) or self.account(key).is_dead:
            return None
        return self.account(key)

    def model(self, name: str) -> dict[str, Any] | None:
        """Find the catalog row that serves a model id: aliases and routers lead to a model with a price."""
        row = next((row for row in self.catalog if row["id"] == name), None)
        if row and "alias_target" in row:
            return self.model(row["alias_target"]["slug"])
        if row and row["pricing"]["prompt"].startswith("-"):
            return self.model(_ROUTED_TO)
        return row
