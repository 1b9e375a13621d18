"""What the practice OpenRouter remembers: its catalog, and for each key the faults ordered and the calls made."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from fastapi import Request

from sandbox.openrouter_faults import NO_FAULT, Fault

KEY_PREFIX: Final = "sk-or-v1-practice-"
_CATALOG = Path(__file__).with_name("catalog.json")
_ROUTED_TO = "openai/gpt-5-mini"


@dataclass(slots=True)
class Account:
    """What the server remembers of one key. Credits and usage are US dollars, latency seconds."""

    revoked: bool = False
    latency_seconds: float | None = None
    management: bool = False
    credits: Decimal | None = None
    usage: Decimal = Decimal(0)
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    generations: list[dict[str, Any]] = field(default_factory=list)

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
    """One server's memory: the catalog and the accounts."""

    def __init__(self, latency_seconds: float) -> None:
        self.latency_seconds = latency_seconds
        self.catalog: list[dict[str, Any]] = json.loads(_CATALOG.read_text("utf-8"), parse_float=Decimal)
        self.accounts: dict[str, Account] = {}
        self.arrived = asyncio.Condition()

    def account(self, key: str) -> Account:
        """The account of a key, made on first sight."""
        return self.accounts.setdefault(key, Account())

    def bearer(self, request: Request) -> Account | None:
        """The account behind the Authorization header, None when it opens nothing."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX) or self.account(key).revoked:
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
