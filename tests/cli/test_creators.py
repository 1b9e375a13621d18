"""`instant creators`, `keys`, `resources`: output, exit codes, and secrets that are never printed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import yaml

from cli.app import main
from core.settings import SANDBOX_NETWORK
from tests import forks
from tests.selling import ADDRESS, FORGET
from tests.servers import free_port

HAIKU = """\
slug: haiku
title: 2026
model: test/cli
template: |
  canary-template: write a haiku about {topic}{/topic}
parameters:
  - name: topic
    default: no
temperature: 0.7
price_usdc: 2.01
"""


@pytest.fixture(scope="module", autouse=True)
def elsewhere(database: str) -> Iterator[None]:
    """Set Prefect's database URL: the tests do not open it, but without a URL the embedded server would start."""
    given = os.environ.get("INSTANT_PREFECT_DATABASE_URL")
    os.environ["INSTANT_PREFECT_DATABASE_URL"] = given or database
    yield
    if given is None:
        del os.environ["INSTANT_PREFECT_DATABASE_URL"]


@pytest.fixture(scope="module", autouse=True)
def model(database: str) -> Iterator[None]:
    """A model to publish on, in the catalog for as long as these tests run."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO models (id, name, context_length, input_modalities, output_modalities, supported_parameters,"
            " prompt_usd, completion_usd, raw)"
            " VALUES ('test/cli', 'CLI', 128000, '{text}', '{text}', '{temperature}', 0.000001, 0.00001, '{}')"
        )
        before = conn.execute("SELECT array_agg(id) FROM accounts").fetchone()
        yield
        ours = conn.execute("SELECT id FROM accounts WHERE id <> ALL(coalesce(%s, '{}'::uuid[]))", before).fetchall()
        for statement in FORGET:
            conn.execute(statement.encode(), {"accounts": [row[0] for row in ours], "model": "test/cli"})


@pytest.fixture
def handle(capsys: pytest.CaptureFixture[str]) -> str:
    """A creator of their own for each test."""
    name = f"c{uuid4().hex[:9]}"
    assert main(["creators", "add", name, "--payout", f"{SANDBOX_NETWORK}={ADDRESS}"]) == 0
    capsys.readouterr()
    return name


def test_adding_a_creator_prints_the_token_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The token is shown when it is made, whole and on a line of its own, and never in a list."""
    name = f"c{uuid4().hex[:9]}"
    code = main(["creators", "add", name, "--payout", f"{SANDBOX_NETWORK}={ADDRESS}"])
    token = capsys.readouterr().out.splitlines()[0]
    listed = said(capsys, "creators", "list")
    replaced = said(capsys, "creators", "token", name)

    assert code == 0
    assert (token[:4], len(token)) == ("x4i_", 47)
    assert token not in str(listed)
    assert [row["payouts"] for row in listed if row["handle"] == name] == [{SANDBOX_NETWORK: ADDRESS}]
    assert replaced["token"] != token


def test_tokens_are_made_listed_and_revoked(capsys: pytest.CaptureFixture[str], handle: str) -> None:
    """A token has the name, scopes and days that were asked for; a list shows all that work, and no token."""
    made = said(
        capsys, "creators", "token", handle, "--name", "shop", "--scope", "read", "--scope", "keys", "--days", "3"
    )
    listed = said(capsys, "creators", "tokens", handle)
    newest = listed[0]
    revoked = said(capsys, "creators", "revoke", handle, newest["id"])
    left = said(capsys, "creators", "tokens", handle)

    assert (newest["name"], newest["scopes"], newest["used_at"]) == ("shop", ["read", "keys"], None)
    assert newest["expires_at"] is not None
    assert made["token"] not in str(listed)
    assert revoked == {"handle": handle, "revoked": newest["id"]}
    assert left == listed[1:]


def test_a_wallet_signs_in_to_one_account(capsys: pytest.CaptureFixture[str], handle: str) -> None:
    address = "0x" + uuid4().hex + "00000000"
    added = said(capsys, "creators", "wallet", handle, address)

    assert added == {"handle": handle, "address": address, "contract_on": None}
    for wrong in ([address], ["0x" + address[2:].upper()], [address[:-1]], [ADDRESS, "--contract-on", "eip155:1"]):
        assert main(["creators", "wallet", handle, *wrong]) == 1
    capsys.readouterr()


