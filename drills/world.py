"""Simulate a churning provider of models: its list, and the catalog that should follow from it.

This module does not use the code that reads lists.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

_PARAMETERS = ("temperature", "top_p", "seed", "tools", "response_format", "reasoning", "structured_outputs", "stop")


@dataclass(frozen=True)
class Truth:
    """The correct catalog entry of a model. Prices are US dollars per token, the highest; None is unknown."""

    listed: bool
    prompt: Decimal | None
    completion: Decimal | None
    parameters: tuple[str, ...]
    most: int


@dataclass
class World:
    """A provider, and the published state of its models.

    Attributes:
        rows: the provider's current rows by id.
        now: the truth about each of them.
        known: the correct catalog, after the lists that should have been applied.
        changes: how often each model's published state changed, including the first time.
    """

    dice: random.Random
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    now: dict[str, Truth] = field(default_factory=dict)
    known: dict[str, Truth] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)

    def invent(self, model_id: str) -> None:
        """Add a new model."""
        self.now[model_id] = Truth(True, Decimal(0), Decimal(0), (), 4096)
        self.rows[model_id] = {"id": model_id, "canonical_slug": f"{model_id}-2026", "name": model_id.title()}
        self.reprice(model_id)
        self.equip(model_id)

    def reprice(self, model_id: str) -> None:
        """Change the price up to eightfold, often through a conditional override; sometimes to unknown."""
        dice, truth = self.dice, self.now[model_id]
        if dice.random() < 0.1:
            pricing: dict[str, Any] = {"prompt": "-1", "completion": dice.choice(["-1", "0.1", "free", 0.5, None])}
            worst: tuple[Decimal | None, Decimal | None] = (None, None)
        else:
            before = truth.completion if truth.completion and truth.completion < 1 else _some_price(dice)
            dear = (before * dice.randrange(1, 33) / 4).quantize(Decimal("1e-18"))
            prompt = (dear / dice.randrange(1, 9)).quantize(Decimal("1e-24"))
            pricing = {"prompt": f"{prompt:f}", "completion": f"{dear:f}"}
            if dice.random() < 0.4:
                condition = dice.choice([{"min_prompt_tokens": 32000}, {"utc_start": 1630, "utc_end": 30}])
                always, sometimes = dice.sample([f"{dear:f}", f"{dear / 2:f}"], 2)
                pricing |= {"completion": always, "discount": 0.25}
                pricing["overrides"] = [{**condition, "completion": sometimes}, {"utc_days": ["mon"]}]
            worst = (prompt, dear)
        self.rows[model_id]["pricing"] = pricing
        self.now[model_id] = replace(truth, prompt=worst[0], completion=worst[1])

    def equip(self, model_id: str) -> None:
        """Change capabilities and limits, and add unknown fields."""
        truth, dice = self.now[model_id], self.dice
        parameters, most = tuple(dice.sample(_PARAMETERS, dice.randrange(5))), dice.choice([4096, 8192, 65536])
        self.rows[model_id] |= {
            "supported_parameters": parameters,
            "top_provider": {"max_completion_tokens": most, "is_moderated": False},
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "context_length": 128_000,
            f"new_field_{dice.randrange(5)}": {"level": dice.randrange(99), "note": "ü\\u0000"},
        }
        self.now[model_id] = replace(truth, parameters=parameters, most=most)

    def churn(self) -> None:
        """Change the models as in one day: some vanish, return, change their price, or are new."""
        dice, ids = self.dice, sorted(self.now)
        present = [model_id for model_id in ids if self.now[model_id].listed]
        for model_id in dice.sample(present, dice.randrange(len(present) // 12)):
            self.now[model_id] = replace(self.now[model_id], listed=False)
        for model_id in ids:
            if not self.now[model_id].listed and dice.random() < 0.4:
                self.now[model_id] = replace(self.now[model_id], listed=True)
        for change, most in ((self.reprice, 8), (self.equip, 8)):
            listed = [model_id for model_id in ids if self.now[model_id].listed]
            for model_id in dice.sample(listed, dice.randrange(most)):
                change(model_id)
        for _ in range(dice.randrange(3)):
            self.invent(f"maker-{dice.randrange(20)}/model-{len(self.now)}")

    def vanish(self, ids: set[str]) -> None:
        """Remove these models for now."""
        for model_id in ids:
            self.now[model_id] = replace(self.now[model_id], listed=False)

    def listing(self) -> list[Any]:
        """List all current rows, in random order."""
        rows = [row for model_id, row in self.rows.items() if self.now[model_id].listed]
        self.dice.shuffle(rows)
        return rows

    def bad_rows(self) -> list[Any]:
        """Make unreadable rows; none of them has the id of a known model."""
        new = f"bad/{self.dice.randrange(10**9)}"
        bad = [
            None,
            {},
            {"id": 7},
            {"id": "white space"},
            {"id": new, "name": "\0"},
            {"id": new, "description": "\ud800"},
        ]
        return self.dice.sample(bad, self.dice.randrange(1, len(bad)))

    def accept(self) -> None:
        """Assume that the current list was applied; what it lacks stays as it was known."""
        for model_id, now in self.now.items():
            known = self.known.get(model_id)
            truth = now if now.listed else known and replace(known, listed=False)
            if truth and known != truth:
                self.known[model_id] = truth
                self.changes[model_id] += 1


def _some_price(dice: random.Random) -> Decimal:
    return Decimal(dice.randrange(1, 10**6)).scaleb(-12)
