"""Accounts: tokens that open one account, payable addresses, and keys that nobody can read back."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import db
from core.accounts import accounts, authentication, provider_keys
from core.failures import InvalidInput, NotFound, Unauthorized
from core.providers import client as provider_client
from core.providers.registry import OPENROUTER
from core.resources import readiness, versions
from core.secrets.private import Private
from core.settings import SANDBOX_NETWORK
from tests.selling import ADDRESS, creator, forget, publish


@pytest.fixture
async def stored(database: str, practice_openrouter: str) -> AsyncIterator[tuple[db.Pool, accounts.Account]]:
    """A pool and a committed creator, for code that calls the provider between two transactions."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            owner = await creator(conn)
        yield pool, owner
        async with pool.connection() as conn:
            await forget(conn, owner)
    await provider_client.close()


def fresh_key() -> Private[str]:
    """A key that the practice OpenRouter accepts."""
    return Private(f"sk-or-v1-practice-{uuid4().hex}")


async def order(openrouter: str, key: Private[str], **wishes: bool) -> None:
    """Set the practice OpenRouter's facts about this key."""
    async with httpx.AsyncClient() as http:
        answer = await http.put(f"{openrouter.removesuffix('/api/v1')}/practice/keys/{key.reveal()}", json=wishes)
    answer.raise_for_status()


# --- accounts and tokens

# The first example of EIP-55.
CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


async def test_a_token_opens_its_own_account_only(conn: db.Connection) -> None:
    """Two creators, two tokens; each is the one and never the other."""
    ada_id, ada = await accounts.create(conn, f"a{uuid4().hex[:9]}", {SANDBOX_NETWORK: ADDRESS})
    bob_id, bob = await accounts.create(conn, f"b{uuid4().hex[:9]}", {SANDBOX_NETWORK: ADDRESS})

    assert ada.startswith("x4i_")
    assert (await authentication.authenticate(conn, ada)).account.id == ada_id
    assert (await authentication.authenticate(conn, bob)).account.id == bob_id
    assert len({ada_id, bob_id, ada, bob}) == 4


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + " ", lambda t: t.upper(), lambda _: "", lambda _: "ü"]
)
async def test_a_wrong_token_opens_nothing(conn: db.Connection, change: object) -> None:
    """A token that differs in one place opens nothing."""
    _, token = await accounts.create(conn, f"a{uuid4().hex[:9]}", {SANDBOX_NETWORK: ADDRESS})
    assert callable(change)

    with pytest.raises(Unauthorized):
        await authentication.authenticate(conn, change(token))


async def test_a_token_is_nowhere_in_the_rows(conn: db.Connection) -> None:
    """Only its hash is stored."""
    _, token = await accounts.create(conn, f"a{uuid4().hex[:9]}", {SANDBOX_NETWORK: ADDRESS})

    assert token not in await everything(conn)


async def test_a_handle_is_given_once(conn: db.Connection) -> None:
    """The second creator of a handle is refused, and the first account is unchanged."""
    first = await creator(conn)
    with pytest.raises(InvalidInput) as caught:
        await accounts.create(conn, first.handle, {SANDBOX_NETWORK: "0x" + "1" * 40})

    assert list(caught.value.fields) == ["handle"]
    assert await accounts.find(conn, first.handle) == first
    with pytest.raises(NotFound):
        await accounts.find(conn, "nobody")


@pytest.mark.parametrize(
    ("handle", "payouts", "field"),
    [
        ("Ada", {SANDBOX_NETWORK: ADDRESS}, "handle"),
        ("", {SANDBOX_NETWORK: ADDRESS}, "handle"),
        ("a" * 41, {SANDBOX_NETWORK: ADDRESS}, "handle"),
        ("-a", {SANDBOX_NETWORK: ADDRESS}, "handle"),
        ("a\n", {SANDBOX_NETWORK: ADDRESS}, "handle"),
        ("ada", {}, "payouts"),
        ("ada", {"eip155:8453": ADDRESS}, "payouts.eip155:8453"),
        ("ada", {SANDBOX_NETWORK: "0x" + "0" * 40}, f"payouts.{SANDBOX_NETWORK}"),
        ("ada", {SANDBOX_NETWORK: ADDRESS + "0"}, f"payouts.{SANDBOX_NETWORK}"),
        ("ada", {SANDBOX_NETWORK: "ada.eth"}, f"payouts.{SANDBOX_NETWORK}"),
        ("ada", {SANDBOX_NETWORK: CHECKSUMMED.replace("f", "F", 1)}, f"payouts.{SANDBOX_NETWORK}"),
        ("ada", {SANDBOX_NETWORK: CHECKSUMMED.replace("3", "4", 1)}, f"payouts.{SANDBOX_NETWORK}"),
    ],
)
async def test_what_is_no_account(conn: db.Connection, handle: str, payouts: dict[str, str], field: str) -> None:
    """Handles that fit no URL, networks that are not served and addresses that cannot be paid are named."""
    with pytest.raises(InvalidInput) as caught:
        await accounts.create(conn, handle, payouts)

    assert list(caught.value.fields) == [field]


