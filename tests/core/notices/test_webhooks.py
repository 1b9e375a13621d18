"""Webhooks: signed messages from the outbox to a real receiver, by a real sender process."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from core import db
from core.failures import ExecutionFailed, InvalidInput, NotFound
from core.notices import addresses, hook_urls, messages, posting, sender, webhooks
from core.notices import rules as notice_rules
from core.notices.outbox import Delivered
from core.resources import versions
from core.secrets.private import Private
from core.settings import settings
from tests import leaks, orders, shops
from tests.receivers import Receiver, receiver

FAILED = ExecutionFailed("resource_unavailable", "provider", "provider_503")


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def sold(pool: db.Pool) -> versions.Version:
    return await orders.version(pool)


@dataclass(frozen=True)
class Hook:
    """A webhook that a test has added."""

    webhook: webhooks.Webhook
    secret: Private[str]


async def add(pool: db.Pool, sold: versions.Version, url: str, *events: str, name: str = "") -> Hook:
    async with pool.connection() as conn:
        return Hook(*await webhooks.add(conn, sold.account_id, url, events or webhooks.EVENTS, name))


def url_of(here: Receiver) -> str:
    return here.url("http")


async def call(pool: db.Pool, sold: versions.Version, ending: ExecutionFailed | None = FAILED) -> None:
    """A paid call that comes to rest and is logged."""
    launcher = await orders.hire(pool)
    paid = await orders.pay(pool, sold, launcher)
    (order,) = await orders.begin(pool, launcher, [paid])
    await orders.finish(pool, order, ending)


async def later(pool: db.Pool, hours: int = 9) -> None:
    """Let all pauses be over."""
    await shops.rows(
        pool,
        "UPDATE notice_deliveries SET tried_at = tried_at - make_interval(hours => %(hours)s) RETURNING id",
        hours=hours,
    )


async def log(pool: db.Pool) -> list[tuple[Any, ...]]:
    rows = await shops.rows(pool, "SELECT event, state, tries, reason FROM notice_deliveries ORDER BY id")
    return [tuple(row) for row in rows]


def is_signed(secret: Private[str], headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the signatures is that of the secret, computed as the specification says."""
    key = base64.b64decode(secret.reveal()[len("whsec_") :], validate=True)
    content = headers["webhook-id"].encode() + b"." + headers["webhook-timestamp"].encode() + b"." + body
    computed = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return f"v1,{computed}" in headers["webhook-signature"].split(" ")


async def test_a_sale_and_a_failure_are_told_once(pool: db.Pool, sold: versions.Version) -> None:
    """Signed messages with ids, codes and amounts, each once, however many processes deliver; to its creator alone."""
    other = await orders.version(pool)
    async with receiver() as here, receiver() as theirs:
        hook = await add(pool, sold, url_of(here))
        await add(pool, other, url_of(theirs))
        await call(pool, sold)
        done = await asyncio.gather(*(posting.post(pool) for _ in range(3)))
        await posting.post(pool)

    assert sum(one.sent for one in done) == 2
    assert theirs.posted == []
    told = {posted["type"]: posted["data"] for _, posted in here.posted}
    assert told.keys() == {"call.sold", "call.failed"}
    assert told["call.sold"] == told["call.failed"]
    data = told["call.sold"]
    assert (data["slug"], data["version"], data["round"]) == ("haiku", 1, 1)
    assert (data["outcome"], data["fault"], data["detail"]) == ("failed", "provider", "provider_503")
    assert (data["paidUsdc"], data["network"]) == ("0.01", settings().networks[0].id)
    query = "SELECT executions.id, transaction FROM executions JOIN payments ON payments.id = payment_id"
    (execution,) = await shops.rows(pool, query)
    assert (data["executionId"], data["transaction"]) == (str(execution.id), execution.transaction)
    for headers, body in here.messages:
        assert is_signed(hook.secret, headers, body)
        assert not is_signed(Private("whsec_" + base64.b64encode(b"x" * 32).decode()), headers, body)
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
        assert "topic" not in body.decode()
        assert "the sea" not in body.decode()
    assert len({headers["webhook-id"] for headers, _ in here.messages}) == 2


async def test_only_what_was_asked_for(pool: db.Pool, sold: versions.Version) -> None:
    """A webhook is told only its events; an owner's test is no sale."""
    async with receiver() as here:
        await add(pool, sold, url_of(here), "call.sold")
        launcher = await orders.hire(pool)
        (test,) = await orders.begin(pool, launcher, await orders.queue(pool, sold))
        await orders.finish(pool, test, FAILED)
        await call(pool, sold)
        await posting.post(pool)

    assert [posted["type"] for _, posted in here.posted] == ["call.sold"]


async def test_it_is_tried_again_after_a_500(pool: db.Pool, sold: versions.Version) -> None:
    """With the same id, after a pause, signed anew; nothing is sent before the pause is over."""
    async with receiver(answer=b"500 No") as here:
        hook = await add(pool, sold, url_of(here), "call.sold")
        await call(pool, sold)
        passes = [await posting.post(pool), await posting.post(pool)]
        here.answer = b"204 Thanks"
        await later(pool)
        passes.append(await posting.post(pool))

    assert passes == [Delivered(0, 1, 0), Delivered(0, 0, 0), Delivered(1, 0, 0)]
    (first, body), (second, same) = here.messages
    assert first["webhook-id"] == second["webhook-id"]
    assert body == same
    assert is_signed(hook.secret, second, same)
    assert await log(pool) == [("call.sold", "sent", 2, None)]


