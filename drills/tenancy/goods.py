"""What one creator has, in every table that creators have rows in; and whether it is as it was."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import httpx

from core import db
from core.accounts import identities, key_connections, payouts, provider_keys, sessions
from core.accounts.identities import Claims
from core.accounts.sign_in import SignedIn
from core.catalog import manual_prices
from core.payments import refund_transfers, refund_wallets
from core.providers.registry import ANTHROPIC
from core.resources.repricing import reprice
from core.secrets.private import Private
from core.settings import SANDBOX_NETWORK, settings
from tests import selling, shops
from tests.shops import CLAUDE, MODEL, Buyer, Shop

DIGEST = """
SELECT relname::text AS name FROM pg_class
WHERE relkind IN ('r', 'p') AND relrowsecurity AND has_table_privilege('instant_creator', oid, 'SELECT')
ORDER BY relname
"""


@dataclass(frozen=True)
class Goods:
    """A creator's things, by what names them over HTTP.

    Attributes:
        slug: of a prompt that is on sale and has a draft.
        owed_id: a call that is owed back, with a transfer that may pay it.
        state: of a connection to OpenRouter that waits for its code.
        marks: texts that are in no answer to anybody else.
    """

    shop: Shop
    slug: str
    token_id: str
    address_id: str
    webhook_id: str
    execution_id: str
    identity_id: str
    owed_id: str
    state: str
    marks: frozenset[str]


def document(slug: str, mark: str) -> dict[str, object]:
    """A prompt whose title and template have a mark."""
    return selling.content(slug=slug, model=MODEL, title=f"Title {mark}", template=f"{mark} {{topic}}{{/topic}}")


async def stock(pool: db.Pool, door: str) -> Goods:
    """Open a creator's account with something in every table."""
    shop, mark = await shops.open_shop(pool), uuid4().hex[:12]
    slug, account_id = f"only-{mark}", shop.account.id
    async with pool.connection() as conn:
        await manual_prices.set_prices(
            conn,
            reprice,
            CLAUDE,
            prompt_usd=Decimal(3),
            completion_usd=Decimal(15),
            context_length=200_000,
            max_completion_tokens=64_000,
        )
    await provider_keys.set_key(pool, account_id, Private(f"sk-ant-practice-{mark}-for-tests"), ANTHROPIC)
    async with db.acting_for(pool, account_id) as conn:
        await payouts.change(conn, account_id, SANDBOX_NETWORK, f"0x{mark:0<40}")
        now = datetime.now(UTC)
        identity = await identities.link(conn, account_id, Claims("https://login.example.com", mark, now, now))
        begun = await key_connections.begin(conn, account_id, f"{settings().public_url}/me/keys/openrouter/callback")
    async with httpx.AsyncClient(base_url=door, headers=shop.bearer, timeout=30) as http:
        token = await _made(http, "/me/tokens", {"name": f"token {mark}", "scopes": ["read"]})
        await _made(http, "/me/resources", document(slug, mark))
        await _made(http, f"/me/resources/{slug}/publish", {})
        changed = await http.patch(
            f"/me/resources/{slug}", json={"description": mark, "price_usdc": "0.02"}, headers={"If-Match": "*"}
        )
        changed.raise_for_status()
        (await http.patch("/me", json={"displayName": f"Creator {mark}"})).raise_for_status()
        address = await _made(http, "/me/notice-addresses", {"url": f"json://127.0.0.1:9/{mark}", "name": mark})
        hook = {"url": f"http://127.0.0.1:9/{mark}", "name": mark, "events": ["product.paused"]}
        webhook = await _made(http, "/me/webhooks", hook)
        async with (await Buyer().fund()).client(timeout=30) as buyer:
            sold = await buyer.post(
                f"{door}/@{shop.account.handle}/{slug}", json={"topic": mark}, headers={"Prefer": "wait=20"}
            )
        sold.raise_for_status()
        (execution,) = await shops.at_rest(pool, shop)
    await shops.rows(
        pool,
        "INSERT INTO notices (id, rule, account_id, facts) VALUES (gen_random_uuid(), 'key_old', %(id)s, %(facts)s)"
        " RETURNING id",
        id=account_id,
        facts=f'{{"label": "{mark}", "provider": "openrouter", "days": 91}}',
    )
    await shops.rows(
        pool,
        "INSERT INTO refunds (execution_id, payment_id, account_id, amount_atomic, reason)"
        " SELECT executions.id, payments.id, account_id, amount_atomic, 'practice' FROM executions"
        " JOIN payments ON payments.id = payment_id WHERE executions.id = %(id)s RETURNING execution_id",
        id=execution.id,
    )
    async with db.acting_for(pool, account_id) as conn:
        await refund_wallets.put(conn, account_id, Private(f"{mark:1<64}"), "1")
        await refund_transfers.reserve(conn, execution.id, f"0x{mark:0<40}")
    # Recovery would note that it has asked the chain about it.
    await shops.rows(pool, "UPDATE refund_transfers SET looked_at = now() + interval '1 day' RETURNING id")
    ids = (token["id"], address["id"], webhook["id"], execution.id, execution.transaction, account_id, identity.id)
    marks = frozenset(map(str, (mark, shop.account.handle, shop.payout, *ids)))
    state = begun.url.partition("state%3D")[2].partition("&")[0]
    return Goods(
        shop,
        slug,
        token["id"],
        address["id"],
        webhook["id"],
        str(execution.id),
        str(identity.id),
        str(execution.id),
        state,
        marks,
    )


async def session(pool: db.Pool, account_id: UUID) -> str:
    """Sign a creator in with a wallet; return the session's cookie."""
    wallet = SignedIn("0x" + uuid4().hex + "00000000", SANDBOX_NETWORK, is_contract=False, nonce=uuid4().hex)
    async with pool.connection() as conn:
        await sessions.add_wallet(conn, account_id, wallet.address, None)
        return f"session={(await sessions.begin(conn, account_id, wallet)).secret}"


async def digest(pool: db.Pool, account_id: UUID) -> dict[str, tuple[int, str | None]]:
    """Count and hash all rows that a creator can see, by table; the database's policies say which these are."""
    tables = [row.name for row in await shops.rows(pool, DIGEST)]
    told = {}
    async with db.acting_for(pool, account_id) as conn:
        for table in tables:
            text = f"SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM {table} AS t"  # noqa: S608 - names of our own tables
            count, hashed = db.required(await (await conn.execute(text.encode())).fetchone())
            told[table] = (count, hashed)
    return told


async def _made(http: httpx.AsyncClient, path: str, body: object) -> dict[str, str]:
    answer = await http.post(path, json=body)
    answer.raise_for_status()
    made: dict[str, str] = answer.json()
    return made
