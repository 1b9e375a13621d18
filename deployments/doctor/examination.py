"""Run all checks in order, the nearest first; one that is broken does not end the others."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from core.failures import Misconfigured
from core.settings import Settings, load
from deployments import postgres
from deployments.doctor import database, findings, machine, outside, shop
from deployments.doctor.findings import Check, Finding

# What is looked at only where the database can be read as it should be.
_IN_TABLES: dict[str, Callable[[Settings], Awaitable[list[Finding]]]] = {
    "master keys": lambda _: database.look_at_keys(),
    "work": lambda _: shop.look_at_work(),
    "books": lambda _: shop.look_at_books(),
    "schedules": outside.look_at_schedules,
}


async def examine(config: Settings) -> list[Finding]:
    """Look at everything, with the URLs of the databases in the settings."""
    found = [*await findings.run("this machine", lambda: machine.look(config)), *await _look_at_database(config)]
    for name, check in _outside(config):
        found += await findings.run(name, check)
    return found


async def _look_at_database(config: Settings) -> list[Finding]:
    """Look at what is reached, then at the server and our role, then at the schema, then at what is in its tables."""
    found = database.look_at_urls(config)
    # Of the URLs, the first is what doors and executors use.
    is_sound = bool(found) and found[0].state == "ok"
    for name, first in (("Postgres", database.look_at_server), ("migrations", database.look_at_schema)):
        if is_sound:
            told = await findings.run(name, partial(first, config))
            is_sound = not any(one.check in (name, "role") and one.state in ("wrong", "unknown") for one in told)
            found += told
    for name, check in _IN_TABLES.items():
        if is_sound:
            found += await findings.run(name, partial(check, config))
        else:
            found.append(Finding(name, "unknown", "not looked at, for what is wrong with the database"))
    return found


def _outside(config: Settings) -> Iterator[tuple[str, Check]]:
    yield "pictures", lambda: database.look_at_media(config)
    yield "networks", outside.look_at_networks
    yield "Prefect", lambda: outside.look_at_prefect(config)
    yield "rate limits", outside.look_at_limits


async def examine_all() -> list[Finding]:
    """The same from the environment on.

    Settings that cannot be read are a finding, and so is an embedded Postgres that does not start.
    """
    try:
        config = load()
    except Misconfigured as failure:
        return [findings.wrong("settings", str(failure))]
    try:
        with postgres.provided(config):
            return await examine(load())
    except Misconfigured as failure:
        return [findings.wrong("database", str(failure)), *await findings.run("machine", lambda: machine.look(config))]
