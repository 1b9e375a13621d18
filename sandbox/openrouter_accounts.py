"""What the practice OpenRouter remembers: its catalog, and for each key the faults ordered and the calls made."""

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
_SECRET_HEADERS = frozenset({"authorization", "x-api-key"})
_CATALOG = Path(__file__).with_name("catalog.json")
_ROUTED_TO = "openai/gpt-5-mini"


@dataclass(slots=True)
class Account:
    """What the server remembers of one key. Credits and usage are US dollars, latency seconds.

    `latency_between` is where 95 of a hundred answers fall, which then differ; it goes before `latency_seconds`.
    `price_factor` is by how much the only endpoint with room for this key is dearer than the list says.
    `silence` is how often `GET /generation` is asked in vain before it knows a generation.
    """

    revoked: bool = False
    latency_seconds: float | None = None
    latency_between: tuple[float, float] | None = None
    management: bool = False
    expires_at: datetime | None = None
    credits: Decimal | None = None
    price_factor: Decimal = Decimal(1)
    usage: Decimal = Decimal(0)
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    generations: list[dict[str, Any]] = field(default_factory=list)
    silence: int = 0
    asked: Counter[str] = field(default_factory=Counter)

    @property
    def is_dead(self) -> bool:
        """Whether the key was revoked, or has expired."""
        return self.revoked or (self.expires_at is not None and self.expires_at <= datetime.now(UTC))

    def charge(self, generation: dict[str, Any]) -> None:
        """Book a generation, which costs what its usage says."""
        generation["cost"] = generation.pop("usage")["cost"]
        self.usage += generation["cost"]
        self.generations.append(generation)

    def generation(self, generation_id: str) -> dict[str, Any] | None:
        """What `GET /generation` tells: nothing for the first `silence` times that it is asked."""
        self.asked[generation_id] += 1
        if self.asked[generation_id] <= self.silence:
            return None
        return next((made for made in self.generations if made["id"] == generation_id), None)

    def next_fault(self) -> Fault:
        """Take the fault that this chat call suffers, `NO_FAULT` when none was ordered."""
        if not self.faults:
            return NO_FAULT
        fault = self.faults[0]
        if fault.left is not None:
            fault.left -= 1
            if fault.left == 0:
                self.faults.popleft()
        return fault


class Practice:
    """One server's memory: the catalog, what is listed instead of it, and the accounts."""

    def __init__(self, latency_seconds: float) -> None:
        self.latency_seconds = latency_seconds
        self.catalog: list[dict[str, Any]] = json.loads(_CATALOG.read_text("utf-8"), parse_float=Decimal)
        self.listing: bytes | None = None
        self.accounts: dict[str, Account] = {}
        self.arrived = asyncio.Condition()
        self._answers: dict[tuple[int, bool, bytes], dict[str, Any]] = {}

    async def note(self, account: Account, body: dict[str, Any], request: Request) -> None:
        """Remember a chat call that came in, and tell those who wait for it."""
        headers = {name: value for name, value in request.headers.items() if name not in _SECRET_HEADERS}
        async with self.arrived:
            at = datetime.now(UTC).isoformat()
            account.requests.append({"model": body["model"], "body": body, "headers": headers, "at": at})
            self.arrived.notify_all()

    def store(self, place: tuple[int, bool, bytes], completion: dict[str, Any]) -> None:
        """Keep an answer for the identical request of the same key."""
        self._answers.setdefault(place, completion)

    def stored(self, place: tuple[int, bool, bytes]) -> dict[str, Any] | None:
        """The answer that is kept for it."""
        return self._answers.get(place)

    def account(self, key: str) -> Account:
        """The account of a key, made on first sight."""
        return self.accounts.setdefault(key, Account())

    def bearer(self, request: Request) -> Account | None:
        """The account behind the Authorization header, None when it opens nothing."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX) or self.account(key).is_dead:
            return None
        return self.account(key)

    def model(self, name: str) -> dict[str, Any] | None:
        """The catalog row that serves a model id: aliases and routers end at a model with a price."""
        row = next((row for row in self.catalog if row["id"] == name), None)
        if row and "alias_target" in row:
            return self.model(row["alias_target"]["slug"])
        if row and row["pricing"]["prompt"].startswith("-"):
            return self.model(_ROUTED_TO)
        return row
