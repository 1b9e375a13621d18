"""`instant keys rotate`, `masters`: the master keys that seal everything stored. `cli.creators` has the others."""

import asyncio
from dataclasses import asdict

from cli import output
from cli.creators import keys as keys
from cli.shared import Json
from core import db
from core.accounts import key_rotation
from core.failures import InvalidInput
from core.process import scheduled_runs


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


def _say(use: key_rotation.KeyUse) -> None:
    for sentence in use.sentences:
        output.line(f"{sentence}.")
