"""`instant webhooks`: where programs of a creator are told of sales, failures, pauses and trouble with keys."""

import asyncio
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from cyclopts import App, Parameter

from cli import output
from cli.shared import Json, in_transaction, owner
from core import db
from core.db.states import WebhookEvent
from core.notices import posting
from core.notices import webhooks as creators_webhooks

webhooks = App(name="webhooks")

Events = Annotated[tuple[WebhookEvent, ...], Parameter(name="--event", help="What it is told; once for each.")]


@webhooks.command(name="add")
def add_webhook(
    handle: str, url: str, /, *, event: Events = creators_webhooks.EVENTS, name: str = "", json: Json = False
) -> None:
    """Post signed messages to another address, and print the secret that signs them, only this once.

    Args:
        handle: the creator.
        url: an https address.
        event: what it is told.
        name: a name for it; default its host.
        json: print JSON.
    """

    async def add(conn: db.Connection) -> dict[str, object]:
        creator = await owner(conn, handle)
        added, secret = await creators_webhooks.add(conn, creator.id, url, event, name)
        return asdict(added) | {"secret": secret.reveal()}

    added = in_transaction(add)
    if json:
        output.document(added)
    else:
        output.line(str(added["secret"]))
        output.remark(f"Try it: instant webhooks test {handle} {added['id']}")


@webhooks.command(name="list")
def list_webhooks(handle: str, /, *, json: Json = False) -> None:
    """List the webhooks of a creator; never their secrets."""

    async def read(conn: db.Connection) -> list[dict[str, object]]:
        return [asdict(one) for one in await creators_webhooks.listing(conn, (await owner(conn, handle)).id)]

    rows = in_transaction(read)
    if json:
        output.document(rows)
    else:
        output.table(
            (
                {
                    "id": row["id"],
                    "name": row["name"],
                    "url": row["url"],
                    "state": f"off since {row['disabled_at']:%Y-%m-%d %H:%M}" if row["disabled_at"] else "works",
                    "waiting": row["waiting"],
                }
                for row in rows
            ),
            empty="No webhook yet; add one with: instant webhooks add",
        )


@webhooks.command(name="remove")
def remove_webhook(handle: str, webhook_id: UUID, /, *, json: Json = False) -> None:
    """Delete a webhook. What still waits for it is not sent."""

    async def remove(conn: db.Connection) -> None:
        await creators_webhooks.remove(conn, (await owner(conn, handle)).id, webhook_id)

    in_transaction(remove)
    if json:
        output.document({"id": webhook_id, "state": "removed"})
    else:
        output.line("The webhook is removed.")


@webhooks.command(name="rotate")
def rotate_secret(handle: str, webhook_id: UUID, /, *, json: Json = False) -> None:
    """Print a new secret, only this once. For a day messages are signed with the old one too."""

    async def rotate(conn: db.Connection) -> str:
        return (await creators_webhooks.rotate(conn, (await owner(conn, handle)).id, webhook_id)).reveal()

    secret = in_transaction(rotate)
    if json:
        output.document({"id": webhook_id, "secret": secret})
    else:
        output.line(secret)


@webhooks.command(name="test")
def try_webhook(handle: str, webhook_id: UUID, /, *, json: Json = False) -> int:
    """Post a trial message at once. Exits with 1 if it was not taken; if it was, the webhook works again."""

    async def post() -> bool:
        async with db.pool() as pool:
            async with pool.connection() as conn:
                creator = await owner(conn, handle)
            return await posting.try_webhook(pool, creator.id, webhook_id)

    is_taken = asyncio.run(post())
    if json:
        output.document({"id": webhook_id, "taken": is_taken})
    else:
        output.line("It was taken." if is_taken else "It was not taken: the answer was no 2xx, or there was none.")
    return 0 if is_taken else 1
