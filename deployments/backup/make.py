"""Make a backup while doors and executors go on: everything in it is of one moment."""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

from core import db
from core.accounts import master_keys
from core.db import dump
from core.db.pool import owner_database_url
from core.failures import Misconfigured
from core.media import store
from core.settings import Mode, Settings
from deployments.backup import archive, programs
from deployments.backup.archive import Manifest, Report, Writer


@dataclass(frozen=True, slots=True)
class Made:
    """A backup: its file, its size in bytes and what is in it."""

    file: Path
    bytes: int
    manifest: Manifest


def make(config: Settings, target: Path, report: Report) -> Made:
    """Write a backup to a file, or into a folder under the name of its moment. It appears complete or not at all.

    Args:
        config: the settings; the owner's URL sees all rows.
        target: a file that does not exist, or a folder.
        report: is told bytes that were written, of the size of the database.

    Raises:
        Misconfigured: the file exists, the database is none of ours, or no pg_dump fits.
        OSError: the file cannot be written.
    """
    folder = target if target.is_dir() else target.parent
    if target.exists() and not target.is_dir():
        raise Misconfigured(f"{target} exists; name a file that does not, or a folder")
    # In the same folder, so that the last step is a rename; for our user alone.
    with tempfile.TemporaryDirectory(prefix=".instant-backup-", dir=folder) as draft:
        dumped, written = Path(draft) / archive.DUMP, Path(draft) / "backup.tar"
        known = asyncio.run(_dump(config, dumped, report))
        with archive.writing(written) as writer:
            dump_bytes, dump_sha256 = writer.add(archive.DUMP, dumped)
            dumped.unlink()
            # After the dump, so that every picture that the dump names is there by now.
            media_files, media_bytes = _add_media(writer, config)
            manifest = Manifest(
                version=metadata.version("x402-instant"),
                at=known.at,
                mode=known.mode,
                migrations=known.migrations,
                postgres=known.server,
                key_ids=known.key_ids,
                dump_bytes=dump_bytes,
                dump_sha256=dump_sha256,
                media=_media_place(config),
                media_files=media_files,
                media_bytes=media_bytes,
                accounts=known.accounts,
                payments=known.payments,
                executions=known.executions,
            )
            writer.finish(manifest)
        with written.open("rb") as whole:
            os.fsync(whole.fileno())
        file = target / f"instant-{known.at:%Y%m%dT%H%M%SZ}.tar" if target.is_dir() else target
        written.rename(file)
    size = file.stat().st_size
    report(size, size)
    return Made(file, size, manifest)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database said at the moment of its dump."""

    at: datetime
    mode: Mode
    migrations: tuple[str, ...]
    server: int
    key_ids: tuple[str, ...]
    accounts: int
    payments: int
    executions: int


async def _dump(config: Settings, dumped: Path, report: Report) -> _Known:
    url = owner_database_url(config)
    async with dump.moment(url) as moment:
        if moment.mode != config.mode:
            raise Misconfigured(f"this database is for INSTANT_MODE={moment.mode}, not {config.mode}")
        program = programs.find("pg_dump", moment.server)
        arguments = ["--format=custom", f"--snapshot={moment.snapshot}", f"--file={dumped}", "--no-password"]
        await programs.run(program, arguments, url, lambda _: report(_size(dumped), max(moment.bytes, _size(dumped))))
        accounts, payments, executions = [
            await _count(moment.conn, table) for table in ("accounts", "payments", "executions")
        ]
        key_ids = await master_keys.sealed_ids(moment.conn)
        known = (config.mode, moment.migrations, moment.server, key_ids)
        return _Known(moment.at, *known, accounts, payments, executions)


async def _count(conn: db.Connection, table: str) -> int:
    found = await conn.execute(f"SELECT count(*) AS n FROM {table}".encode())  # noqa: S608 - a name of ours
    row = await found.fetchone()
    return int(row.n) if row else 0


def _media_place(config: Settings) -> Literal["folder", "bucket", "nowhere"]:
    if config.media_url is None:
        return "nowhere"
    return "folder" if store.folder(config.media_url) else "bucket"


def _add_media(writer: Writer, config: Settings) -> tuple[int, int]:
    """Add the pictures of a folder; return how many, and their bytes. Those of the dump are all there already."""
    folder = store.folder(config.media_url) if config.media_url else None
    files, size = 0, 0
    for path in sorted(folder.glob("*/*")) if folder else ():
        name = f"{path.parent.name}/{path.name}"
        if store.NAME.fullmatch(name) is None:
            continue
        try:
            bytes_written, _ = writer.add(f"{archive.MEDIA}{name}", path)
        except FileNotFoundError:  # its time was over
            continue
        files, size = files + 1, size + bytes_written
    return files, size


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
