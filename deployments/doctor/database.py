"""Our database: reach, version, extension, migrations, mode, role, clock; the master keys that open what is stored."""

from datetime import UTC, datetime

from core import db
from core.accounts import key_rotation, master_keys
from core.db import inspection, reach
from core.media import store
from core.settings import Settings
from deployments import start_checks
from deployments.doctor import findings
from deployments.doctor.findings import Finding

_MOST_SKEW_SECONDS = 5.0


def look_at_urls(config: Settings) -> list[Finding]:
    """Try to connect with each URL, and say what is in the way of it."""
    found = []
    for name in ("database_url", "owner_database_url", "prefect_database_url"):
        url = getattr(config, name)
        if url is None:
            continue
        text = url.get_secret_value()
        trouble = reach.look(f"INSTANT_{name.upper()}", text)
        found.append(
            findings.wrong("database", trouble)
            if trouble
            else findings.ok("database", f"INSTANT_{name.upper()}: {reach.shown(text)}")
        )
    return found


async def look_at_server(config: Settings) -> list[Finding]:
    """Ask Postgres about itself, our role and its clock."""
    async with await db.connect() as conn:
        before = datetime.now(UTC)
        facts = await inspection.inspect(conn)
        after = datetime.now(UTC)
    return [_version(facts), _extension(facts), *_role(facts), _clock(facts.clock, before, after), *_way(facts, config)]


def _version(facts: inspection.Facts) -> Finding:
    if facts.version < inspection.OLDEST:
        return findings.wrong("Postgres", f"it is version {facts.version}; upgrade to {inspection.OLDEST} or later")
    return findings.ok("Postgres", f"version {facts.version}")


def _extension(facts: inspection.Facts) -> Finding:
    if not facts.has_trigrams:
        return findings.wrong(
            "extension", "pg_trgm is missing; install Postgres's contrib package, then run `instant migrate`"
        )
    return findings.ok("extension", "pg_trgm is there")


def _role(facts: inspection.Facts) -> list[Finding]:
    again = "run deployments/roles/instant.sql as a superuser"
    found = []
    if not facts.writes:
        found.append(findings.wrong("role", f"{facts.role} may not read and write our tables; {again}"))
    if not facts.becomes_creator:
        found.append(findings.wrong("role", f"{facts.role} is no member of instant_creator; {again}"))
    if facts.is_superuser or facts.owns:
        what = "is a superuser" if facts.is_superuser else "owns tables"
        found.append(findings.warning("role", f"{facts.role} {what}; give doors and executors the role instant_app"))
    return found or [findings.ok("role", f"{facts.role} may read and write rows, and no more")]


def _clock(clock: datetime, before: datetime, after: datetime) -> Finding:
    """Compare two clocks; the answer was made between `before` and `after`."""
    skew = max((clock - after).total_seconds(), (before - clock).total_seconds(), 0.0)
    if skew > _MOST_SKEW_SECONDS:
        return findings.wrong("clock", f"this machine and Postgres differ by {skew:.0f} s; run NTP on both")
    return findings.ok("clock", "as Postgres's")


def _way(facts: inspection.Facts, config: Settings) -> list[Finding]:
    found = []
    if facts.is_remote and not facts.is_encrypted:
        found.append(
            findings.warning("database", "it is on another host, and reached without TLS; add sslmode=verify-full")
        )
    if config.pool_size * 2 > facts.most_connections:
        found.append(
            findings.warning(
                "database",
                f"max_connections is {facts.most_connections}, and one process takes up to {config.pool_size}"
                " (INSTANT_POOL_SIZE); raise the former or lower the latter",
            )
        )
    return found


async def look_at_schema(config: Settings) -> list[Finding]:
    """Look for missing migrations and the other mode."""
    start_checks.check_database(config)
    return [findings.ok("migrations", f"all are applied; the database is for mode {config.mode}")]


async def look_at_keys() -> list[Finding]:
    """Whether the master keys open what is stored, and what older ones are still needed for."""
    async with await db.connect() as conn:
        keys = await master_keys.keys_in_use(conn)
        if keys.other or not keys.opening:
            await master_keys.check(conn)
    if keys.missing:
        missing = ", ".join(map(ascii, keys.missing))
        return [
            findings.wrong("master keys", f"INSTANT_MASTER_KEYS lacks {missing}, and what they sealed is unreadable")
        ]
    async with db.pool() as pool:
        use = await key_rotation.key_use(pool)
    found = [findings.warning("key rotation", f"{sentence}.") for sentence in use.sentences]
    opening = ", ".join(map(ascii, keys.opening)) or "nothing yet, so none is needed"
    found = found or [findings.ok("key rotation", f"{use.newest!a} sealed all that is stored")]
    return [findings.ok("master keys", f"{opening} opened what they sealed" if keys.opening else opening), *found]


async def look_at_media(config: Settings) -> list[Finding]:
    """Whether pictures have a place."""
    store.check_store()
    if config.media_url is None:
        return [findings.warning("pictures", "INSTANT_MEDIA_URL is not set: answers carry their pictures themselves")]
    folder = store.folder(config.media_url)
    return [findings.ok("pictures", f"in {folder}" if folder else "in a bucket")]
