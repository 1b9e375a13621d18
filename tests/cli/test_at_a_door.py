"""Creators' commands at a door: from any folder, without a database, and with the same output as on the server."""

import json
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from eth_account import Account

from cli.app import main
from cli.remote import logins, sign_in
from cli.remote.logins import Login
from core import db
from core.accounts import sessions
from core.failures import InvalidInput
from core.secrets.private import Private
from tests import forks, leaks, shops
from tests.shops import MODEL, Buyer, Shop

SEA = f"""\
slug: sea
title: The sea
model: {MODEL}
template: |
  Write a line about {{topic}}{{/topic}}.
parameters:
  - name: topic
max_output_tokens: 64
price_usdc: 0.05
"""


@pytest.fixture
async def pool(database: str) -> AsyncIterator[db.Pool]:
    """The door's database."""
    async with db.pool() as opened:
        yield opened


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder, with nothing of ours in it."""
    (tmp_path / "sea.yaml").write_text(SEA)
    return tmp_path


def instant(home: Path, *arguments: str, words: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a command there, with none of our settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("INSTANT_", "PREFECT_"))}
    environment = clean | {"XDG_CONFIG_HOME": str(home / "config")} | more
    return forks.run("cli", *arguments, environment=environment, words=words, first=partial(os.chdir, home))


async def test_from_a_token_to_the_numbers(door: str, shop: Shop, home: Path) -> None:
    """Everything that a creator needs, from another folder; every error names the door."""
    handle = shop.account.handle
    nowhere = instant(home, "resources", "list", handle)
    assert (nowhere.returncode, "instant login URL" in nowhere.stderr) == (2, True)
    wrong = instant(home, "login", door, words="x4i_wrong\n")
    assert (wrong.returncode, "does not know this token" in wrong.stderr, door in wrong.stderr) == (1, True, True)
    assert not (home / "config").exists()

    begun = instant(home, "login", f"{door}/", "--token-file", "-", words=f"{shop.token}\n")
    assert (begun.returncode, begun.stderr) == (0, "")
    kept = home / "config" / "instant" / "login.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert [file.name for file in kept.parent.iterdir()] == ["login.json"]
    assert instant(home, "whoami").stdout == f"You are {handle} at {door}.\n"

    created = instant(home, "resources", "create", handle, "sea.yaml")
    assert created.stdout.startswith(f"{door}/@{handle}/sea  version 1, on offer: 0.05 USDC")
    tested = instant(home, "resources", "test", handle, "sea", "-p", "topic=rain", "--json")
    assert json.loads(tested.stdout)["test"]["version"] == 1, tested.stderr
    moved = instant(home, "resources", "switch", handle, "sea", MODEL, "-p", "topic=rain", "--json")
    assert json.loads(moved.stdout or "{}").get("model", moved.stderr.count(door)) in (MODEL, 1)
    async with (await Buyer().fund()).client(timeout=30) as http:
        sold = await http.post(f"{door}/@{handle}/sea", json={"topic": "rain"}, headers={"Prefer": "wait=20"})
    assert sold.status_code == 200
    usage = json.loads(instant(home, "usage", "report", "--by", "resource", "--kind", "paid", "--json").stdout)
    assert [(row["subject"], row["revenue_usdc"]) for row in usage["rows"]] == [(f"/@{handle}/sea", "0.05")]

    other = instant(home, "resources", "list", "somebody")
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr == f"instant at {door}: handle: you are {handle} there, not somebody\n"
    server_only = instant(home, "money", "check")
    assert (server_only.returncode, door in server_only.stderr) == (2, True)
    everything = "".join(done.stdout + done.stderr for done in (begun, created, tested, moved, other, server_only))
    assert leaks.found(everything.encode(), {"token": shop.token, "key": shop.key}) == set()

    assert instant(home, "logout").returncode == 0
    assert not kept.exists()
    assert instant(home, "whoami").returncode == 2
    assert instant(home, "whoami", INSTANT_URL=door, INSTANT_TOKEN=shop.token).returncode == 0


async def test_a_wallet_signs_in(door: str, shop: Shop, home: Path, pool: db.Pool) -> None:
    """It makes a token with the name of this machine; the session ends; a wallet that is unknown opens nothing here."""
    wallet, key = Account.create(), home / "wallet.key"
    key.write_text(wallet.key.hex())
    key.chmod(0o600)
    stranger = instant(home, "login", door, "--wallet-file", str(key), "--handle", "ada")
    assert (stranger.returncode, "belongs to no account" in stranger.stderr) == (1, True)
    async with pool.connection() as conn:
        await sessions.add_wallet(conn, shop.account.id, wallet.address, None)
    begun = instant(home, "login", door, "--wallet", "--json", INSTANT_WALLET_KEY=key.read_text())
    assert (begun.returncode, json.loads(begun.stdout)["handle"]) == (0, shop.account.handle), begun.stderr
    tokens = json.loads(instant(home, "creators", "tokens", shop.account.handle, "--json").stdout)
    assert tokens[0]["name"].startswith("instant on ")
    open_sessions = "SELECT FROM sessions WHERE account_id = %(id)s AND ended_at IS NULL"
    assert await shops.rows(pool, open_sessions, id=shop.account.id) == []
    assert leaks.found((begun.stdout + begun.stderr).encode(), {"key": key.read_text()}) == set()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("good.example wants", "evil.example wants"),
        ("URI: https://good.example", "URI: https://evil.example"),
        ("URI: https://good.example", "URI: http://good.example"),
        ("0x" + "ab" * 20, "0x" + "cd" * 20),
        ("URI: ", "URL: "),
        ("Version: 1", "URI: https://evil.example"),
    ],
)
def test_nothing_is_signed_for_another_place(wrong: str, right: str) -> None:
    """A door cannot have its visitors sign in to another door."""
    message = (
        "good.example wants you to sign in with your Ethereum account:\n0x" + "ab" * 20 + "\n\nSign in.\n\n"
        "URI: https://good.example\nVersion: 1\nChain ID: 1\nNonce: 12345678\nIssued At: 2026-01-01T00:00:00Z"
    )
    address = "0x" + "AB" * 20
    assert sign_in.is_for("https://good.example", address, message)
    assert not sign_in.is_for("https://good.example", address, message.replace(wrong, right, 1))


READS = [
    ["resources", "list", "HANDLE"],
    ["resources", "show", "HANDLE", "haiku"],
    ["resources", "show", "HANDLE", "nothing"],
    ["resources", "versions", "HANDLE", "haiku"],
    ["resources", "diff", "HANDLE", "haiku", "2"],
    ["resources", "estimate", "HANDLE", "FILE", "--margin", "0.3"],
    ["resources", "estimate", "HANDLE", "FILE", "--margin", "7"],
    ["resources", "create", "HANDLE", "FILE", "--dry-run"],
    ["resources", "create", "HANDLE", "FILE", "BAD", "--dry-run"],
    ["resources", "publish", "HANDLE", "haiku", "--version", "1", "--dry-run", "--allow-breaking"],
    ["resources", "publish", "HANDLE", "haiku", "--version", "9"],
    ["resources", "archive", "HANDLE", "no/such?thing"],
    ["resources", "import", "HANDLE", "OLDER", "--model", MODEL],
    ["keys", "disable", "HANDLE"],
    ["keys", "enable", "HANDLE"],
    ["keys", "enable", "HANDLE", "--provider", "anthropic"],
    ["creators", "tokens", "HANDLE"],
    ["creators", "payouts", "HANDLE"],
    ["creators", "revoke", "HANDLE", str(uuid4())],
    ["notices", "list", "--creator", "HANDLE"],
    ["notices", "addresses", "HANDLE"],
    ["refunds", "wallet", "HANDLE"],
    ["refunds", "change-wallet", "HANDLE", "--no-enabled"],
    ["refunds", "remove-wallet", "HANDLE"],
    ["usage", "report", "--by", "resource", "--creator", "HANDLE"],
    ["usage", "report", "--by", "day", "--kind", "test", "--creator", "HANDLE"],
]


@pytest.fixture
def logged_in(door: str, shop: Shop, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A login at the door, in a process that has a database too."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("INSTANT_PREFECT_DATABASE_URL", os.environ["INSTANT_DATABASE_URL"])
    logins.write(Login(door, Private(shop.token), shop.account.handle))
    return shop


def test_the_same_is_printed(
    logged_in: Shop, door: str, home: Path, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    """On the server and at its door: text, JSON, exit code, and refusals, but for the name of the door."""
    older = {"resource_type": "prompt_template", "name": "Old", "pt_system_prompt": "Say {x}{/x}.", "slug": "haiku"}
    (home / "older.json").write_text(json.dumps(older | {"pt_parameters": [{"name": "x"}], "network": "base"}))
    (home / "bad.yaml").write_text(SEA.replace("0.05", "0.0001").replace("sea", "bad"))
    words = {"HANDLE": logged_in.account.handle, "FILE": str(home / "sea.yaml")}
    words |= {"BAD": str(home / "bad.yaml"), "OLDER": str(home / "older.json")}
    (home / "haiku.yaml").write_text(SEA.replace("sea", "haiku"))
    assert main(["resources", "create", words["HANDLE"], str(home / "haiku.yaml"), "--allow-breaking"]) == 0
    capsys.readouterr()
    elsewhere = f"instant: on the database of this machine; your login at {door} needs --at {door}\n"

    def told(arguments: list[str], *more: str) -> tuple[int, str, str]:
        code = main([*arguments, *more])
        said = capsys.readouterr()
        errors = said.err.replace(elsewhere, "").replace(f"instant at {door}:", "instant:")
        return code, _without_what_moves(said.out), errors

    codes = set()
    for command in READS:
        arguments = [words.get(word, word) for word in command]
        for form in ([], ["--json"]):
            here, there = told(arguments, *form), told(arguments, *form, "--at", door)
            assert here == there, arguments
            codes.add(here[0])
    assert codes == {0, 1}
    assert main(["resources", "list", words["HANDLE"]]) == 0
    assert capsys.readouterr().err == elsewhere


def _without_what_moves(text: str) -> str:
    """What is printed without the ids of a dry run, and the time of a report or of a token's last use."""
    moving = ('"complete_until"', '"used_at"', '"version_id"', '"resource_id"')
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith(moving))


