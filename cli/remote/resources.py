"""Ask a door for what the commands about prompts need."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from cli.remote import door
from core import amounts
from core.failures import InvalidInput
from core.resources.estimates import Cost, Estimate, Usual

_WAIT_SECONDS = 30
_PAUSE_SECONDS = 0.5
_TEST_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Published:
    """A version after publishing: money in US dollars and atomic USDC."""

    number: int
    is_new: bool
    price_usdc: str
    worst_cost_usd: Decimal
    warnings: tuple[str, ...]
    obstacle: str | None


def publish_all(
    documents: Sequence[dict[str, object]],
    *,
    draft: bool = False,
    only_new: bool = False,
    dry_run: bool = False,
    allow_loss: bool = False,
    allow_breaking: bool = False,
) -> list[dict[str, Any]]:
    """Put documents on sale, or save them as drafts, all or none; refusals name `N.field`."""
    wish = {
        "documents": documents,
        "draft": draft,
        "only_new": only_new,
        "dry_run": dry_run,
        "allow_loss": allow_loss,
        "allow_breaking": allow_breaking,
    }
    try:
        kept = door.ask("POST", "/me/publish", body=wish).json()
    except InvalidInput as refusal:
        fields = {name.removeprefix("documents."): sentence for name, sentence in refusal.fields.items()}
    else:
        return [
            {
                "url": one["url"],
                "slug": one["slug"],
                "price_usdc": one["priceUsdc"],
                "resource_id": one["resourceId"],
                "version_id": one["versionId"],
                "number": one["version"],
                "worst_cost_usd": Decimal(one["worstCostUsd"]),
                "warnings": one["warnings"],
                "is_new": one["isNew"],
                "obstacle": one["obstacle"],
            }
            for one in kept
        ]
    raise InvalidInput(fields)


def estimate(document: dict[str, object], margin: Decimal | None) -> Estimate:
    """Estimate what a call costs."""
    asked = {"draft": document, "margin": None if margin is None else str(margin)}
    told = door.ask("POST", "/estimate", body=asked).json()
    error = told["typicalError"]
    usual = Usual(
        told["basis"],
        told["calls"],
        Decimal(told["inputTokens"]),
        Decimal(told["outputTokens"]),
        None if error is None else Decimal(error),
        told["typicalErrorCalls"],
    )
    return Estimate(told["maxOutputTokens"], usual, _cost(told["onItsModel"]), tuple(map(_cost, told["cheaper"])))


def listing() -> list[dict[str, Any]]:
    """List the prompts, each with the reason why it is not sold."""
    return [
        {
            "slug": one["slug"],
            "title": one["title"],
            "model": one["model"],
            "modality": one["modality"],
            "version": one["version"],
            "price_usdc": one["priceUsdc"],
            "worst_cost_usd": amounts.dollars(Decimal(one["worstCostUsd"])),
            "state": one["obstacle"] or "ready",
            "advice": one["advice"],
            "model_notice": one["modelNotice"],
        }
        for one in door.ask("GET", "/me/resources").json()
    ]


def switch(slug: str, verb: str) -> None:
    """Archive or restore a prompt.

    Raises:
        NotFound: there is no such prompt.
    """
    door.ask("POST", f"{_path(slug)}/{verb}")


def document(slug: str, version: int | None) -> dict[str, object]:
    """Read the document of a version.

    Raises:
        NotFound: there is no such version.
    """
    return dict(door.ask("GET", _path(slug), params={"version": version}).json()["document"])


def publish(slug: str, version: int | None, *, dry_run: bool, allow_loss: bool, allow_breaking: bool) -> Published:
    """Put a version on sale; None: the draft.

    Raises:
        NotFound: there is no such version.
    """
    flags = {"dry_run": dry_run, "allow_loss": allow_loss, "allow_breaking": allow_breaking}
    verb = "publish" if version is None else f"versions/{version}/offer"
    told = door.ask("POST", f"{_path(slug)}/{verb}", body=flags).json()
    return Published(
        told["version"],
        told["isNew"],
        told["priceUsdc"],
        Decimal(told["worstCostUsd"]),
        tuple(told["warnings"]),
        told["obstacle"],
    )


def versions(slug: str) -> list[dict[str, Any]]:
    """List the versions of a prompt, newest first.

    Raises:
        NotFound: there is no such prompt.
    """
    return [
        {
            "version": one["version"],
            "state": one["state"],
            "title": one["title"],
            "model": one["model"],
            "price_usdc": one["priceUsdc"],
            "created_at": datetime.fromisoformat(one["createdAt"]),
        }
        for one in door.ask("GET", f"{_path(slug)}/versions").json()["versions"]
    ]


def try_out(slug: str, inputs: dict[str, str], version: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a prompt for free, and wait for the answer.

    Returns:
        The answer, and the facts of the test as `POST /me/resources/{slug}/test` tells them.

    Raises:
        NotFound: there is no such version.
        Refused: there was no answer.
    """
    # The same request again is answered as the first, which may still run.
    headers = {"Idempotency-Key": str(uuid4()), "Prefer": f"wait={_WAIT_SECONDS}"}
    path, until = f"{_path(slug)}/test", time.monotonic() + _TEST_SECONDS
    while time.monotonic() < until:
        answer = door.ask(
            "POST", path, body=inputs, params={"version": version}, headers=headers, seconds=2 * _WAIT_SECONDS
        )
        if answer.status_code == 200:
            result = answer.json()
            return {name: value for name, value in result.items() if name not in ("receipt", "test")}, result["test"]
        time.sleep(_PAUSE_SECONDS)
    raise door.Refused("the test still runs; look at: instant executions list")


def switch_model(slug: str, model: str, inputs: dict[str, str]) -> dict[str, Any]:
    """Move a prompt to another model after a test, as `POST /me/resources/{slug}/switch` tells it.

    Raises:
        NotFound: there is no such prompt.
    """
    body = {"model": model, "inputs": inputs}
    return dict(door.ask("POST", f"{_path(slug)}/switch", body=body, seconds=_TEST_SECONDS).json())


def _path(slug: str) -> str:
    return f"/me/resources/{quote(slug, safe='')}"


def _cost(told: dict[str, Any]) -> Cost:
    price, safe = (
        None if told[name] is None else amounts.atomic_usdc(told[name]) for name in ("priceUsdc", "safePriceUsdc")
    )
    least, typical, worst = (Decimal(told[name]) for name in ("leastUsd", "typicalUsd", "worstUsd"))
    return Cost(told["model"], least, typical, worst, price, safe)
