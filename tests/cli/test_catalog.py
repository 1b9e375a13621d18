"""`instant catalog`: reading the catalog, and setting the operator's flags."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from cli.app import main
from core import db
from core.catalog import model_list
from core.catalog import search as catalog
from core.catalog import sync as catalog_sync
from core.process import scheduled_runs
from core.resources.repricing import reprice
from core.settings import settings
from tests import forks, practice_catalog
from tests.model_lists import listed, listing


@pytest.fixture
def shelf(own_database: str) -> Iterator[None]:
    """A database of its own with three models; the settings name it."""
    given = os.environ.get("INSTANT_PREFECT_DATABASE_URL")
    # The tests do not open it, but without a URL the embedded server would start.
    os.environ["INSTANT_PREFECT_DATABASE_URL"] = given or own_database
    settings.cache_clear()
    asyncio.run(_fill())
    yield
    if given is None:
        del os.environ["INSTANT_PREFECT_DATABASE_URL"]
    settings.cache_clear()


async def _fill() -> None:
    rows = [listed("a/cheap"), listed("b/dear", pricing={"prompt": "1", "completion": "1"}), listed("c/x:batch"), 7]
    async with db.transaction() as conn:
        await catalog_sync.apply(conn, reprice, *model_list.parse(listing(*rows)))


def instant(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run a command, which must succeed; return its JSON."""
    capsys.readouterr()
    assert main(["catalog", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def ids(models: list[dict[str, Any]]) -> list[str]:
    return [model["id"] for model in models]


@pytest.mark.usefixtures("shelf")
def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Sellable models, filtered and sorted as over HTTP; with --all also the others, with the reason."""
    assert ids(instant(capsys, "list")) == ["a/cheap", "b/dear"]
    assert ids(instant(capsys, "list", "DEAR")) == ["b/dear"]
    assert ids(instant(capsys, "list", "--tier", "premium", "--sort", "price")) == ["b/dear"]
    everything = instant(capsys, "list", "--all")
    assert {model["id"]: model["obstacle"] for model in everything} == {
        "a/cheap": None,
        "b/dear": None,
        "c/x:batch": "batch_only",
    }
    assert everything[0]["prompt_usd"] == "0.000001"
    assert main(["catalog", "list"]) == 0
    assert "$1 in, $2 out" in capsys.readouterr().out


@pytest.mark.usefixtures("shelf")
def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    """One model with its history; an unknown one is exit 1."""
    model = instant(capsys, "show", "a/cheap")

    assert (model["tier"], model["history"][0]["completion_usd"], model["resources"]) == ("standard", "0.000002", [])
    assert main(["catalog", "show", "a/none"]) == 1
    assert "a/none: is not in the catalog" in capsys.readouterr().err


@pytest.mark.usefixtures("shelf")
def test_the_operators_word(capsys: pytest.CaptureFixture[str]) -> None:
    """Recommending, disabling and changing the kind take several models, all or none, and each can be undone."""
    instant(capsys, "curate", "a/cheap", "b/dear")
    instant(capsys, "disable", "b/dear")
    assert ids(instant(capsys, "list", "--curated")) == ["a/cheap"]
    assert instant(capsys, "show", "b/dear")["obstacle"] == "disabled"

    instant(capsys, "enable", "b/dear")
    instant(capsys, "uncurate", "a/cheap")
    assert ids(instant(capsys, "list", "--curated")) == ["b/dear"]
    assert ids(instant(capsys, "list", "--no-curated")) == ["a/cheap"]

    instant(capsys, "modality", "audio", "a/cheap")
    assert ids(instant(capsys, "list", "--modality", "audio")) == ["a/cheap"]
    instant(capsys, "modality", "as-listed", "a/cheap")
    assert ids(instant(capsys, "list", "--modality", "text")) == ["a/cheap", "b/dear"]

    assert instant(capsys, "curate", "--by-rule") == {"models": [], "state": "recommended"}
    assert main(["catalog", "curate", "--by-rule", "a/cheap"]) == 1

    assert main(["catalog", "disable", "a/cheap", "a/none"]) == 1
    assert "a/none: is not in the catalog" in capsys.readouterr().err
    assert instant(capsys, "show", "a/cheap")["obstacle"] is None
    assert main(["catalog", "disable"]) == 1
    assert main(["catalog", "modality", "smell", "a/cheap"]) == 2


@pytest.mark.usefixtures("shelf")
def test_status(capsys: pytest.CaptureFixture[str]) -> None:
    """The last syncs in numbers, and the rows in quarantine."""
    said = instant(capsys, "status")

    assert [(sync["outcome"], sync["added"], sync["quarantined"]) for sync in said["syncs"]] == [("applied", 3, 1)]
    assert [(bad["id"], bad["reason"], bad["listed"]) for bad in said["quarantine"]] == [("row 3", "no_id", "7")]


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["disable", "a/cheap"]])
def test_a_reader_that_leaves(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """After `| head` a command ends as by SIGPIPE, without a word, whether it prints a table, text or JSON."""
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert main(["catalog", *arguments]) == 141

    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("own_database", "prefect_server", "practice_openrouter")
async def test_sync() -> None:
    """A sync prints the changes as JSON on standard output, and nothing else; a refusal is a sentence and exit 1.

    While another sync runs, it is a sentence and exit 2.
    """

    def instant(*arguments: str) -> subprocess.CompletedProcess[str]:
        return forks.run("cli", "catalog", "sync", *arguments, environment=os.environ)

    rows = await practice_catalog.listed()
    async with db.transaction() as conn:
        await catalog_sync.apply(conn, reprice, *model_list.parse(listing(*rows)))

    async with practice_catalog.listing(rows[:10]):
        refused = await asyncio.to_thread(instant)
        accepted = json.loads((await asyncio.to_thread(instant, "--json", "--accept-loss")).stdout)
    async with scheduled_runs.hold_lock("catalog_sync"):
        met = await asyncio.to_thread(instant)
    assert (refused.returncode, "instant catalog sync --accept-loss" in refused.stderr) == (1, True)
    assert (met.returncode, met.stdout, "another catalog sync is going on" in met.stderr) == (2, "", True)
    assert (accepted["outcome"], accepted["missing"], accepted["unchanged"]) == ("applied", len(rows) - 10, 10)
    assert {event for change in accepted["changes"] for event in change["events"]} == {"lost"}
    assert len(accepted["changes"]) == len(rows) - 10
    async with db.transaction() as conn:
        assert [row.outcome for row in await catalog.syncs(conn, 9)] == ["applied", "refused", "applied"]
