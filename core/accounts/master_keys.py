"""Compare the master keys in the settings with those that sealed what is stored.

It looks at what is kept for as long as its owner: provider keys, prompt templates and addresses of notices. Inputs and
answers are deleted after INSTANT_RETENTION_DAYS, so a key that sealed only those is not in use for long.
"""

import logging
from collections import defaultdict
from dataclasses import dataclass

from core import db
from core.db.queries.master_key import SealedRow, sql
from core.failures import Misconfigured, Unreadable
from core.secrets.vault import vault

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeysInUse:
    """The ids of the master keys that sealed something that is stored.

    Attributes:
        opening: configured, and open what they sealed.
        missing: not configured.
        other: configured with other bytes than those that sealed.
    """

    opening: tuple[str, ...]
    missing: tuple[str, ...]
    other: tuple[str, ...]


async def keys_in_use(conn: db.Connection) -> KeysInUse:
    """Find out which master keys are in use, by opening the newest values of each.

    Raises:
        Misconfigured: INSTANT_MASTER_KEYS cannot be read.
    """
    configured = vault().key_ids
    found: defaultdict[str, list[bool]] = defaultdict(list)
    async for row in sql.newest_sealed(conn):
        found[row.key_id.decode("ascii", "replace")].append(_opens(row))
    return KeysInUse(
        opening=tuple(sorted(key_id for key_id, opened in found.items() if any(opened))),
        missing=tuple(sorted(key_id for key_id in found if key_id not in configured)),
        other=tuple(sorted(key_id for key_id, opened in found.items() if key_id in configured and not any(opened))),
    )


async def sealed_ids(conn: db.Connection) -> tuple[str, ...]:
    """Return the ids of all master keys that sealed anything stored. It reads the head of every sealed value."""
    ids = {row.key_id async for row in sql.count_sealed(conn)}
    return tuple(sorted(key_id.decode("ascii", "replace") for key_id in ids if key_id is not None))


async def check(conn: db.Connection) -> None:
    """Refuse master keys that open nothing of what they should, and log a warning for those that are missing.

    A new key that has not sealed anything yet is no mistake.

    Raises:
        Misconfigured: a key opens nothing of what was sealed under its id, or no key opens anything.
    """
    keys = await keys_in_use(conn)
    if keys.other:
        raise Misconfigured(
            f"INSTANT_MASTER_KEYS has another key {_listed(keys.other)} than the one that sealed what is stored;"
            " restore that one, or give the new one a new id"
        )
    if keys.missing and not keys.opening:
        raise Misconfigured(
            f"INSTANT_MASTER_KEYS opens nothing of what is stored, which {_listed(keys.missing)} sealed; restore it"
        )
    if keys.missing:
        log.warning("INSTANT_MASTER_KEYS lacks %s, and what it sealed cannot be read", _listed(keys.missing))


def _opens(row: SealedRow) -> bool:
    try:
        vault().open(row.sealed, account=row.account_id, column=row.place, row=row.row_id)
    except Unreadable:
        return False
    return True


def _listed(key_ids: tuple[str, ...]) -> str:
    """List ids for a sentence, in visible ASCII: a damaged row may name anything."""
    return ", ".join(ascii(key_id) for key_id in key_ids)