@pytest.mark.parametrize("spelled", [CHECKSUMMED, CHECKSUMMED.lower(), "0x" + CHECKSUMMED[2:].upper()])
async def test_an_address_without_capitals_says_nothing_about_itself(conn: db.Connection, spelled: str) -> None:
    """An address in all lower or all upper case carries no checksum that could be wrong."""
    await accounts.create(conn, f"a{uuid4().hex[:9]}", {SANDBOX_NETWORK: spelled})


async def test_limits_change_alone(conn: db.Connection) -> None:
    """A change of one limit leaves the other limits, and other creators', as they were."""
    account_id, _ = await accounts.create(conn, f"a{uuid4().hex[:9]}", {SANDBOX_NETWORK: ADDRESS})
    other_id, _ = await accounts.create(conn, f"b{uuid4().hex[:9]}", {SANDBOX_NETWORK: ADDRESS})
    before = await accounts.set_limits(conn, other_id)
    changed = await accounts.set_limits(conn, account_id, slots=2, daily_spend_cap_usd=Decimal("0.5"))

    assert changed == accounts.Limits(2, before.queue_limit, Decimal("0.5"))
    assert await accounts.set_limits(conn, account_id) == changed
    assert await accounts.set_limits(conn, other_id) == before
    with pytest.raises(NotFound):
        await accounts.set_limits(conn, uuid4(), slots=2)


@pytest.mark.parametrize("cap", [Decimal("-1"), Decimal("NaN"), Decimal("Infinity")])
async def test_a_spend_cap_is_an_amount(conn: db.Connection, cap: Decimal) -> None:
    """Values that Postgres would accept but that no comparison survives are refused as caps."""
    with pytest.raises(InvalidInput) as caught:
        await accounts.create(conn, "ada", {SANDBOX_NETWORK: ADDRESS}, daily_spend_cap_usd=cap)

    assert list(caught.value.fields) == ["daily_spend_cap_usd"]


async def test_the_list_shows_where_everybody_is_paid(conn: db.Connection) -> None:
    """The list has each account once, with its addresses as they were given."""
    owner = await creator(conn)
    await publish(conn, owner)
    (row,) = [row for row in await accounts.listing(conn) if row.handle == owner.handle]

    assert row.payouts == {SANDBOX_NETWORK: ADDRESS}
    assert (row.keys, row.resources) == ([], 1)


# --- provider keys


async def test_a_key_is_checked_sealed_and_opened_again(
    stored: tuple[db.Pool, accounts.Account],
) -> None:
    """A key that OpenRouter accepts is stored sealed: only a call can open it, and its text is nowhere in the rows."""
    pool, owner = stored
    key = fresh_key()
    state = await provider_keys.set_key(pool, owner.id, Private(f"  {key.reveal()}\n"))

    async with pool.connection() as conn:
        rows = await everything(conn)
        opened = await readiness.open_key(conn, owner.id, OPENROUTER)
    assert opened.reveal() == key.reveal()
    assert (state.enabled, state.rejected_at) == (True, None)
    assert state.label in rows
    assert key.reveal() not in rows
    assert key.reveal().encode().hex() not in rows


