"""Signing in with a wallet: what is signed, by whom, once, and for how long."""

import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eth_account import Account as Wallet
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from core import db
from core.accounts import authentication, sessions, sign_in
from core.accounts.sign_in import SignedIn
from core.failures import InvalidInput, Unauthorized, Unavailable
from core.net import json_client
from core.secrets.digests import sha256
from core.settings import SANDBOX_NETWORK, settings
from tests import practice
from tests.selling import creator

MINE = Wallet.create()
# No node listens there, so whoever asks it is told so.
NOBODY = "http://127.0.0.1:9"


def signed(text: str, by: LocalAccount = MINE) -> str:
    return "0x" + by.sign_message(encode_defunct(text=text)).signature.hex()


def stamp(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def message(nonce: str = "", **changes: str) -> str:
    """A message as EIP-4361 has it, with other parts than usual; `<3>` in one is the time in three minutes."""
    parts = {
        "domain": sign_in.domain(),
        "address": MINE.address,
        "statement": "\nHello.\n",
        "uri": f"{settings().public_url}/desk",
        "version": "1",
        "chain": "402402",
        "nonce": nonce or sign_in.make_nonce(),
        "issued": stamp(0),
        "more": "",
    } | {name: re.sub(r"<(-?[0-9]+)>", lambda found: stamp(float(found[1])), part) for name, part in changes.items()}
    return (
        "{domain} wants you to sign in with your Ethereum account:\n{address}\n{statement}\nURI: {uri}\n"
        "Version: {version}\nChain ID: {chain}\nNonce: {nonce}\nIssued At: {issued}{more}"
    ).format_map(parts)


@pytest.fixture
async def http() -> AsyncIterator[json_client.Client]:
    async with json_client.client() as client:
        yield client


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"statement": "\n"},
        {"domain": f"http://{sign_in.domain()}"},
        {"more": "\nExpiration Time: <5>\nNot Before: <-5>"},
        {"more": "\nRequest ID: \nResources:"},
        {"more": "\nRequest ID: a-1\nResources:\n- ipfs://x/y?z\n- https://example.org/#a"},
        {"issued": datetime.now(UTC).isoformat()},
    ],
)
async def test_a_good_message_signs_in(http: json_client.Client, changes: dict[str, str]) -> None:
    nonce = sign_in.make_nonce()
    text = message(nonce, **changes)

    assert await sign_in.verify(http, text, signed(text)) == SignedIn(
        MINE.address.lower(), SANDBOX_NETWORK, is_contract=False, nonce=nonce
    )


async def test_our_own_message_signs_in(http: json_client.Client) -> None:
    text = sign_in.message_for(MINE.address.lower(), settings().networks[0], sign_in.make_nonce())
    assert (await sign_in.verify(http, text, signed(text))).address == MINE.address.lower()


@pytest.mark.parametrize(
    "changes",
    [
        {"domain": "evil.example"},
        {"domain": f"https://{sign_in.domain()}"},
        {"domain": f"x@{sign_in.domain()}"},
        {"uri": "https://evil.example"},
        {"uri": f"{settings().public_url}.evil.example"},
        {"uri": f"{settings().public_url}@evil.example"},
        {"address": MINE.address.lower()},
        {"version": "2"},
        {"chain": "1"},
        {"chain": "0402402"},
        {"nonce": "12345678"},
        {"nonce": "a" * 64},
        {"nonce": sign_in.make_nonce().swapcase()},
        {"nonce": sign_in.make_nonce()[:-1]},
        {"issued": "<3>"},
        {"issued": "2026-02-30T00:00:00Z"},
        {"issued": "yesterday"},
        {"more": "\nExpiration Time: <-1>"},
        {"more": "\nNot Before: <3>"},
        {"more": "\nNot Before: <-3>\nExpiration Time: <3>"},
        {"more": "\n"},
        {"statement": "\nOne.\nTwo.\n"},
        {"statement": "\nPlease sïgn.\n"},
        {"statement": ""},
    ],
)
async def test_another_message_does_not(http: json_client.Client, changes: dict[str, str]) -> None:
    """The wallet has signed it, and it is for another door, chain or time, or no message of EIP-4361."""
    text = message(**changes)
    with pytest.raises(InvalidInput) as caught:
        await sign_in.verify(http, text, signed(text))
    assert list(caught.value.fields) == ["message"]


async def test_a_nonce_ends(http: json_client.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "NONCE_SECONDS", -1)
    text = message()
    with pytest.raises(InvalidInput, match="invalid_input"):
        await sign_in.verify(http, text, signed(text))


def node(magic: str, asked: list[Any]) -> Callable[[bytes], bytes]:
    """A node whose contracts all answer with these bytes."""

    def say(body: bytes) -> bytes:
        asked.append(json.loads(body)["params"][0])
        answer = {"jsonrpc": "2.0", "id": 1, "result": magic}
        return practice.reply(200, json.dumps(answer).encode())

    return say


