"""Check what a process depends on before it starts: each check is one function, and all of them in order are another.

The settings by themselves are checked where they are read (`core/settings/`). What stops a start, and what is only
warned of, is decision 0019.
"""

import asyncio
import logging

from core.settings import Settings, warnings

log = logging.getLogger(__name__)


def check_all(config: Settings, *, is_selling: bool) -> None:
    """Check everything, the nearest first.

    Args:
        config: the settings.
        is_selling: whether this is a door. An executor finishes what was paid, so fewer things stop it.

    Raises:
        Misconfigured: its sentence names what must be changed.
    """
    check_database(config)
    asyncio.run(check_master_keys())
    check_media()
    warn_of_settings(config)
    asyncio.run(check_networks(is_selling=is_selling))


def check_database(config: Settings) -> None:
    """Refuse a database that lacks a migration, or is of the other mode.

    Raises:
        Misconfigured: it is one of these.
    """
    from core.db.migrate import require_up_to_date
    from core.db.pool import database_url

    require_up_to_date(database_url(config), config.mode)


async def check_master_keys() -> None:
    """Refuse master keys that are malformed, or open nothing of what is stored.

    Raises:
        Misconfigured: they are, or do.
    """
    from core import db
    from core.accounts import master_keys

    async with await db.connect() as conn:
        await master_keys.check(conn)


def check_media() -> None:
    """Refuse a place that no pictures can be stored at.

    Raises:
        Misconfigured: INSTANT_MEDIA_URL is such a place.
    """
    from core.media import store

    store.check_store()


def warn_of_settings(config: Settings) -> None:
    """Log a sentence for each setting that is allowed and dangerous."""
    for sentence in warnings(config):
        log.warning("%s", sentence)


async def check_networks(*, is_selling: bool) -> None:
    """Compare each network with its chain, and ask its facilitator whether it serves it.

    Raises:
        Misconfigured: a node or a facilitator says otherwise than INSTANT_NETWORKS.
    """
    from core.evm import checks
    from core.payments import facilitator_checks, settlement

    async with settlement.payment_clients() as clients:
        await checks.check_networks(clients.http, clients.networks.values())
        await facilitator_checks.check_facilitators(clients.facilitators, is_selling=is_selling)