def test_what_is_changed(logged_in: Shop, door: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys, tokens and notice addresses are changed at the door; a secret comes by standard input."""
    handle, key = logged_in.account.handle, f"sk-or-v1-practice-{uuid4().hex}"
    at = ["--at", door, "--json"]
    stored = instant(home, "keys", "set", handle, words=f"{key}\n")
    assert (stored.returncode, stored.stdout) == (0, f"{handle} now sells on the key {stored.stdout.split()[-1]}\n")
    assert key not in stored.stdout + stored.stderr
    refused = instant(home, "keys", "set", handle, words="nonsense\n")
    assert (refused.returncode, "key: OpenRouter does not accept this key" in refused.stderr) == (1, True)
    assert main(["keys", "delete", handle, *at]) == 0
    assert json.loads(capsys.readouterr().out) == {"affected_resources": 1}
    assert main(["creators", "token", handle, "--name", "reader", "--scope", "read", *at]) == 0
    reader = json.loads(capsys.readouterr().out)["token"]
    assert main(["creators", "tokens", handle, *at]) == 0
    newest = json.loads(capsys.readouterr().out)[0]
    lacking = instant(home, "resources", "archive", handle, "haiku", INSTANT_URL=door, INSTANT_TOKEN=reader)
    assert (lacking.returncode, "lacks the scope publish" in lacking.stderr) == (1, True)
    assert main(["creators", "revoke", handle, newest["id"], *at]) == 0
    assert instant(home, "whoami", INSTANT_URL=door, INSTANT_TOKEN=reader).returncode == 1
    added = instant(home, "notices", "add", "--name", "phone", "--json", words="json://127.0.0.1:9/x\n")
    assert main(["notices", "remove", json.loads(added.stdout)["id"], handle, "--at", door]) == 0
    assert main(["resources", "archive", handle, "haiku", "--at", door]) == 0
    assert main(["resources", "restore", handle, "haiku", "--at", door]) == 0
    capsys.readouterr()
    assert main(["resources", "list", handle, *at]) == 0
    assert [row["state"] for row in json.loads(capsys.readouterr().out)] == ["key_missing"]
    for arguments, code in (
        (["resources", "list", handle, "--at", "http://example.com"], 1),
        (["resources", "list", handle, "--at", "https://example.com"], 2),
        (["resources", "list", handle, "--at"], 1),
        (["creators", "list", "--at", door], 1),
        (["resources", "list", handle, "--at", f"{door}/nothing"], 2),
    ):
        assert main(arguments) == code, arguments
    logins.write(Login("http://127.0.0.1:9", Private("x"), handle))
    assert main(["resources", "list", handle, "--at", "http://127.0.0.1:9"]) == 1
    assert "instant at http://127.0.0.1:9: it cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Example.com/", "https://example.com"),
        ("https://example.com:8443/shop/", "https://example.com:8443/shop"),
        ("http://localhost:8402", "http://localhost:8402"),
        ("http://127.0.0.2:1", "http://127.0.0.2:1"),
        ("http://[::1]:1", "http://[::1]:1"),
        ("http://example.com", None),
        ("http://10.0.0.1", None),
        ("http://localhost.example.com", None),
        ("https://canary:canary@example.com", None),
        ("https://example.com/?a=b", None),
        ("https://example.com:port", None),
        ("example.com", None),
        ("ftp://example.com", None),
        ("https://[::1", None),
    ],
)
def test_where_a_token_may_go(text: str, url: str | None) -> None:
    """Over TLS, or not over a network at all."""
    if url is not None:
        assert logins.door_url(text, "url") == url
        return
    with pytest.raises(InvalidInput) as refused:
        logins.door_url(text, "url")
    assert list(refused.value.fields) == ["url"]