def test_limits_can_be_changed(capsys: pytest.CaptureFixture[str], handle: str) -> None:
    """Limits change one at a time; a list shows them; an invalid limit changes nothing."""
    changed = said(capsys, "creators", "set", handle, "--slots", "2", "--daily-spend-cap-usd", "0.50")
    refused = main(["creators", "set", handle, "--slots", "0", "--queue-limit", "7"])
    capsys.readouterr()
    (listed,) = (row for row in said(capsys, "creators", "list") if row["handle"] == handle)

    assert refused == 1
    assert changed == {"handle": handle, "slots": 2, "queue_limit": 200, "daily_spend_cap_usd": "0.50"}
    assert {name: listed[name] for name in changed} == changed


def test_caps_of_a_creator(capsys: pytest.CaptureFixture[str], handle: str) -> None:
    """Caps change one at a time, `none` removes one, and an invalid one changes nothing."""
    said(capsys, "creators", "caps", handle, "--monthly-usd", "20.50", "--per-call-usd", "0.25")
    for wrong in ("-1", "lots", "nan"):
        assert main(["creators", "caps", handle, "--monthly-usd", "1", "--daily-usd", wrong]) == 1
    capsys.readouterr()
    left = said(capsys, "creators", "caps", handle, "--per-call-usd", "none")

    assert left == {
        "handle": handle,
        "own_daily_spend_cap_usd": None,
        "monthly_spend_cap_usd": "20.50",
        "most_per_call_usd": None,
        "spent_today_usd": "0",
        "spent_this_month_usd": "0",
    }


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["creators", "add", "Ada", "--payout", f"{SANDBOX_NETWORK}={ADDRESS}"], "handle"),
        (["creators", "add", "ada", "--payout", ADDRESS], "payout"),
        (["creators", "add", "ada", "--payout", f"eip155:8453={ADDRESS}"], "payouts.eip155:8453"),
        (["creators", "token", "nobody"], "handle"),
        (["creators", "token", "nobody", "--scope", "write"], "scopes"),
        (["creators", "revoke", "nobody", str(uuid4())], "handle"),
        (["creators", "set", "nobody", "--slots", "2"], "handle"),
        (["keys", "set", "nobody", "--from-env", "INSTANT_TEST_NO_SUCH_VARIABLE"], "from_env"),
        (["keys", "delete", "nobody"], "handle"),
        (["resources", "list", "nobody"], "handle"),
        (["resources", "archive", "nobody", "haiku"], "handle"),
    ],
)
def test_what_is_refused_is_named(capsys: pytest.CaptureFixture[str], arguments: list[str], field: str) -> None:
    """A refusal is exit code 1 and one line for each field, on the error stream."""
    assert main(arguments) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{field}: " in captured.err


def test_a_prompt_goes_on_sale_and_off(capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path) -> None:
    """Create, list, archive and restore; a YAML number never becomes a float, and a bare word stays text."""
    file = written(tmp_path, "haiku.yaml", HAIKU)
    estimated = said(capsys, "resources", "estimate", handle, file, "--margin", "0.5")
    assert main(["resources", "estimate", handle, str(file), "--margin", "1"]) == 1
    (created,) = said(capsys, "resources", "create", handle, file)
    (again,) = said(capsys, "resources", "create", handle, file)
    states = [said(capsys, "resources", "list", handle)[0]]
    for verb in ("archive", "restore"):
        said(capsys, "resources", verb, handle, "haiku")
        states += said(capsys, "resources", "list", handle)

    assert estimated["usual"]["basis"] == "estimate"
    assert estimated["on_its_model"]["typical_usd"] is not None
    assert (created["price_usdc"], created["number"], created["is_new"]) == ("2.01", 1, True)
    assert created["url"].endswith(f"/@{handle}/haiku")
    assert (again["version_id"], again["is_new"]) == (created["version_id"], False)
    assert [state["state"] for state in states] == ["key_missing", "archived", "key_missing"]
    assert (states[0]["title"], states[0]["price_usdc"]) == ("2026", "2.01")
    assert main(["resources", "archive", handle, "nothing"]) == 1


