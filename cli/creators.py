"""`instant creators`, `instant keys`: manage creators, their limits and their provider keys."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from cyclopts import App, Parameter

from cli import output
from cli.access import show_token
from cli.remote import door
from cli.remote import keys as at_door
from cli.shared import DECIMAL, Json, in_transaction, owner, read_secret
from core import db
from core.accounts import accounts, provider_keys
from core.failures import InvalidInput, NotFound
from core.providers import registry as providers
from core.providers.registry import OPENROUTER

Usd = Annotated[str | None, Parameter(help="US dollars, or none.")]

creators = App(name="creators")
keys = App(name="keys")
for name, (function, sentence) in {
    "token": ("create_token", "Print a new bearer token, only this once."),
    "tokens": ("list_tokens", "Show the tokens of a creator that work."),
    "revoke": ("revoke_token", "End a token at once."),
    "payouts": ("list_payouts", "Show where a creator is paid."),
    "invite": ("invite", "Print an invitation to open an account, only this once."),
    "wallet": ("add_wallet", "Let a wallet sign in to an account."),
}.items():
    creators.command(f"cli.access:{function}", name=name, help=sentence)


@creators.command(name="add")
def add_creator(
    handle: str,
    /,
    *,
    payout: Annotated[list[str], Parameter(negative=())],
    json: Json = False,
) -> None:
    """Open an account and print its bearer token, only this once.

    Args:
        handle: the name in the public URL /@HANDLE/slug.
        payout: NETWORK=ADDRESS, such as eip155:8453=0x…; once for each network.
    """
    payouts = dict(_payout(pair) for pair in payout)
    _, token = in_transaction(lambda conn: accounts.create(conn, handle, payouts))
    show_token(handle, token, json)


@creators.command(name="set")
def set_limits(
    handle: str,
    /,
    *,
    slots: int | None = None,
    queue_limit: int | None = None,
    daily_spend_cap_usd: Annotated[Decimal | None, DECIMAL] = None,
    json: Json = False,
) -> None:
    """Change a creator's limits; options that are not given leave theirs unchanged.

    Args:
        handle: the creator.
        slots: executions that may run at once; more wait.
        queue_limit: paid, unfinished executions after which nothing more is sold.
        daily_spend_cap_usd: the most that may be spent on models in one UTC day.
    """

    async def change(conn: db.Connection) -> accounts.Limits:
        creator = await owner(conn, handle)
        return await accounts.set_limits(
            conn, creator.id, slots=slots, queue_limit=queue_limit, daily_spend_cap_usd=daily_spend_cap_usd
        )

    limits = in_transaction(change)
    if json:
        output.document({"handle": handle, **asdict(limits)})
    else:
        output.line(
            f"{handle}: {limits.slots} at once, {limits.queue_limit} unfinished,"
            f" ${limits.daily_spend_cap_usd} a day on models."
        )


@creators.command(name="caps")
def set_caps(
    handle: str,
    /,
    *,
    daily_usd: Usd = None,
    monthly_usd: Usd = None,
    per_call_usd: Usd = None,
    json: Json = False,
) -> None:
    """Change the caps that a creator sets on what models cost, and show them; `none` removes one.

    Args:
        handle: the creator.
        daily_usd: the most that may be spent in one UTC day, within the limit that `instant creators set` sets.
        monthly_usd: the most that may be spent in one UTC month.
        per_call_usd: the most that one call may cost; a prompt of which a call can cost more is not sold.
        json: print JSON.
    """
    given = dict(zip(accounts.CAPS, (daily_usd, monthly_usd, per_call_usd), strict=True))
    changes = {name: _cap(name, text) for name, text in given.items() if text is not None}

    async def change(conn: db.Connection) -> accounts.ProfileRow:
        creator = await owner(conn, handle)
        await accounts.set_caps(conn, creator.id, changes)
        return await accounts.profile(conn, creator.id)

    row = in_transaction(change)
    caps = {name: getattr(row, name) for name in accounts.CAPS}
    spent = {"spent_today_usd": row.spent_today_usd, "spent_this_month_usd": row.spent_this_month_usd}
    if json:
        output.document({"handle": handle, **caps, **spent})
        return
    day, month, call = ("no cap" if cap is None else f"${cap}" for cap in caps.values())
    output.line(f"{handle}: a day {day}, a month {month}, a call {call}.")
    output.line(f"Spent or reserved: ${row.spent_today_usd} today, ${row.spent_this_month_usd} this month (UTC).")


@creators.command(name="list")
def list_creators(*, json: Json = False) -> None:
    """Show every account, with the state of its keys."""
    rows = in_transaction(accounts.listing)
    if json:
        output.document([row._asdict() for row in rows])
        return
    output.table(
        (
            {
                "handle": row.handle,
                "paid at": "\n".join(f"{network} {address}" for network, address in row.payouts.items()),
                "keys": "\n".join(map(_key_in_words, row.keys)) or "none",
                "resources": row.resources,
                "slots": row.slots,
                "queue": row.queue_limit,
                "USD a day": row.daily_spend_cap_usd,
            }
            for row in rows
        ),
        empty="No creators yet; add one with: instant creators add HANDLE --payout NETWORK=ADDRESS",
    )


@keys.command(name="set")
@door.anywhere
def set_key(
    handle: str, /, *, provider: str = OPENROUTER.name, from_env: str | None = None, json: Json = False
) -> None:
    """Check a provider key and store it sealed. It is read from standard input, because command lines are logged.

    Args:
        handle: the creator.
        provider: the key's provider: openrouter, anthropic, or a name of INSTANT_PROVIDERS.
        from_env: read the key from this environment variable instead.
    """
    title = _title(handle, provider)
    key = read_secret(f"{title} key", from_env)

    async def store() -> provider_keys.KeyState:
        async with db.pool() as pool:
            async with pool.connection() as conn:
                creator = await owner(conn, handle)
            at = providers.provider_named(provider)
            return await provider_keys.set_key(pool, creator.id, key, at, actor="operator")

    state = at_door.set_key(provider, key) if door.chosen() else asyncio.run(store())
    if json:
        output.document(asdict(state))
    else:
        name = f"key {state.label}" if state.label else f"{title} key"
        if state.obstacle:
            output.line(f"The {name} is stored, but {handle} sells nothing on it: {state.sentence}.")
        else:
            output.line(f"{handle} now sells on the {name}.")


@keys.command(name="enable")
@door.anywhere
def enable_key(handle: str, /, *, provider: str = OPENROUTER.name, json: Json = False) -> None:
    """Sell on the stored key again."""
    _enable(handle, provider, True, json)


@keys.command(name="disable")
@door.anywhere
def disable_key(handle: str, /, *, provider: str = OPENROUTER.name, json: Json = False) -> None:
    """Stop sales on the stored key until it is enabled again. It stays stored."""
    _enable(handle, provider, False, json)


@keys.command(name="delete")
@door.anywhere
def delete_key(handle: str, /, *, provider: str = OPENROUTER.name, json: Json = False) -> None:
    """Delete a key. Prompts that need it cannot be bought until another one is set."""
    _title(handle, provider)

    async def delete(conn: db.Connection) -> int:
        at = providers.provider_named(provider)
        return await provider_keys.delete_key(conn, (await owner(conn, handle)).id, at, actor="operator")

    affected = at_door.delete_key(provider) if door.chosen() else in_transaction(delete)
    if json:
        output.document({"affected_resources": affected})
    else:
        output.line(f"The key is deleted; {affected} resources of {handle} are not for sale now.")


def _enable(handle: str, provider: str, enabled: bool, json: bool) -> None:
    title, is_known = _title(handle, provider), True

    async def switch(conn: db.Connection) -> None:
        at = providers.provider_named(provider)
        await provider_keys.enable_key(conn, (await owner(conn, handle)).id, enabled, at, actor="operator")

    try:
        if door.chosen():
            at_door.enable_key(provider, enabled)
        else:
            in_transaction(switch)
    except NotFound:
        is_known = False
    if not is_known:
        raise InvalidInput({"key": f"{handle} has no key at {title}; give one with: instant keys set {handle}"})
    if json:
        output.document({"handle": handle, "enabled": enabled})
    else:
        output.line(f"The {title} key of {handle} is {'on' if enabled else 'off'}.")


def _title(handle: str, provider: str) -> str:
    """Return the provider's name for people, after a look whether the creator and the provider may be named here."""
    if door.chosen():
        door.check_handle(handle)
        return at_door.title(provider)
    return providers.provider_named(provider).title


def _cap(name: str, text: str) -> Decimal | None:
    try:
        return None if text == "none" else Decimal(text)
    except InvalidOperation:
        pass
    raise InvalidInput({name: "must be an amount of US dollars, or none"})


def _key_in_words(key: Mapping[str, Any]) -> str:
    obstacle = key["obstacle"]
    state = f" ({obstacle.removeprefix('key_')})" if obstacle else ""
    return f"{key['provider']} {key['label']}{state}"


def _payout(pair: str) -> tuple[str, str]:
    network, equals, address = pair.partition("=")
    if not equals:
        raise InvalidInput({"payout": "write it as NETWORK=ADDRESS, such as eip155:8453=0x…"})
    return network, address