async def test_a_dead_receiver_is_switched_off(pool: db.Pool, sold: versions.Version) -> None:
    """After seven tries of one message with none taken: its creator gets a notice once, and a trial revives it."""
    async with receiver(answer=b"503 Later") as here:
        hook = await add(pool, sold, url_of(here), "call.sold", name="mine")
        await call(pool, sold)
        for _ in range(9):
            await posting.post(pool)
            await later(pool)
        assert await log(pool) == [("call.sold", "failed", 7, "not_delivered")]
        assert len(here.posted) == 7
        async with pool.connection() as conn:
            (listed,) = await webhooks.listing(conn, sold.account_id)
            assert listed.disabled_at is not None
            for _ in range(2):
                await notice_rules.record_findings(conn)
            (notice,) = [
                row for row in await notice_rules.listing(conn, sold.account_id, 99) if row.rule == "webhook_disabled"
            ]
        told = messages.message_for(notice.rule, notice.handle, notice.slug, notice.facts, to_operator=False)
        assert "mine" in told.title
        await call(pool, sold)
        assert len(await log(pool)) == 1

        assert not await posting.try_webhook(pool, sold.account_id, hook.webhook.id)
        here.answer = b"200 OK"
        assert await posting.try_webhook(pool, sold.account_id, hook.webhook.id)
        await call(pool, sold)
        assert (await posting.post(pool)).sent == 1
    assert [posted["type"] for _, posted in here.posted[-3:]] == ["webhook.trial", "webhook.trial", "call.sold"]


async def test_one_that_takes_some_messages_stays_on(pool: db.Pool, sold: versions.Version) -> None:
    """A message that nobody takes switches nothing off if another was taken since it began to wait."""
    async with receiver(answer=b"500 No") as here:
        hook = await add(pool, sold, url_of(here), "call.sold")
        await call(pool, sold)
        for _ in range(6):
            await posting.post(pool)
            await later(pool)
        here.answer = b"200 OK"
        assert await posting.try_webhook(pool, sold.account_id, hook.webhook.id)
        here.answer = b"500 No"
        assert await posting.post(pool) == Delivered(0, 0, 1)
    async with pool.connection() as conn:
        (listed,) = await webhooks.listing(conn, sold.account_id)
    assert listed.disabled_at is None


async def test_key_trouble_and_pauses_are_told(pool: db.Pool, sold: versions.Version) -> None:
    """From the notices, with the rule and the cause."""
    async with receiver() as here:
        await add(pool, sold, url_of(here))
        async with pool.connection() as conn:
            await conn.execute("UPDATE models SET disabled = true")
            await notice_rules.record_findings(conn)
        await posting.post(pool)

    ((_, told),) = here.posted
    assert (told["type"], told["data"]["rule"]) == ("product.paused", "model_leaving")
    assert (told["data"]["cause"], told["data"]["slug"]) == ("withdrawn", "haiku")


