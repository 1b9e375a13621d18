"""Restore a backup: check it whole, fill an empty database, and mark the moment that it was taken back to."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from core import db
from core.accounts import master_keys
from core.accounts.master_keys import KeysInUse
from core.db import dump
from core.db.dump import Contents
from core.db.migrate import MIGRATIONS, migrate, require_up_to_date
from core.db.pool import owner_database_url
from core.failures import Misconfigured
from core.media import store
from core.payments import restored, settlement
from core.payments.restored import Looked
from core.secrets.vault import vault
from core.settings import Settings
from deployments.backup import archive, programs
from deployments.backup.archive import Manifest, Reader, Report


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Attributes:
        manifest: of the backup.
        migrated: migrations of this version that the backup did not have.
        media_files: pictures that were written.
        keys: the master keys that sealed what is kept for long, and whether they open it.
        missing_keys: ids of master keys that the settings lack, and what they sealed cannot be read.
        looked: what the chain shows of the time after the backup.
    """

    manifest: Manifest
    migrated: list[str]
    media_files: int
    keys: KeysInUse
    missing_keys: tuple[str, ...]
    looked: Looked


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a restore may do beyond filling an empty database with what the settings' keys open."""

    replace: bool = False
    without_keys: bool = False


async def restore(config: Settings, file: Path, wishes: Wishes, checking: Report, restoring: Report) -> Restored:
    """Restore a backup into the database of the settings.

    Args:
        config: the settings; the owner's URL names the database.
        file: the backup.
        wishes: what is allowed beyond the usual.
        checking: is told the bytes that were checked.
        restoring: is told the tables that were filled.

    Raises:
        Misconfigured: the backup is damaged, of another mode or of a later version; the master keys do not open it; the
            database is not empty, is in use, or lacks our roles; pg_restore failed. Until pg_restore began, nothing is
            changed; if it fails, the database is left empty.
    """
    url = owner_database_url(config)
    with archive.reading(file) as backup:
        _require_fit(backup.manifest, config, wishes)
        now = _require_room(url, config, wishes)
        if now.server < backup.manifest.postgres:
            raise Misconfigured(f"the backup is of Postgres {backup.manifest.postgres}, and the server of {now.server}")
        program = programs.find("pg_restore", now.server)
        backup.check(checking)
        if not now.is_empty:
            dump.empty(url)
        await _fill(backup, program, url, restoring)
        migrated = migrate(url, config.mode)
        folder = store.folder(config.media_url) if config.media_url else None
        media_files = backup.extract_media(folder) if folder else 0
        manifest = backup.manifest
    keys, looked = await _go_on(manifest.at, wishes)
    return Restored(manifest, migrated, media_files, keys, _missing(manifest), looked)


async def mark(config: Settings, at: datetime) -> Looked:
    """Mark that the database was taken back to a moment by other means, as by archived WAL; return what was found.

    Raises:
        Misconfigured: the database is not up to date, of the other mode, or in use; or the master keys do not open it.
    """
    require_up_to_date(owner_database_url(config), config.mode)
    if alive := dump.contents(owner_database_url(config), config.lease_seconds).alive:
        raise Misconfigured(f"the database is in use: stop {', '.join(alive)} first")
    _, looked = await _go_on(at, Wishes())
    return looked


async def _go_on(at: datetime, wishes: Wishes) -> tuple[KeysInUse, Looked]:
    """Mark the moment, prove the keys, and look at the chain for the first time."""
    async with db.pool() as pool, settlement.payment_clients() as clients:
        async with pool.connection() as conn:
            await restored.mark(conn, at)
        async with pool.connection() as conn:
            if not wishes.without_keys:
                await master_keys.check(conn)
            keys = await master_keys.keys_in_use(conn)
        return keys, await restored.find(pool, clients)


def _require_fit(manifest: Manifest, config: Settings, wishes: Wishes) -> None:
    if manifest.mode != config.mode:
        raise Misconfigured(f"the backup is of INSTANT_MODE={manifest.mode}, not {config.mode}")
    known = {path.stem for path in MIGRATIONS.glob("*.sql")}
    if later := sorted(set(manifest.migrations) - known):
        raise Misconfigured(f"the backup is of a later version (it has {later[-1]}); restore it with that one")
    if (missing := _missing(manifest)) and not wishes.without_keys:
        raise Misconfigured(
            f"INSTANT_MASTER_KEYS lacks {', '.join(map(ascii, missing))}, which sealed what is in the backup; add them"
            " at its end, or restore with --without-keys, and what they sealed stays unreadable"
        )


def _require_room(url: str, config: Settings, wishes: Wishes) -> Contents:
    """Return what is in the database now, which may be filled."""
    now = dump.contents(url, config.lease_seconds)
    if now.missing_roles:
        raise Misconfigured(
            f"the server has no role {', '.join(now.missing_roles)}; run deployments/roles/instant.sql as a superuser"
        )
    if now.alive:
        raise Misconfigured(f"the database is in use: stop {', '.join(now.alive)} first")
    if not (now.is_empty or wishes.replace):
        raise Misconfigured("the database is not empty; name an empty one, or replace everything with --replace")
    return now


async def _fill(backup: Reader, program: programs.Program, url: str, report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="instant-restore-") as folder:
        path = Path(folder) / archive.DUMP
        backup.extract_dump(path)
        arguments = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-password", "--verbose"]
        database = programs.database_of(url)
        said = await programs.run(program, [*arguments, f"--dbname={database}", str(path)], url, _tables(report))
        # A table with partitions has no rows of its own.
        report(_filled(said), _filled(said))


def _tables(report: Report) -> Callable[[Sequence[str]], None]:
    def told(lines: Sequence[str]) -> None:
        created = sum(": creating TABLE " in line for line in lines)
        report(_filled(lines), max(created, _filled(lines)))

    return told


def _filled(lines: Sequence[str]) -> int:
    return sum(": processing data for table " in line for line in lines)


def _missing(manifest: Manifest) -> tuple[str, ...]:
    return tuple(key_id for key_id in manifest.key_ids if key_id not in vault().key_ids)
