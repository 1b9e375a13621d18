"""A wallet that is new opens an account, as the operator allows."""

from uuid import uuid4

import pytest
from eth_account import Account as Wallet

from core import db
from core.accounts import sessions, sign_up
from core.accounts.sign_in import SignedIn
from core.failures import Denied, InvalidInput
from core.settings import SANDBOX_NETWORK, settings


def wallet(*, is_contract: bool = False) -> SignedIn:
    return SignedIn(Wallet.create().address.lower(), SANDBOX_NETWORK, is_contract, uuid4().hex)


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch) -> object:
    def use(how: str) -> None:
        monkeypatch.setattr(sign_up, "settings", lambda: settings().model_copy(update={"signup": how}))

    return use


def handle() -> str:
    return f"s{uuid4().hex[:9]}"


async def test_nobody_unless_the_operator_says_so(conn: db.Connection) -> None:
    code, _ = await sign_up.invite(conn, 1)
    with pytest.raises(Denied, match="wallet_unknown"):
        await sign_up.sign_up(conn, wallet(), handle(), code)


@pytest.mark.parametrize("is_contract", [False, True])
async def test_anybody(conn: db.Connection, allow: object, is_contract: bool) -> None:
    """The new account signs in with the wallet, and is paid at it on that network."""
    assert callable(allow)
    allow("open")
    new, name = wallet(is_contract=is_contract), handle()
    account = await sign_up.sign_up(conn, new, name, None)

    assert account.handle == name
    assert await sessions.account_of(conn, new) == account
    paid = await conn.execute("SELECT network, address FROM payout_addresses WHERE account_id = %s", [account.id])
    assert [tuple(row) for row in await paid.fetchall()] == [(SANDBOX_NETWORK, new.address)]
    tokens = await conn.execute("SELECT FROM api_tokens WHERE account_id = %s", [account.id])
    assert await tokens.fetchall() == []
    for name, field in ((None, "handle"), ("No", "handle"), (account.handle, "handle")):
        with pytest.raises(InvalidInput) as caught:
            await sign_up.sign_up(conn, wallet(), name, None)
        assert list(caught.value.fields) == [field]


async def test_whoever_is_invited(conn: db.Connection, allow: object) -> None:
    """An invitation opens one account, while it lasts; errors are named together."""
    assert callable(allow)
    allow("invite")
    code, _ = await sign_up.invite(conn, 1)
    old, _ = await sign_up.invite(conn, 1)
    await conn.execute("UPDATE invites SET expires_at = now() WHERE code_sha256 = sha256(%s)", [old.encode()])
    for wrong in (None, "invite_none", old):
        with pytest.raises(InvalidInput) as caught:
            await sign_up.sign_up(conn, wallet(), "No", wrong)
        assert sorted(caught.value.fields) == ["handle", "invite"]
    await sign_up.sign_up(conn, wallet(), handle(), code)
    with pytest.raises(InvalidInput) as caught:
        await sign_up.sign_up(conn, wallet(), handle(), code)
    assert list(caught.value.fields) == ["invite"]
    for days in (0, 366):
        with pytest.raises(InvalidInput):
            await sign_up.invite(conn, days)