def test_a_draft_is_published_compared_and_taken_back(
    capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path
) -> None:
    """Drafts, dry runs, versions, their difference, a rollback, and the document as a file that changes nothing."""
    file = written(tmp_path, "haiku.yaml", HAIKU)
    said(capsys, "resources", "create", handle, file, "--dry-run")
    assert said(capsys, "resources", "list", handle) == []
    said(capsys, "resources", "create", handle, file, "--draft")
    assert said(capsys, "resources", "list", handle)[0]["state"] == "draft"
    assert said(capsys, "resources", "publish", handle, "haiku", "--dry-run")["dry_run"] is True
    assert [one["state"] for one in said(capsys, "resources", "versions", handle, "haiku")] == ["draft"]
    said(capsys, "resources", "publish", handle, "haiku")
    said(capsys, "resources", "create", handle, written(tmp_path, "dear.yaml", HAIKU.replace("2.01", "3")))
    states = [one["state"] for one in said(capsys, "resources", "versions", handle, "haiku")]
    differs = said(capsys, "resources", "diff", handle, "haiku", "2")
    said(capsys, "resources", "publish", handle, "haiku", "--version", "1")
    assert main(["resources", "show", handle, "haiku", "--version", "1"]) == 0
    shown = written(tmp_path, "shown.yaml", capsys.readouterr().out)
    (same,) = said(capsys, "resources", "create", handle, shown)
    as_json = json.dumps(said(capsys, "resources", "show", handle, "haiku"))
    (again,) = said(capsys, "resources", "create", handle, written(tmp_path, "shown.json", as_json))

    assert states == ["on_offer", "replaced"]
    assert differs == [{"field": "price_usdc", "before": "2.01", "after": "3"}]
    assert (same["number"], same["is_new"], again["is_new"]) == (1, False, False)
    assert main(["resources", "show", handle, "nothing"]) == 1
    assert main(["resources", "publish", handle, "haiku", "--version", "9"]) == 1


def test_older_prompts_become_drafts(capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path) -> None:
    """All rows of a file, or none; what differs is said, and nothing is on sale."""
    row = {"resource_type": "prompt_template", "name": "Old", "pt_system_prompt": "Say {x}{/x}.", "price_usdc": 3}
    row |= {"pt_parameters": [{"name": "x"}], "network": "base"}
    good = written(tmp_path, "old.json", json.dumps(row))
    bad = written(tmp_path, "bad.json", json.dumps([row, row | {"slug": "new", "pt_system_prompt": "{y}{/y}"}]))
    assert main(["resources", "import", handle, bad, "--model", "test/cli"]) == 1
    assert "new: template: Tags without a parameter: y" in capsys.readouterr().err
    (kept,) = said(capsys, "resources", "import", handle, good, "--model", "test/cli")
    assert main(["resources", "import", handle, good, "--model", "test/cli"]) == 1

    assert kept["slug"] == "old"
    assert any("network" in sentence for sentence in kept["differences"])
    assert [one["state"] for one in said(capsys, "resources", "versions", handle, "old")] == ["draft"]


def test_people_read_the_same_as_programs(capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path) -> None:
    """Without --json there are tables and sentences; a possible loss is a warning with both numbers."""
    cheap = written(tmp_path, "cheap.yaml", HAIKU.replace("2.01", "0.01").replace("2026", '"[red]loud[/red]"'))
    main(["resources", "create", handle, cheap])
    created = capsys.readouterr()
    main(["resources", "list", handle])
    listed = capsys.readouterr()
    main(["creators", "list"])

    assert "version 1, on offer: 0.01 USDC" in created.out
    assert "warning: A call can cost you up to $" in created.err
    assert "[red]loud[/red]" in listed.out
    assert handle in capsys.readouterr().out


def test_a_terminal_obeys_no_title(
    capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path, database: str
) -> None:
    """What was published before such titles were refused is shown escaped, in tables, sentences and errors."""
    said(capsys, "resources", "create", handle, written(tmp_path, "haiku.yaml", HAIKU))
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "UPDATE resource_versions SET title = %s FROM resources JOIN accounts ON accounts.id = account_id"
            " WHERE resources.id = resource_id AND handle = %s",
            ["\x1b]0;owned\a\u202eyou", handle],
        )
    assert main(["resources", "list", handle]) == 0
    listed = capsys.readouterr().out
    assert main(["resources", "list", "\x1b[31mnobody"]) == 1
    refused = capsys.readouterr().err

    assert "\\x1b]0;owned\\x07\\u202eyou" in listed
    assert "there is no creator \\x1b[31mnobody" in refused
    assert not {"\x1b", "\a", "\u202e"} & set(listed + refused)


