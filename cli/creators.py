"""`instant creators`, `instant keys`, `instant resources`: the creator's side, for whoever runs the machine."""

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any

import yaml
from cyclopts import App, Parameter
from cyclopts.types import ExistingFile

from cli import output
from cli.shared import Json, in_transaction
from core import account, db, draft, provider, resource
from core.failures import InvalidInput, NotFound, Unavailable
from core.private import Private
from core.settings import settings

creators = App(name="creators", help="Those who sell prompts, and where they are paid.")
keys = App(name="keys", help="The provider keys that calls run on. A key is never shown again.")
resources = App(name="resources", help="The prompts that are for sale.")


class _Loader(yaml.SafeLoader):
    """YAML in which only null, true and false are anything but text: a price never becomes a float."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way, and its type


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|)$"), ["~", "n", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|false)$"), ["t", "f"])


@creators.command(name="add")
def add_creator(
    handle: str,
    /,
    *,
    payout: Annotated[list[str], Parameter(negative=())],
    json: Json = False,
) -> None:
    """Open an account and print its bearer token, this once.

    Args:
        handle: the name in the public URL /@HANDLE/slug.
        payout: NETWORK=ADDRESS, such as eip155:8453=0x…; once for each network.
    """
    payouts = dict(_payout(pair) for pair in payout)
    _, token = in_transaction(lambda conn: account.add(conn, handle, payouts))
    _show_token(handle, token, json)


@creators.command(name="token")
def replace_token(handle: str, /, *, json: Json = False) -> None:
    """Print a new bearer token, this once; the one before stops working."""

    async def replace(conn: db.Connection) -> str:
        return await account.new_token(conn, (await _owner(conn, handle)).id)

    _show_token(handle, in_transaction(replace), json)


@creators.command(name="list")
def list_creators(*, json: Json = False) -> None:
    """Show every account, with the state of its key."""
    rows = in_transaction(account.listing)
    if json:
        output.document(rows)
        return
    output.table(
        (
            {
                "handle": row["handle"],
                "paid at": "\n".join(f"{network} {address}" for network, address in row["payouts"].items()),
                "key": _key_in_words(row["key_label"], row["key_enabled"], row["key_rejected_at"]),
                "resources": row["resources"],
                "slots": row["slots"],
                "queue": row["queue_limit"],
                "USD a day": row["daily_spend_cap_usd"],
            }
            for row in rows
        ),
        empty="No creators yet; add one with: instant creators add HANDLE --payout NETWORK=ADDRESS",
    )


@keys.command(name="set")
def set_key(handle: str, /, *, from_env: str | None = None, json: Json = False) -> None:
    """Check an OpenRouter key and keep it sealed. It is read from standard input: a command line is no place for it.

    Args:
        handle: whose key.
        from_env: read the key from this environment variable instead.
    """
    key = _read_key(from_env)

    async def store() -> account.KeyState:
        async with db.pool() as pool:
            async with pool.connection() as conn:
                owner = await _owner(conn, handle)
            try:
                return await account.set_key(pool, owner.id, key)
            finally:
                await provider.close()

    state = asyncio.run(store())
    if json:
        output.document(asdict(state))
    else:
        print(f"{handle} now sells on the key {state.label}.")


@keys.command(name="enable")
def enable_key(handle: str, /, *, json: Json = False) -> None:
    """Sell on the stored key again."""
    _enable(handle, True, json)


@keys.command(name="disable")
def disable_key(handle: str, /, *, json: Json = False) -> None:
    """Sell nothing on the stored key until it is enabled again. It stays stored."""
    _enable(handle, False, json)


@keys.command(name="delete")
def delete_key(handle: str, /, *, json: Json = False) -> None:
    """Forget a key. What depends on it cannot be bought until another one is set."""

    async def delete(conn: db.Connection) -> int:
        return await account.delete_key(conn, (await _owner(conn, handle)).id)

    affected = in_transaction(delete)
    if json:
        output.document({"affected_resources": affected})
    else:
        print(f"The key is gone; {affected} resources of {handle} are not for sale now.")


@resources.command(name="create")
def create_resources(handle: str, /, *files: ExistingFile, allow_loss: bool = False, json: Json = False) -> None:
    """Put prompts on sale, or new versions of them: all of the files, or none.

    Args:
        handle: whose prompts.
        files: one YAML file for each prompt; docs/creators.md describes it.
        allow_loss: sell even where hardly any call can earn its cost.
    """
    drafts = sorted(((path, _read_draft(path)) for path in files), key=lambda pair: pair[1].slug)

    async def publish(conn: db.Connection) -> list[dict[str, Any]]:
        owner = await _owner(conn, handle)
        return [
            {
                "url": f"{settings().public_url}/@{handle}/{content.slug}",
                "price_usdc": draft.usdc(content.price_atomic),
                **asdict(await _publish(conn, owner, path, content, allow_loss=allow_loss)),
            }
            for path, content in drafts
        ]

    published = in_transaction(publish)
    if json:
        output.document(published)
        return
    for one in published:
        state = "on sale now" if one["is_new"] else "unchanged"
        cost = draft.dollars(one["worst_cost_usd"])
        print(f"{one['url']}  version {one['number']}, {state}: {one['price_usdc']} USDC, costs at most ${cost}")
        for warning in one["warnings"]:
            print(f"  warning: {warning}", file=sys.stderr)


@resources.command(name="list")
def list_resources(handle: str, /, *, json: Json = False) -> None:
    """Show what a creator has published, and what keeps it from being sold."""

    async def collect(conn: db.Connection) -> list[dict[str, Any]]:
        owner = await _owner(conn, handle)
        return [await _row(conn, version) for version in await resource.listing(conn, owner.id)]

    rows = in_transaction(collect)
    if json:
        output.document(rows)
    else:
        output.table(rows, empty=f"{handle} has published nothing yet.")


@resources.command(name="archive")
def archive_resource(handle: str, slug: str, /, *, json: Json = False) -> None:
    """Take a prompt off sale. Its slug stays taken."""
    _switch(handle, slug, resource.archive, json, f"/@{handle}/{slug} is off sale.")


@resources.command(name="restore")
def restore_resource(handle: str, slug: str, /, *, json: Json = False) -> None:
    """Put an archived prompt on sale again."""
    _switch(handle, slug, resource.restore, json, f"/@{handle}/{slug} is on sale again.")


async def _owner(conn: db.Connection, handle: str) -> account.Account:
    try:
        return await account.find(conn, handle)
    except NotFound:
        pass
    raise InvalidInput({"handle": f"there is no creator {handle}"})


async def _publish(
    conn: db.Connection, owner: account.Account, path: Path, content: draft.Draft, *, allow_loss: bool
) -> resource.Published:
    try:
        return await resource.publish(conn, owner.id, content, allow_loss=allow_loss)
    except InvalidInput as refusal:
        fields = _named(path, refusal)
    raise InvalidInput(fields)


async def _row(conn: db.Connection, version: resource.Version) -> dict[str, Any]:
    try:
        await resource.readiness(conn, version)
        state = "ready"
    except Unavailable as obstacle:
        state = obstacle.code
    return {
        "slug": version.slug,
        "title": version.title,
        "model": version.model_id,
        "modality": version.modality,
        "version": version.number,
        "price_usdc": draft.usdc(version.price_atomic),
        "worst_cost_usd": draft.dollars(version.worst_cost_usd),
        "state": state,
    }


def _switch(
    handle: str, slug: str, change: Callable[[db.Connection, Any, str], Awaitable[None]], json: bool, sentence: str
) -> None:
    async def switch(conn: db.Connection) -> bool:
        owner = await _owner(conn, handle)
        try:
            await change(conn, owner.id, slug)
        except NotFound:
            return False
        return True

    if not in_transaction(switch):
        raise InvalidInput({"slug": f"{handle} has no resource {slug}"})
    if json:
        output.document({"handle": handle, "slug": slug})
    else:
        print(sentence)


def _enable(handle: str, enabled: bool, json: bool) -> None:
    async def switch(conn: db.Connection) -> bool:
        owner = await _owner(conn, handle)
        try:
            await account.enable_key(conn, owner.id, enabled)
        except NotFound:
            return False
        return True

    if not in_transaction(switch):
        raise InvalidInput({"key": f"{handle} has no key; give one with: instant keys set {handle}"})
    if json:
        output.document({"handle": handle, "enabled": enabled})
    else:
        print(f"The key of {handle} is {'on' if enabled else 'off'}.")


def _show_token(handle: str, token: str, json: bool) -> None:
    if json:
        output.document({"handle": handle, "token": token})
    else:
        print(f"{token}\nThis is the bearer token of {handle}. It cannot be shown again.")


def _key_in_words(label: str | None, enabled: bool | None, rejected_at: object) -> str:
    if label is None:
        return "none"
    return f"{label} (rejected)" if rejected_at else label if enabled else f"{label} (off)"


def _payout(pair: str) -> tuple[str, str]:
    network, equals, address = pair.partition("=")
    if not equals:
        raise InvalidInput({"payout": "write it as NETWORK=ADDRESS, such as eip155:8453=0x…"})
    return network, address


def _read_key(variable: str | None) -> Private[str]:
    if variable is None:
        return Private(getpass("OpenRouter key: ") if sys.stdin.isatty() else sys.stdin.readline())
    if variable not in os.environ:
        raise InvalidInput({"from_env": f"the environment variable {variable} is not set"})
    return Private(os.environ[variable])


def _read_draft(path: Path) -> draft.Draft:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a SafeLoader
        if isinstance(values, dict):
            return draft.read(values)
        fields = {str(path): "must be a mapping of fields, such as `slug: haiku`"}
    except UnicodeDecodeError:
        fields = {str(path): "is not UTF-8 text"}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        fields = {str(path): f"is not YAML, from line {mark.line + 1}" if mark else "is not YAML"}
    except InvalidInput as refusal:
        fields = _named(path, refusal)
    raise InvalidInput(fields)


def _named(path: Path, refusal: InvalidInput) -> dict[str, str]:
    return {f"{path}: {field}": sentence for field, sentence in refusal.fields.items()}
