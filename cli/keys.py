"""`instant keys rotate`, `masters`, `import`: master keys, and old keys. `cli.creators` has the other commands."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cli import output
from cli.creators import keys as keys
from cli.shared import Json, read_secret
from core import db
from core.accounts import key_import, key_rotation
from core.failures import InvalidInput
from core.process import scheduled_runs
from core.secrets.private import Private


@keys.command(name="rotate")
def rotate(*, json: Json = False) -> None:
    """Seal everything anew under the newest master key, while the system serves.

    Every process has to seal under that key already. A rotation that was ended goes on where it was: run it again.
    """

    async def run() -> key_rotation.Rotated:
        async with db.pool() as pool, scheduled_runs.hold_lock("key_rotation") as alone:
            if alone is None:
                raise InvalidInput({"rotation": "another one is going on"})
            with output.progress("Sealing anew") as show:

                async def report(progress: key_rotation.Progress) -> None:
                    show(progress.done, progress.total)

                return await key_rotation.rotate(pool, report)

    rotated = asyncio.run(run())
    if json:
        output.document(asdict(rotated))
        return
    output.line(f"{rotated.resealed} values are sealed anew under {rotated.use.newest!a}.")
    _say(rotated.use)


@keys.command(name="masters")
def show_master_keys(*, json: Json = False) -> None:
    """Show which master keys are in use, and when an older one may be dropped."""

    async def run() -> key_rotation.KeyUse:
        async with db.pool() as pool:
            return await key_rotation.key_use(pool)

    use = asyncio.run(run())
    if json:
        output.document(asdict(use))
        return
    output.line(f"{use.newest!a} seals.")
    _say(use)


@keys.command(name="import")
def import_keys(file: Path, /, *, from_env: str | None = None, json: Json = False) -> int:
    """Import provider keys of the system before this one. The old secret is read from standard input.

    Each key is decrypted once, checked at its provider and sealed anew. Who has a key here keeps it, so it may be
    repeated.

    Args:
        file: a JSON list of rows: handle, encrypted_api_key (ivhex:cthex), is_enabled, and provider.
        from_env: read the old INTEGRATION_ENCRYPTION_SECRET from this environment variable instead.
    """
    rows = _old_keys(file)
    secret = Private(read_secret("INTEGRATION_ENCRYPTION_SECRET", from_env).reveal().rstrip("\r\n"))

    async def run() -> list[key_import.Imported]:
        async with db.pool() as pool:
            return [await key_import.import_key(pool, row, secret) for row in rows]

    imported = asyncio.run(run())
    if json:
        output.document([asdict(one) for one in imported])
    else:
        output.table((asdict(one) for one in imported), empty="The file has no rows.")
    return 1 if any(one.outcome == "refused" for one in imported) else 0


def _old_keys(file: Path) -> Sequence[key_import.OldKey]:
    """Read the rows.

    Raises:
        InvalidInput: the file cannot be read, or names the row that is not one.
    """
    try:
        return TypeAdapter(list[key_import.OldKey]).validate_json(file.read_bytes())
    except OSError as error:
        problem = {"file": error.strerror or "cannot be read"}
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "file"
        problem = {where: "must be a JSON list of objects with handle and encrypted_api_key, as text"}
    raise InvalidInput(problem)


def _say(use: key_rotation.KeyUse) -> None:
    for sentence in use.sentences:
        output.line(f"{sentence}.")
