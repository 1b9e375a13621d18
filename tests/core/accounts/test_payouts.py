"""Where a creator is paid: a change waits, can be cancelled, and is told; quoted offers keep the old address."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from core import db
from core.accounts import authentication, payouts
from core.accounts.accounts import Account
from core.failures import Denied, InvalidInput, NotFound, PaymentRequired
from core.notices import messages
from core.notices import rules as notice_rules
from core.payments import matching, offers, quotes
from core.resources import readiness
from core.settings import SANDBOX_NETWORK, settings
from tests import practice
from tests.selling import ADDRESS, creator, publish

OLD, NEW, THIRD = ADDRESS.lower(), "0x" + "12" * 20, "0x" + "34" * 20


async def in_force(conn: db.Connection, owner: Account) -> Any:
    """What the next offer asks to pay, as `sale_state` says."""
    rows = await conn.execute(
        "SELECT payouts FROM sale_state('2 days') WHERE account_id = %s AND is_on_offer", [owner.id]
    )
    return {network: address.lower() for network, address in (await rows.fetchall())[0].payouts.items()}


async def wait(conn: db.Connection, owner: Account) -> None:
    """Let the change be in force."""
    await conn.execute("UPDATE payout_addresses SET next_from = now() WHERE account_id = %s", [owner.id])


@pytest.fixture
async def owner(conn: db.Connection) -> Account:
    owner = await creator(conn)
    await publish(conn, owner)
    return owner


async def test_a_change_waits(conn: db.Connection, owner: Account) -> None:
    """Offers have the old address until then; a change before is replaced, one after follows it."""
    (row,) = await payouts.change(conn, owner.id, SANDBOX_NETWORK, NEW)
    assert (row.address.lower(), row.next_address) == (OLD, NEW)
    assert row.next_from is not None
    delay = timedelta(seconds=settings().payout_delay_seconds)
    assert timedelta(hours=23) < row.next_from - datetime.now(UTC) <= delay
    assert await in_force(conn, owner) == {SANDBOX_NETWORK: OLD}
    await payouts.change(conn, owner.id, SANDBOX_NETWORK, THIRD)
    await wait(conn, owner)
    assert await in_force(conn, owner) == {SANDBOX_NETWORK: THIRD}
    (row,) = await payouts.listing(conn, owner.id)
    assert (row.address, row.next_address, row.next_from) == (THIRD, None, None)
    with pytest.raises(NotFound):
        await payouts.cancel(conn, owner.id, SANDBOX_NETWORK)

    await payouts.change(conn, owner.id, SANDBOX_NETWORK, NEW)
    assert await in_force(conn, owner) == {SANDBOX_NETWORK: THIRD}
    await payouts.cancel(conn, owner.id, SANDBOX_NETWORK)
    assert [tuple(row) for row in await payouts.listing(conn, owner.id)] == [(SANDBOX_NETWORK, THIRD, None, None)]


@pytest.mark.parametrize(
    ("network", "address", "fields"),
    [
        ("eip155:1", "0x1", ["address", "network"]),
        (None, None, ["address", "network"]),
        (SANDBOX_NETWORK, "0x" + "00" * 20, ["address"]),
        (SANDBOX_NETWORK, ADDRESS, ["address"]),
    ],
)
async def test_what_is_no_change(
    conn: db.Connection, owner: Account, network: object, address: object, fields: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await payouts.change(conn, owner.id, network, address)
    assert sorted(caught.value.fields) == fields


async def test_a_quote_keeps_its_address(conn: db.Connection, owner: Account) -> None:
    """A payment for an offer from before the change is good; without that offer's quote, or by another, it is not."""
    version, _ready = await readiness.on_sale(conn, owner.handle, "haiku")
    now = {SANDBOX_NETWORK: NEW}

    def paid(address: str, quote: str) -> Any:
        accepts = offers.payment_required(version, {SANDBOX_NETWORK: address}, "", quote).accepts
        return practice.payment(practice.wallet(), accepts[0])

    quote = quotes.make_quote(version, {SANDBOX_NETWORK: ADDRESS}.items())
    assert matching.match(paid(OLD, quote), version, now).pay_to == OLD
    assert matching.match(paid(NEW, quote), version, now).pay_to == NEW
    for address, other in (
        (OLD, quotes.make_quote(version, now.items())),
        (OLD, quotes.make_quote(version, {"eip155:1": OLD}.items())),
        (THIRD, quote),
    ):
        with pytest.raises(PaymentRequired, match="wrong_pay_to"):
            matching.match(paid(address, other), version, now)


async def test_a_change_is_told(conn: db.Connection, owner: Account) -> None:
    """Once for each change; the first address of an account is none."""

    async def told() -> list[dict[str, Any]]:
        await notice_rules.record_findings(conn)
        rows = await conn.execute(
            "SELECT facts FROM notices WHERE account_id = %s AND rule = 'payout_changing' ORDER BY facts ->> 'until'",
            [owner.id],
        )
        return [row.facts for row in await rows.fetchall()]

    assert await told() == []
    await payouts.change(conn, owner.id, SANDBOX_NETWORK, NEW)
    (facts,) = await told()
    assert await told() == [facts]
    message = messages.message_for("payout_changing", owner.handle, None, facts, to_operator=False)
    assert NEW in message.body
    assert f"DELETE /me/payouts/{SANDBOX_NETWORK}/next" in message.body
    await conn.execute(
        "INSERT INTO payout_addresses (account_id, network, address, created_at)"
        " VALUES (%s, 'eip155:1', %s, now() + interval '1 s')",
        [owner.id, THIRD],
    )
    added = next(facts for facts in await told() if not facts["replaces"])
    assert THIRD in messages.message_for("payout_changing", owner.handle, None, added, to_operator=False).body


def test_a_sign_in_is_fresh_for_five_minutes() -> None:
    def identity(**age: float) -> authentication.Identity:
        signed_in_at = datetime.now(UTC) - timedelta(**age) if age else None
        return authentication.Identity(Account(uuid4(), "ada"), frozenset({"money"}), signed_in_at=signed_in_at)

    identity(minutes=4).require_fresh()
    for old in (identity(minutes=6), identity()):
        with pytest.raises(Denied, match="sign_in_needed"):
            old.require_fresh()
