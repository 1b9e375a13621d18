"""`instant backup`, `instant restore`: everything in one file, and back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli import output
from cli.shared import Flag, Json
from core.failures import InvalidInput, Misconfigured
from core.settings import settings

if TYPE_CHECKING:
    from core.payments.restored import Looked

_KIB, _MIB = 1 << 10, 1 << 20


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in a sentence what the system has against a file, such as a full disk."""
    try:
        yield
        return
    except OSError as error:
        trouble = error.strerror or type(error).__name__
    raise Misconfigured(f"{path}: {trouble}")


def backup(target: Path, /, *, json: Json = False) -> None:
    """Back up the database and the pictures into one file, of one moment, while all goes on.

    The file is for your user alone. It never holds the master keys: keep those apart, because it is worth nothing
    without them.

    Args:
        target: a file that does not exist, or a folder, where it is named after its moment.
        json: print the manifest as JSON.
    """
    from deployments.backup.make import make

    with output.progress("KiB dumped") as show, _told(target):
        made = make(settings(), target, lambda done, total: show(done // _KIB, total // _KIB))
    if json:
        output.document({"file": made.file, "bytes": made.bytes} | made.manifest.model_dump())
        return
    told = made.manifest
    output.line(f"{made.file}: {made.bytes / _MIB:.1f} MiB, of {told.at:%Y-%m-%d %H:%M:%S} UTC")
    output.line(f"  {told.accounts} accounts, {told.payments} payments, {told.executions} executions")
    output.line(f"  {told.media_files} pictures")
    output.line(
        f"  It needs the master keys {', '.join(map(ascii, told.key_ids)) or 'of nothing yet'}; keep them apart."
    )
    if told.media == "bucket":
        output.line("  Pictures are in a bucket, which it does not hold: keep versions of the bucket.")


def restore(
    file: Path | None = None,
    /,
    *,
    replace: Annotated[bool, Parameter(negative=(), help="Drop everything that is in the database now.")] = False,
    without_keys: Flag = False,
    mark: Annotated[datetime | None, Parameter(help="A moment; in UTC if it has no zone.")] = None,
    json: Json = False,
) -> None:
    """Restore a backup into an empty database, and look on the chain for what was sold since.

    Args:
        file: the backup.
        without_keys: restore although master keys are missing; what they sealed stays unreadable until you add them.
        mark: instead of a file: the database was taken back to that moment by other means, such as archived WAL.
        json: print JSON.
    """
    if (file is None) == (mark is None):
        raise InvalidInput({"file": "name a backup, or --mark the moment that the database was taken back to"})
    if file is not None:
        _restore(file, replace, without_keys, json)
    elif mark is not None:
        _mark(mark if mark.tzinfo else mark.replace(tzinfo=UTC), json)


def _mark(at: datetime, json: bool) -> None:
    from deployments.backup import restore as restoring

    looked = asyncio.run(restoring.mark(settings(), at))
    if json:
        output.document({"at": at, "found": looked.found, "unread": looked.unread})
    else:
        output.line(f"Marked: the database shows {at:%Y-%m-%d %H:%M:%S} UTC.")
        _say_found(looked)


def _restore(file: Path, replace: bool, without_keys: bool, json: bool) -> None:
    from deployments.backup import restore as restoring

    with output.progress("KiB checked") as checked, output.progress("tables restored") as filled, _told(file):
        wishes = restoring.Wishes(replace, without_keys)
        run = restoring.restore(
            settings(), file, wishes, lambda some, total: checked(some // _KIB, total // _KIB), filled
        )
        done = asyncio.run(run)
    told, looked = done.manifest, done.looked
    if json:
        output.document(
            {
                "at": told.at,
                "migrated": done.migrated,
                "media_files": done.media_files,
                "opening": done.keys.opening,
                "missing_keys": done.missing_keys,
                "found": looked.found,
                "unread": looked.unread,
            }
        )
        return
    output.line(f"Restored to {told.at:%Y-%m-%d %H:%M:%S} UTC: {told.accounts} accounts, {told.payments} payments.")
    if done.migrated:
        output.line(f"  {len(done.migrated)} migrations of this version were applied.")
    output.line(f"  {done.media_files} pictures were written.")
    output.line(f"  The master keys {', '.join(map(ascii, done.keys.opening)) or 'of nothing'} open what they sealed.")
    for key_id in done.missing_keys:
        output.line(f"  {key_id!a} is missing, and what it sealed cannot be read: add it to INSTANT_MASTER_KEYS.")
    _say_found(looked)


def _say_found(looked: Looked) -> None:
    if looked.found:
        output.line(
            f"  {looked.found} payments since then are on the chain and not here. They are owed: `instant money found`."
        )
    for network in looked.unread:
        output.line(f"  The chain of {network} could not be read; the flow chain_verification tries again.")
    output.line("Next: start all processes, then `instant doctor` and `instant money check`.")
