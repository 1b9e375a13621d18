"""Simulate a churning provider of models: its list, and the catalog that should follow from it.

This module does not use the code that reads lists.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

_PARAMETERS = (
    *("temperature", "top_p", "seed", "tools", "response_format", "reasoning", "structured_outputs", "stop"),
    "web_search_options",
)
_CONTEXT = 128_000
# What a list may have beside the two prices that each has, and what nobody knows.
_MORE_KEYS = (
    *("request", "input_cache_read", "input_cache_write", "input_cache_write_1h", "web_search", "audio"),
    *("image", "image_token", "image_output"),
)


@dataclass(frozen=True)
class Plan:
    """The prices of a model as its provider means them: US dollars, the highest of the day.

    Attributes:
        more: what its list has beside the two prices that each has.
        tiers: above how many tokens of prompt an answer costs how much.
        told: every price as the catalog should keep it; None is no price.
        is_unknown: whatever it makes, nobody can tell what a call costs.
    """

    prompt: Decimal
    completion: Decimal
    more: dict[str, Decimal]
    tiers: tuple[tuple[int, Decimal], ...]
    told: dict[str, Decimal | None]
    is_unknown: bool = False


@dataclass(frozen=True)
class Truth:
    """The correct catalog entry of a model. Prices are US dollars, the highest of the day.

    Attributes:
        charges: by token of prompt and answer, request, image token, cached token, search, picture; None: unknown.
        tiers: above how many tokens of prompt, and the prices of prompt and answer there.
    """

    listed: bool
    parameters: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    most: int = 4096
    charges: tuple[Decimal | None, ...] | None = None
    tiers: tuple[tuple[int, Decimal, Decimal], ...] = ()
    told: tuple[tuple[str, Decimal | None], ...] = ()


@dataclass
class World:
    """A provider, and the published state of its models.

    Attributes:
        rows: the provider's current rows by id.
        now: the truth about each of them.
        known: the correct catalog, after the lists that should have been applied.
        changes: how often each model's published state changed, including the first time.
        plans: the prices of each model as its provider means them.
        twins: models that were renamed, by either id.
    """

    dice: random.Random
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    now: dict[str, Truth] = field(default_factory=dict)
    known: dict[str, Truth] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)
    plans: dict[str, Plan] = field(default_factory=dict)
    twins: dict[str, str] = field(default_factory=dict)

    def invent(self, model_id: str) -> None:
        """Add a new model."""
        self.now[model_id] = Truth(True)
        self.rows[model_id] = {"id": model_id, "canonical_slug": f"{model_id}-2026", "name": model_id.title()}
        self.reprice(model_id)
        self.equip(model_id)

    def rename(self, model_id: str) -> None:
        """List a model under another id, and no longer under the old one."""
        new_id = f"{model_id}-renamed"
        self.invent(new_id)
        self.rows[new_id]["canonical_slug"] = self.rows[model_id]["canonical_slug"]
        self.twins |= {model_id: new_id, new_id: model_id}
        self.vanish({model_id})

    def reprice(self, model_id: str) -> None:
        """Change the prices up to eightfold, often through a conditional override; sometimes to unknown ones."""
        dice, before = self.dice, self.plans.get(model_id)
        if dice.random() < 0.1:
            answer = dice.choice(["-1", "0.1", "free", 0.5, None])
            pricing: dict[str, Any] = {"prompt": "-1", "completion": answer}
            told = {"prompt": None, "completion": Decimal("0.1") if answer == "0.1" else None}
            plan = Plan(Decimal(0), Decimal(0), {}, (), told, is_unknown=True)
        else:
            plan, pricing = self._priced(before.completion if before and before.completion else _some_price(dice))
        self.rows[model_id]["pricing"], self.plans[model_id] = pricing, plan
        self._price_truth(model_id)

    def _priced(self, before: Decimal) -> tuple[Plan, dict[str, Any]]:
        dice = self.dice
        dear = min((before * dice.randrange(1, 33) / 4).quantize(Decimal("1e-18")), Decimal(1)) or _some_price(dice)
        prompt = (dear / dice.randrange(1, 9)).quantize(Decimal("1e-24"))
        if dice.random() < 0.1:
            prompt = dear = Decimal(0)
        more = {key: _some_price(dice) for key in dice.sample(_MORE_KEYS, dice.randrange(4))}
        pricing: dict[str, Any] = {"prompt": f"{prompt:f}", "completion": f"{dear:f}"}
        pricing |= {key: f"{price:f}" for key, price in more.items()}
        told: dict[str, Decimal | None] = {"prompt": prompt, "completion": dear, **more}
        plan = Plan(prompt, dear, more, (), told)
        match dice.choice(["plain", "plain", "hours", "tiers", "unheard of", "null"]):
            case "hours":
                always, sometimes = dice.sample([f"{dear:f}", f"{dear / 2:f}"], 2)
                pricing |= {"completion": always, "discount": 0.25}
                hours = {"utc_start": 1630, "utc_end": 30, "completion": sometimes}
                pricing["overrides"] = [hours, {"utc_days": ["mon"]}]
            case "tiers":
                steps = tuple((above, dear + _some_price(dice) * above) for above in dice.sample([8_000, 32_000], 2))
                beyond = {"min_prompt_tokens": _CONTEXT, "completion": "1"}
                pricing["overrides"] = [
                    beyond,
                    *({"min_prompt_tokens": at, "completion": f"{usd:f}"} for at, usd in steps),
                ]
                first, second = sorted(steps)
                # The second is what it is, or what the first is if that is dearer.
                kept = (first,) if second[1] <= first[1] else (first, second)
                plan = replace(plan, tiers=kept)
            case "unheard of":
                value = dice.choice(["0", "0.05", "-1"])
                pricing["tool_call"] = value
                told["tool_call"] = None if value == "-1" else Decimal(value)
                plan = replace(plan, is_unknown=value != "0")
            case "null":
                pricing["tool_call"] = None
        return plan, pricing

    def _price_truth(self, model_id: str) -> None:
        """What a call is charged by follows from the prices, what the model makes, and whether it searches unasked."""
        truth, plan = self.now[model_id], self.plans[model_id]
        draws, searches = "image" in truth.outputs, "web_search_options" in truth.parameters
        images = [plan.more[key] for key in ("image_output", *(("image_token",) if draws else ())) if key in plan.more]
        cached = [plan.more[key] for key in ("input_cache_read", "input_cache_write") if key in plan.more]
        image, picture = max(images, default=None), plan.more.get("image") if draws else None
        request = plan.more.get("request", Decimal(0))
        charges = (
            *(plan.prompt, plan.completion, request, image, max(cached, default=None)),
            *(plan.more.get("web_search") if searches else None, picture),
        )
        is_hidden = not any(charges) and any(plan.told.values())
        if draws and not any((plan.completion, image, picture, request)):
            is_hidden = True
        is_unknown = plan.is_unknown or is_hidden
        self.now[model_id] = replace(
            truth,
            charges=None if is_unknown else charges,
            tiers=() if is_unknown else tuple((above, plan.prompt, usd) for above, usd in plan.tiers),
            told=tuple(sorted(plan.told.items())),
        )

    def equip(self, model_id: str) -> None:
        """Change capabilities and limits, and add unknown fields."""
        truth, dice = self.now[model_id], self.dice
        parameters, most = tuple(dice.sample(_PARAMETERS, dice.randrange(5))), dice.choice([4096, 8192, 65536])
        outputs = dice.choice([("text",), ("text",), ("text",), ("image", "text"), ("image",)])
        self.rows[model_id] |= {
            "supported_parameters": parameters,
            "top_provider": {"max_completion_tokens": most, "is_moderated": False},
            "architecture": {"input_modalities": ["text"], "output_modalities": outputs},
            "context_length": _CONTEXT,
            f"new_field_{dice.randrange(5)}": {"level": dice.randrange(99), "note": "ü\\u0000"},
        }
        self.now[model_id] = replace(truth, parameters=parameters, outputs=outputs, most=most)
        self._price_truth(model_id)

    def successor(self, model_id: str, disabled: set[str]) -> str | None:
        """The id under which a model that is not listed goes on."""
        twin = self.twins.get(model_id)
        truth = self.known.get(twin) if twin else None
        is_priced = truth is not None and truth.listed and truth.charges is not None and twin not in disabled
        # Models that make pictures alone are called at another endpoint, and are not sold.
        is_sold = is_priced and truth is not None and "text" in truth.outputs
        return twin if is_sold and not self.known[model_id].listed else None

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
        alone = [model_id for model_id in ids if self.now[model_id].listed and model_id not in self.twins]
        if alone and dice.random() < 0.3:
            self.rename(dice.choice(alone))
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