@pytest.fixture
def at_node(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the practice chain's node be at this URL."""

    def use(url: str) -> None:
        network = settings().networks[0].model_copy(update={"rpc_url": url})
        monkeypatch.setattr(sign_in, "settings", lambda: settings().model_copy(update={"networks": (network,)}))

    return use


@pytest.mark.parametrize(
    ("said", "is_good"),
    [
        ("0x1626ba7e" + "00" * 28, True),
        ("0x1626ba7e", False),
        ("0xffffffff" + "00" * 28, False),
        ("0x" + "00" * 28 + "1626ba7e", False),
        ("0x", False),
    ],
)
async def test_a_contract_vouches_for_its_wallet(
    http: json_client.Client, at_node: Callable[[str], None], said: str, is_good: bool
) -> None:
    """Its chain is asked (EIP-1271), with whatever signature it takes."""
    text, asked = message(), []
    async with practice.scripted(node(said, asked)) as url:
        at_node(url)
        for signature in ("0x" + "11" * 65, signed(text, Wallet.create()), "0x" + "22" * 300, "0x"):
            if is_good:
                assert (await sign_in.verify(http, text, signature)).is_contract
            else:
                with pytest.raises(InvalidInput) as caught:
                    await sign_in.verify(http, text, signature)
                assert list(caught.value.fields) == ["signature"]
    assert {call["to"] for call in asked} == {MINE.address}
    assert len(asked) == 4


async def test_a_signature_that_nobody_can_check(http: json_client.Client, at_node: Callable[[str], None]) -> None:
    """Without its chain a contract's signature is neither good nor bad; what is no signature is bad."""
    at_node(NOBODY)
    text = message()
    with pytest.raises(Unavailable):
        await sign_in.verify(http, text, signed(text, Wallet.create()))
    for signature in ("none", "0x" + "11" * 8193):
        with pytest.raises(InvalidInput):
            await sign_in.verify(http, text, signature)


def by(address: str, nonce: str, *, is_contract: bool = False) -> SignedIn:
    return SignedIn(address.lower(), SANDBOX_NETWORK, is_contract, nonce)


async def test_a_wallet_opens_its_account(conn: db.Connection) -> None:
    """A key on every chain, a contract on its own; a wallet belongs to one account."""
    owner, other = await creator(conn), await creator(conn)
    key, contract = Wallet.create().address, Wallet.create().address

    assert await sessions.add_wallet(conn, owner.id, key, None)
    assert await sessions.add_wallet(conn, owner.id, contract, SANDBOX_NETWORK)
    assert not await sessions.add_wallet(conn, other.id, key.lower(), None)
    assert not await sessions.add_wallet(conn, other.id, contract, SANDBOX_NETWORK)
    assert await sessions.account_of(conn, by(key, "1")) == owner
    assert await sessions.account_of(conn, by(contract, "1", is_contract=True)) == owner
    assert await sessions.account_of(conn, by(key, "1", is_contract=True)) is None
    assert await sessions.account_of(conn, by(contract, "1")) is None
    elsewhere = SignedIn(contract.lower(), "eip155:1", True, "1")
    assert await sessions.account_of(conn, elsewhere) is None


async def test_a_session_ends(conn: db.Connection) -> None:
    """A message opens one session. It ends after a pause, after its time, or when its creator says so."""
    owner = await creator(conn)

    async def begin(nonce: str) -> str:
        return (await sessions.begin(conn, owner.id, by(MINE.address, nonce))).secret

    async def is_open(secret: str) -> bool:
        try:
            identity = await authentication.authenticate_session(conn, secret)
        except Unauthorized:
            return False
        identity.require("read", "publish", "keys", "money")
        return identity.account == owner and identity.signed_in_at is not None

    idle, old, left, kept = [await begin(nonce) for nonce in "abcd"]
    with pytest.raises(InvalidInput) as caught:
        await begin("a")
    assert list(caught.value.fields) == ["message"]

    pause = timedelta(seconds=sessions.IDLE_SECONDS)
    used = "UPDATE sessions SET used_at = now() - %s, created_at = now() - %s WHERE session_sha256 = %s"
    await conn.execute(used, [pause, pause, sha256(idle)])
    await conn.execute(used, [pause - timedelta(seconds=1), pause, sha256(kept)])
    await conn.execute("UPDATE sessions SET ends_at = now() WHERE session_sha256 = %s", [sha256(old)])
    session_id = (await authentication.authenticate_session(conn, left)).session_id
    assert session_id is not None
    await sessions.end(conn, owner.id, session_id)
    assert [await is_open(secret) for secret in (idle, old, left, kept)] == [False, False, False, True]

    await authentication.note_use(conn, await authentication.authenticate_session(conn, kept))
    again = await authentication.authenticate_session(conn, kept)
    assert not again.is_use_to_note
    for number in range(20):
        await begin(f"n{number}")
    assert not await is_open(kept)
