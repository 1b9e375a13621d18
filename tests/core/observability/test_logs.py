"""What libraries log about exceptions that we do not catch."""

import asyncio
import gc
import logging
from collections.abc import Iterator

import pytest

from core.failures import ExecutionFailed
from core.observability import logs
from tests import leaks, planted
from tests.leaks import canary


@pytest.fixture(autouse=True)
def hidden() -> Iterator[None]:
    """As in a door or an executor; afterwards as before."""
    names = ("asyncio", "uvicorn.error", "prefect.task_runs", "prefect.flow_runs")
    loggers = [logging.getLogger(name) for name in names]
    before = [list(logger.filters) for logger in loggers]
    logs.hide_exception_texts()
    yield
    for logger, filters in zip(loggers, before, strict=True):
        logger.filters = filters


async def test_libraries_log_places_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio about a task that nobody awaited, and uvicorn about a route."""
    word = canary("argument")
    asyncio.create_task(planted.function("later")(word))  # noqa: RUF006 - forgotten on purpose
    await asyncio.sleep(0)
    gc.collect()
    try:
        planted.function("chained")(word)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")

    forgotten, route = (record.getMessage() for record in caplog.records)
    place = "KeyError at core/planted.py:4 in look_up"
    assert forgotten == f"Task exception was never retrieved: {place} < core/planted.py:37 in later"
    assert route.startswith("Exception in ASGI application: ValueError at core/planted.py:10 in chained; KeyError at ")
    assert leaks.found(caplog.text.encode(), {"argument": word}) == set()


async def test_other_records_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    """Without an exception there is nothing to hide."""
    logging.getLogger("uvicorn.error").error("a port is taken: %s", 80)

    assert [record.getMessage() for record in caplog.records] == ["a port is taken: 80"]


@pytest.mark.parametrize("name", ["prefect.task_runs", "prefect.flow_runs"])
def test_a_failure_of_ours_has_one_line(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A buyer can cause it, and must not fill the log with tracebacks; a crash keeps its own."""
    for error in (ExecutionFailed("resource_unavailable", "provider", "provider_truncated"), KeyError("x")):
        try:
            raise error
        except Exception:
            logging.getLogger(name).exception("Task run failed")

    failed, crashed = caplog.records
    assert failed.exc_info is None
    assert crashed.exc_info is not None