async def test_inner_networks_and_redirects(
    pool: db.Pool, sold: versions.Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private address is refused at once, a name that leads to one at each use, and no redirect is followed."""
    inner = ("10.0.0.1", "[::1]", "169.254.169.254", "127.0.0.2.", "0x7f.2", "2130706434")
    for url in (f"https://{host}/x" for host in inner):
        with pytest.raises(InvalidInput) as refused:
            await add(pool, sold, url)
        assert refused.value.fields == {"url": "must not lead to an inner network"}
    async with receiver("127.0.0.2") as inner:
        there = f"location: http://127.0.0.2:{inner.port}/inner".encode()
        async with receiver("127.0.0.1", b"307 Temporary Redirect", there) as here:
            await add(pool, sold, url_of(here), "call.sold")
            await call(pool, sold)
            assert await posting.post(pool) == Delivered(0, 1, 0)
            assert (len(here.posted), inner.posted) == (1, [])
            # As on a live door, where creators reach the public internet only.
            monkeypatch.setattr(addresses, "networks_of", lambda *_: ())
            await shops.rows(pool, "DELETE FROM notice_deliveries RETURNING id")
            await add(pool, sold, here.url("http", "localhost"), "call.sold")
            await call(pool, sold)
            assert await posting.post(pool) == Delivered(0, 2, 0)
    assert (len(here.posted), inner.posted) == (1, [])


async def test_a_silent_receiver_takes_nothing_from_another(pool: db.Pool, sold: versions.Version) -> None:
    """One that says nothing counts as not taken at the deadline; what others took counts as taken."""
    async with receiver(answer=b"") as silent, receiver() as here:
        written = [
            webhooks.message(webhooks.Endpoint(url_of(to), Private("whsec_AAAA")), "msg_1", "x", datetime.now(UTC), {})
            for to in (silent, here)
        ]
        networks = addresses.networks_of(settings(), sold.account_id)
        assert await sender.post(written, networks, seconds=2) == [False, True]


async def test_a_secret_is_rotated(pool: db.Pool, sold: versions.Version) -> None:
    """For a day both secrets sign; then the new one alone."""
    async with receiver() as here:
        hook = await add(pool, sold, url_of(here))
        async with pool.connection() as conn:
            new = await webhooks.rotate(conn, sold.account_id, hook.webhook.id)
            to = await webhooks.endpoint(conn, sold.account_id, hook.webhook.id)
        assert await posting.try_webhook(pool, sold.account_id, hook.webhook.id)
    ((headers, body),) = here.messages
    assert is_signed(hook.secret, headers, body)
    assert is_signed(new, headers, body)
    assert to.old_until is not None
    assert [secret.reveal() for secret in to.signing(to.old_until)] == [new.reveal()]


async def test_secrets_are_sealed(pool: db.Pool, sold: versions.Version, own_database: str) -> None:
    """Neither the secret nor the URL is in the database in clear, and a list does not have the secret."""
    word = leaks.canary("token")
    hook = await add(pool, sold, f"https://example.org/{word}")
    async with pool.connection() as conn:
        (listed,) = await webhooks.listing(conn, sold.account_id)
    assert listed.url == f"https://example.org/{word}"
    assert hook.secret.reveal() not in repr(listed)
    assert await leaks.in_database(own_database, {"token": word, "secret": hook.secret.reveal()}) == {}


async def test_they_belong_to_their_creator(pool: db.Pool, sold: versions.Version) -> None:
    """Five at most, and nobody else's; what waits for a deleted one is not sent."""
    other = await orders.version(pool)
    async with receiver() as here:
        hooks = [await add(pool, sold, url_of(here), "call.sold") for _ in range(5)]
        with pytest.raises(InvalidInput, match="invalid_input"):
            await add(pool, sold, url_of(here))
        await call(pool, sold)
        async with db.acting_for(pool, other.account_id) as conn:
            assert await webhooks.listing(conn, sold.account_id) == []
            for action in (webhooks.remove, webhooks.rotate):
                with pytest.raises(NotFound):
                    await action(conn, sold.account_id, hooks[0].webhook.id)
        async with db.acting_for(pool, sold.account_id) as conn:
            for hook in hooks:
                await webhooks.remove(conn, sold.account_id, hook.webhook.id)
        assert await posting.post(pool) == Delivered(0, 0, 5)
    assert here.posted == []
    assert {row[3] for row in await log(pool)} == {"webhook_removed"}


@pytest.mark.parametrize(
    ("url", "events", "name", "field"),
    [
        ("ftp://example.org", ["call.sold"], "", "url"),
        ("https://user:practice@example.org", ["call.sold"], "", "url"),
        ("https://example.org/#x", ["call.sold"], "", "url"),
        ("https://example.org:99999", ["call.sold"], "", "url"),
        ("https://", ["call.sold"], "", "url"),
        ("https://example.org/" + "x" * 500, ["call.sold"], "", "url"),
        ("https://example.org", [], "", "events"),
        ("https://example.org", ["call.bought"], "", "events"),
        ("https://example.org", ["call.sold"], "two\nlines", "name"),
    ],
)
async def test_what_is_no_webhook(
    pool: db.Pool, sold: versions.Version, url: str, events: list[str], name: str, field: str
) -> None:
    async with pool.connection() as conn:
        with pytest.raises(InvalidInput) as refused:
            await webhooks.add(conn, sold.account_id, url, events, name)
    assert list(refused.value.fields) == [field]


async def test_messages_about_calls_are_forgotten(pool: db.Pool, sold: versions.Version) -> None:
    """A week after; what waits stays."""
    async with receiver(answer=b"500 No") as here:
        await add(pool, sold, url_of(here), "call.sold")
        for answer in (b"500 No", b"200 OK"):
            here.answer = answer
            await call(pool, sold)
            await posting.post(pool)
    await shops.rows(pool, "UPDATE notice_deliveries SET created_at = now() - interval '8 days' RETURNING id")
    assert await posting.forget(pool) == 1
    assert [row[1] for row in await log(pool)] == ["waiting"]


def test_a_message_is_json() -> None:
    """Type, time and data, as the specification recommends."""
    to = webhooks.Endpoint("https://example.org", Private("whsec_AAAA"))
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    written = webhooks.message(to, "msg_7", "call.sold", at, {"slug": "x"})
    assert json.loads(written.body) == {"type": "call.sold", "timestamp": at.isoformat(), "data": {"slug": "x"}}


async def test_a_live_door_posts_to_https_only(
    pool: db.Pool, sold: versions.Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever listens on the way could read who buys, and replay what was signed."""
    monkeypatch.setattr(hook_urls, "settings", lambda: settings().model_copy(update={"mode": "live"}))
    with pytest.raises(InvalidInput) as refused:
        await add(pool, sold, "http://example.org/hook")
    assert refused.value.fields["url"].startswith("must be an https address")
    assert (await add(pool, sold, "https://example.org/hook")).webhook.url == "https://example.org/hook"