@pytest.mark.parametrize(
    ("content", "said_of_it"),
    [
        (HAIKU.replace("2.01", "!!float 2.01"), "price_usdc: write it in quotes"),
        (HAIKU.replace("2.01", "0.0001"), "price_usdc: must be at least 0.001 USDC"),
        (HAIKU + "surprise: 1\n", "surprise: "),
        (HAIKU.replace("test/cli", "test/other"), "model: "),
        (HAIKU.replace("{topic}{/topic}", "{thing}{/thing}"), "template: "),
        (HAIKU.replace("  canary", "  canary" * 5_000).replace("2.01", "0.001"), "price_usdc: the template"),
        ("- a list", "must be a mapping"),
        ("{ slug: [", "is not YAML"),
        ("a: !!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_a_file_that_cannot_be_published_publishes_nothing(
    capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path, content: str, said_of_it: str
) -> None:
    """Each sentence names its file, and the other files are not published either."""
    good, bad = written(tmp_path, "a.yaml", HAIKU.replace("haiku", "good")), written(tmp_path, "b.yaml", content)

    assert main(["resources", "create", handle, good, bad]) == 1
    error = capsys.readouterr().err
    assert "b.yaml: " in error
    assert said_of_it in error
    assert "canary" not in error
    assert said(capsys, "resources", "list", handle) == []


def test_a_certain_loss_needs_consent(capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path) -> None:
    """--allow-loss publishes a prompt that is refused without it."""
    file = written(tmp_path, "loss.yaml", HAIKU.replace("  canary", "  canary" * 5_000).replace("2.01", "0.001"))

    assert main(["resources", "create", handle, file]) == 1
    assert main(["resources", "create", handle, file, "--allow-loss"]) == 0
    capsys.readouterr()


def test_a_key_comes_by_standard_input_and_is_never_shown(
    capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path, practice_openrouter: str
) -> None:
    """The key is read from stdin or a variable, makes prompts ready, and is gone when deleted."""
    said(capsys, "resources", "create", handle, written(tmp_path, "haiku.yaml", HAIKU))
    key = f"sk-or-v1-practice-{uuid4().hex}"
    process = forks.run("cli", "keys", "set", handle, "--json", environment=os.environ, words=f"{key}\n")
    ready = said(capsys, "resources", "list", handle)[0]["state"]
    os.environ["INSTANT_TEST_KEY"] = f"sk-or-v1-practice-{uuid4().hex}"
    from_variable = said(capsys, "keys", "set", handle, "--from-env", "INSTANT_TEST_KEY")
    del os.environ["INSTANT_TEST_KEY"]
    switched = []
    for verb in ("disable", "enable"):
        said(capsys, "keys", verb, handle)
        switched.append(said(capsys, "resources", "list", handle)[0]["state"])
    deleted = said(capsys, "keys", "delete", handle)

    assert (process.returncode, process.stderr) == (0, "")
    assert json.loads(process.stdout)["enabled"] is True
    assert key not in process.stdout
    assert ready == "ready"
    assert from_variable["rejected_at"] is None
    assert switched == ["key_disabled", "ready"]
    assert deleted == {"affected_resources": 1}
    assert main(["keys", "enable", handle]) == 1


def test_a_key_with_nothing_left_is_said_to_sell_nothing(
    capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path, practice_openrouter: str
) -> None:
    """The key is stored, because its limit may be raised, and the sentence says why nothing is sold on it."""
    key = f"sk-or-v1-practice-{uuid4().hex}"
    control = f"{practice_openrouter.removesuffix('/api/v1')}/practice/keys/{key}"
    httpx.put(control, json={"credits": "0"}, trust_env=False).raise_for_status()
    said(capsys, "resources", "create", handle, written(tmp_path, "haiku.yaml", HAIKU))
    process = forks.run("cli", "keys", "set", handle, environment=os.environ, words=f"{key}\n")

    assert process.returncode == 0
    assert f"{handle} sells nothing on it: nothing is left under its spend limit" in process.stdout
    assert said(capsys, "resources", "list", handle)[0]["state"] == "key_spent"


def test_a_key_of_another_provider(
    capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path, practice_openrouter: str
) -> None:
    """`--provider` selects the provider; its model is priced by the operator, and sold only on that key."""
    assert main(["keys", "set", handle, "--provider", "nobody"]) == 1
    claude = "anthropic:claude-haiku-4-5"
    price = ("--prompt-usd", "3", "--completion-usd", "15", "--context", "200000", "--longest-answer", "64000")
    said(capsys, "catalog", "price", claude, *price)
    listed = said(capsys, "catalog", "show", claude)
    said(capsys, "resources", "create", handle, written(tmp_path, "x.yaml", HAIKU.replace("test/cli", claude)))
    os.environ["INSTANT_TEST_KEY"] = f"sk-ant-practice-{uuid4().hex}"
    try:
        states = [said(capsys, "resources", "list", handle)[0]["state"]]
        said(capsys, "keys", "set", handle, "--provider", "anthropic", "--from-env", "INSTANT_TEST_KEY")
        states.append(said(capsys, "resources", "list", handle)[0]["state"])
    finally:
        del os.environ["INSTANT_TEST_KEY"]
    (row,) = [one for one in said(capsys, "creators", "list") if one["handle"] == handle]
    capsys.readouterr()
    assert main(["creators", "list"]) == 0
    shown = capsys.readouterr().out
    switched = said(capsys, "keys", "disable", handle, "--provider", "anthropic")

    assert (listed["prompt_usd"], listed["completion_usd"], listed["obstacle"]) == ("0.000003", "0.000015", None)
    assert states == ["key_missing", "ready"]
    assert [(key["provider"], key["enabled"]) for key in row["keys"]] == [("anthropic", True)]
    assert f"anthropic {row['keys'][0]['label']}" in shown
    assert switched["enabled"] is False
    assert said(capsys, "keys", "delete", handle, "--provider", "openrouter") == {"affected_resources": 0}
    assert said(capsys, "keys", "delete", handle, "--provider", "anthropic") == {"affected_resources": 1}
    assert main(["catalog", "price", "openai/gpt-5", *price]) == 1
    assert main(["catalog", "price", claude, *price, "--parameter", "response_format"]) == 1
    assert "parameters: of models of Anthropic can be none" in capsys.readouterr().err


def test_a_key_that_cannot_be_checked_is_not_kept(handle: str) -> None:
    """While OpenRouter is down nothing is changed, and the sentence says so."""
    process = forks.run(
        *("cli", "keys", "set", handle),
        environment=os.environ | {"INSTANT_OPENROUTER_PORT": str(free_port())},
        words="sk-or-v1-practice-unreachable\n",
    )

    assert (process.returncode, process.stdout) == (1, "")
    assert "key: OpenRouter could not be asked" in process.stderr


def test_the_documented_file_can_be_published(capsys: pytest.CaptureFixture[str], handle: str, tmp_path: Path) -> None:
    """The example of docs/creators.md can be published unchanged, except for the model."""
    page = (Path(__file__).parents[2] / "docs" / "creators.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n", 1)[1].split("```", 1)[0]
    model = yaml.safe_load(example)["model"]

    assert said(capsys, "resources", "create", handle, written(tmp_path, "x.yaml", example.replace(model, "test/cli")))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run a command with --json, which must succeed; return its document."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def written(folder: Path, name: str, content: str) -> str:
    """Write a file with that content; return its path."""
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


def test_master_keys_rotate(capsys: pytest.CaptureFixture[str]) -> None:
    """With the key that everything is sealed under already, there is nothing to do, and both commands say so."""
    rotated = said(capsys, "keys", "rotate")
    code = main(["keys", "masters"])
    printed = capsys.readouterr()

    assert (rotated["resealed"], rotated["use"]["newest"], rotated["use"]["in_use"]) == (0, "test", {})
    assert (code, printed.out.splitlines()[0]) == (0, "'test' seals.")


def test_old_keys_are_refused_by_row(capsys: pytest.CaptureFixture[str], tmp_path: Path, handle: str) -> None:
    """A row that cannot be opened is told with its creator, and exit code 1; a file of another form names its row."""
    rows, other = tmp_path / "rows.json", tmp_path / "other.json"
    rows.write_text(json.dumps([{"handle": handle, "encrypted_api_key": "00:11", "user_id": 1}]))
    other.write_text('[{"handle": "ada"}]')
    os.environ["INSTANT_TEST_OLD"] = "practice"
    codes = [main(["keys", "import", str(file), "--from-env", "INSTANT_TEST_OLD", "--json"]) for file in (rows, other)]
    del os.environ["INSTANT_TEST_OLD"]
    printed = capsys.readouterr()

    assert codes == [1, 1]
    assert json.loads(printed.out)[0]["reason"] == "the old secret does not open it"
    assert printed.err.startswith("instant: 0.encrypted_api_key: must be a JSON list")
