"""Histograms of times by Postgres, compared with the same in Python."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yoyo import get_backend, read_migrations

from core.db.migrate import MIGRATIONS, migrate
from tests import servers

TIMES = st.integers(0, 2**31 - 1)


def bucket(ms: int) -> int:
    """The first bucket whose upper end is at or above the time."""
    return next((number for number in range(1, 90) if ms <= 2 ** ((number - 1) / 4)), 90)


def histogram(times: Sequence[int | None]) -> list[int | None]:
    """Counts per bucket, up to the highest bucket in use; NULL without times."""
    counted = Counter(bucket(ms) for ms in times if ms is not None)
    return [counted[number] or None for number in range(1, max(counted, default=1) + 1)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(TIMES, min_size=1, max_size=200), share=st.floats(0, 1))
def test_percentiles_are_within_their_bound(row: Any, times: list[int], share: float) -> None:
    """Against the exact nearest rank: within 9.1 % and half a millisecond up to 70 minutes; at least that above."""
    (told,) = row(
        "SELECT histogram_percentile(histogram(array_agg(histogram_bucket(ms))), %(share)s)"
        " FROM unnest(%(times)s::integer[]) AS ms",
        times=times,
        share=share,
    )

    exact = sorted(times)[max(math.ceil(share * len(times)), 1) - 1]
    if exact > 2**22:
        assert told == 2**22
    else:
        assert abs(told - exact) <= max(exact * 0.091, 1) + 0.5


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.lists(TIMES | st.none(), min_size=1, max_size=50), min_size=1, max_size=5))
def test_sums_of_parts_are_what_is_counted_at_once(row: Any, parts: list[list[int | None]]) -> None:
    """A day that is added up from its hours equals one that is counted as a whole, to the last digit."""
    (told,) = row(
        "SELECT histogram_sum(counted) FROM (SELECT histogram(array_agg(histogram_bucket(ms))) AS counted"
        " FROM unnest(%(times)s::integer[], %(parts)s::integer[]) AS made (ms, part) GROUP BY part) AS counted",
        times=[ms for part in parts for ms in part],
        parts=[number for number, part in enumerate(parts) for _ms in part],
    )

    assert told == histogram([ms for part in parts for ms in part])


def test_buckets_end_where_they_say(row: Any) -> None:
    """A bucket includes its end, and the next millisecond is in the next bucket; missing times are in none."""
    ends = {int(2 ** (number / 4)) for number in range(89)}
    times = sorted({ms for end in ends for ms in (end, end + 1)})
    told, unmeasured, median = row(
        "SELECT array_agg(histogram_bucket(ms) ORDER BY ms), histogram(ARRAY[histogram_bucket(NULL)]),"
        " histogram_percentile(histogram(ARRAY[histogram_bucket(NULL)]), 0.5) FROM unnest(%(times)s::integer[]) AS ms",
        times=times,
    )

    assert told == [bucket(ms) for ms in times]
    assert unmeasured == histogram([None])
    assert median is None


def test_what_was_counted_before_takes_the_same_form(postgres: str) -> None:
    """Old histograms of 90 buckets are cut after the last used one, because their rows may be gone."""
    times = [3, 90, 90, 5_000_000]
    counted = Counter(bucket(ms) for ms in times)
    with servers.our_database(postgres, "counted") as url:
        backend = get_backend(urlsplit(url)._replace(scheme="postgresql+psycopg").geturl())
        backend.apply_migrations(read_migrations(str(MIGRATIONS)).filter(lambda one: one.id < "0010"))
        backend.connection.close()
        with psycopg.connect(url) as conn:
            conn.execute(
                _COUNTED,
                {"none": [0] * 90, "short": [0, 0, 7] + [0] * 87, "long": [counted[n] for n in range(1, 91)]},
            )
        migrate(url, "sandbox")
        with psycopg.connect(url) as conn:
            found = conn.execute("SELECT settle, queue, upstream, total, calls FROM usage_rollup").fetchall()

    assert found == [([None], [None, None, 7], histogram(times), histogram(times), 4)]


_COUNTED = """
INSERT INTO usage_rollup (
    span, starts_at, account_id, version_id, kind, log_dropped_at, calls, succeeded, failed, declined, fault_buyer,
    fault_creator, fault_provider, fault_ours, charged, sends, input_tokens, output_tokens, revenue_atomic, cost_usd,
    cost_unknown, spent_usd, settle, queue, upstream, total
) VALUES (
    'hour', '2024-03-01 00:00Z', md5('x')::uuid, md5('v')::uuid, 'paid', now(), 4, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0,
    0, 0, 0, %(none)s, %(short)s, %(long)s, %(long)s
)
"""


@pytest.fixture
def row(database: str) -> Iterator[Any]:
    """Query one row of Postgres, without an event loop."""
    with psycopg.connect(database, autocommit=True) as conn:
        yield lambda query, **parameters: conn.execute(query.encode(), parameters).fetchone()