@pytest.mark.parametrize("wish", ["revoked", "management"])
async def test_a_key_that_cannot_make_calls_changes_nothing(
    stored: tuple[db.Pool, accounts.Account], practice_openrouter: str, wish: str
) -> None:
    """The creator is told that a key is refused or only manages keys, and the previous key stays."""
    pool, owner = stored
    good, bad = fresh_key(), fresh_key()
    await provider_keys.set_key(pool, owner.id, good)
    await order(practice_openrouter, bad, **{wish: True})

    with pytest.raises(InvalidInput) as caught:
        await provider_keys.set_key(pool, owner.id, bad)
    assert list(caught.value.fields) == ["key"]
    assert bad.reveal() not in str(caught.value.fields)
    assert caught.value.__cause__ is None
    async with pool.connection() as conn:
        assert (await readiness.open_key(conn, owner.id, OPENROUTER)).reveal() == good.reveal()


@given(st.one_of(st.text(max_size=7), st.text("é \n\0", min_size=1), st.just("k" * 513), st.just("sk-or-v1-a b")))
async def test_what_is_no_key_is_refused_before_anybody_is_asked(database: str, text: str) -> None:
    """A key that would not fit into a header never reaches the provider."""
    async with db.pool() as pool:
        with pytest.raises(InvalidInput) as caught:
            await provider_keys.set_key(pool, uuid4(), Private(text))

    assert list(caught.value.fields) == ["key"]


async def test_another_key_starts_unrejected_and_a_late_refusal_of_the_old_one_does_not_stop_it(
    stored: tuple[db.Pool, accounts.Account],
) -> None:
    """A 401 rejects only the key that it was an answer to."""
    pool, owner = stored
    old, new = fresh_key(), fresh_key()
    await provider_keys.set_key(pool, owner.id, old)
    async with pool.connection() as conn:
        await provider_keys.reject_key(conn, owner.id, old, OPENROUTER)
        rejected = await provider_keys.key_state(conn, owner.id)
    replaced = await provider_keys.set_key(pool, owner.id, new)
    async with pool.connection() as conn:
        await provider_keys.reject_key(conn, owner.id, old, OPENROUTER)
        late = await provider_keys.key_state(conn, owner.id)

    assert rejected is not None
    assert rejected.rejected_at is not None
    assert replaced.rejected_at is None
    assert late == replaced


async def test_a_key_can_be_switched_off_without_being_sent_again(stored: tuple[db.Pool, accounts.Account]) -> None:
    """The switch stays off under a new key; without a key there is nothing to switch."""
    pool, owner = stored
    async with pool.connection() as conn:
        with pytest.raises(NotFound):
            await provider_keys.enable_key(conn, owner.id, False)
    await provider_keys.set_key(pool, owner.id, fresh_key())
    async with pool.connection() as conn:
        await provider_keys.enable_key(conn, owner.id, False)

    assert not (await provider_keys.set_key(pool, owner.id, fresh_key())).enabled


async def test_concurrent_keys_leave_one_that_opens(stored: tuple[db.Pool, accounts.Account]) -> None:
    """After concurrent changes, the stored key can be opened, whichever was last."""
    pool, owner = stored
    keys = [fresh_key() for _ in range(4)]
    await asyncio.gather(*(provider_keys.set_key(pool, owner.id, key) for key in keys))
    async with pool.connection() as conn:
        opened = await readiness.open_key(conn, owner.id, OPENROUTER)

    assert opened.reveal() in {key.reveal() for key in keys}


async def test_deleting_a_key_counts_what_depended_on_it(stored: tuple[db.Pool, accounts.Account]) -> None:
    """Archived resources and other creators' do not count; without a key the count is 0."""
    pool, owner = stored
    await provider_keys.set_key(pool, owner.id, fresh_key())
    async with pool.connection() as conn:
        for slug in ("one", "two", "three"):
            await publish(conn, owner, slug=slug)
        await versions.archive(conn, owner.id, "three")

        assert await provider_keys.delete_key(conn, owner.id) == 2
        assert await provider_keys.delete_key(conn, owner.id) == 0
        assert await provider_keys.key_state(conn, owner.id) is None


async def everything(conn: db.Connection) -> str:
    """All rows of all our tables, as text."""
    tables = await (
        await conn.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    ).fetchall()
    dump = [await (await conn.execute(f'SELECT * FROM "{name}"'.encode())).fetchall() for (name,) in tables]  # noqa: S608
    return f"{dump}" + "".join(
        value.hex() for rows in dump for row in rows for value in row if isinstance(value, bytes)
    )
