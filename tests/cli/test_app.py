"""The `instant` command: its sentences and exit codes when something is wrong."""

import os
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from cli.app import main
from core.secrets.vault import new_master_key
from tests import forks


def _instant(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("INSTANT_", "PREFECT_"))}
    environment = clean | {"INSTANT_STATE_DIR": str(tmp_path / "state")} | settings
    return forks.run("cli", *arguments, environment=environment)


def _sandbox() -> dict[str, str]:
    return {"INSTANT_MODE": "sandbox", "INSTANT_MASTER_KEYS": new_master_key("test")}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["dev", "--help"], ["catalog", "--help"], ["env", "--help"]])
def test_help_needs_no_settings(tmp_path: Path, arguments: list[str]) -> None:
    done = _instant(tmp_path, *arguments)

    assert done.returncode == 0
    assert "Usage: instant" in done.stdout
    assert not (tmp_path / "state").exists()


def test_version(tmp_path: Path) -> None:
    """It is the installed package's, and asking for it needs no settings."""
    done = _instant(tmp_path, "--version")

    assert (done.returncode, done.stdout) == (0, f"{metadata.version('x402-instant')}\n")
    assert not (tmp_path / "state").exists()


DECIMALS = [
    ["buy", "http://127.0.0.1:1/", "--max-price"],
    ["mcp", "http://127.0.0.1:1/mcp", "--max-price"],
    ["mcp", "http://127.0.0.1:1/mcp", "--max-per-day"],
    ["mcp", "http://127.0.0.1:1/mcp", "--confirm-above"],
    ["catalog", "list", "--max-price"],
    ["catalog", "price", "acme:x", "--prompt-usd", "1", "--completion-usd"],
    ["catalog", "price", "acme:x", "--completion-usd", "1", "--prompt-usd"],
    ["creators", "set", "ada", "--daily-spend-cap-usd"],
]


@pytest.mark.parametrize("words", DECIMALS, ids=" ".join)
def test_what_is_no_number_is_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started, asked or spent; the sentence names the option."""
    for wrong in ("abc", "", "NaN", "sNaN", "Infinity"):
        assert main([*words, wrong]) == 2
        said = " ".join(capsys.readouterr().err.replace("│", " ").split())
        assert words[-1] in said
        assert "decimal number" in said


@pytest.mark.parametrize("arguments", [["nonsense"], ["migrate", "--nonsense"]])
def test_a_wrong_command_line_is_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    assert _instant(tmp_path, *arguments).returncode == 2


@pytest.mark.parametrize("command", [["migrate"], ["api"], ["env"], ["catalog", "sync"]])
def test_missing_settings_are_one_sentence_and_exit_2(tmp_path: Path, command: list[str]) -> None:
    done = _instant(tmp_path, *command)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "INSTANT_MODE" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["migrate"],
        ["api"],
        ["executor"],
        ["env"],
        ["dev"],
        ["usage", "report"],
        ["money", "check"],
        ["creators", "list"],
    ],
)
def test_wrong_settings_are_the_same_sentence_everywhere(tmp_path: Path, command: list[str]) -> None:
    """Every command says the same about settings that it may not even need, without a traceback."""
    wrong = {"INSTANT_ADDRESS_RATE": "lots", "INSTANT_TRUSTED_PROXIES": "[canary"}
    done = _instant(tmp_path, *command, **_sandbox() | wrong)

    assert done.returncode == 2
    assert done.stderr == (
        "instant: INSTANT_TRUSTED_PROXIES must be a JSON list; INSTANT_ADDRESS_RATE must be a rate such as 240/minute\n"
    )


def test_dev_refuses_live_mode(tmp_path: Path) -> None:
    done = _instant(tmp_path, "dev", INSTANT_MODE="live")

    assert done.returncode == 2
    assert "INSTANT_MODE" in done.stderr


def test_the_door_refuses_a_database_that_was_not_migrated_and_one_of_the_other_mode(passable: Path) -> None:
    """A command that has to start Postgres stops it again; `env` finds none then."""
    sandbox = _sandbox()
    refused = _instant(passable, "api", **sandbox)
    assert refused.returncode == 2
    assert "instant migrate" in refused.stderr

    assert "applied 0001" in _instant(passable, "migrate", **sandbox).stdout
    assert _instant(passable, "migrate", **sandbox).stdout == "up to date\n"
    network = '[{"id":"eip155:8453","asset":"0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913","asset_name":"USD Coin",'
    network += '"facilitator_url":"http://127.0.0.1:9","rpc_url":"http://127.0.0.1:9"}]'
    live = _instant(passable, "api", **sandbox | {"INSTANT_MODE": "live", "INSTANT_NETWORKS": network})
    assert live.returncode == 2
    assert "INSTANT_MODE=sandbox" in live.stderr

    stopped = _instant(passable, "env", **sandbox)
    assert stopped.returncode == 2
    assert "instant dev" in stopped.stderr


def test_an_unreachable_database_is_a_sentence_without_its_password(tmp_path: Path) -> None:
    nowhere = "postgresql://user:canary-7d21@127.0.0.1:9/instant"
    urls = {"INSTANT_DATABASE_URL": nowhere, "INSTANT_PREFECT_DATABASE_URL": nowhere}
    for command in ("migrate", "api"):
        done = _instant(tmp_path, command, **_sandbox(), **urls)

        assert done.returncode == 1
        assert "INSTANT_DATABASE_URL" in done.stderr
        assert "canary" not in done.stderr + done.stdout
        assert "Traceback" not in done.stderr


def test_env_prints_what_a_shell_can_evaluate(tmp_path: Path) -> None:
    """The shell reads every value as text, whatever it contains."""
    url = "postgresql://user:canary'b$(c) d@127.0.0.1:9/x"
    done = _instant(tmp_path, "env", **_sandbox(), INSTANT_DATABASE_URL=url, INSTANT_PREFECT_DATABASE_URL=url)
    script = f'{done.stdout}\nprintf %s "$INSTANT_DATABASE_URL"'

    shell = subprocess.run(["sh", "-c", script], text=True, capture_output=True, check=True)

    assert shell.stdout == url
    assert "PREFECT_API_URL" in done.stdout
