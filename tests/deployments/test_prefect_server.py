"""Prefect's environment, as Prefect itself understands it."""

import http.server
import json
import logging
import os
import re
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.failures import Misconfigured
from core.settings import Settings
from deployments.prefect_server import Pool, has_deployment, how_to_log_in, pool, vacuum, version
from tasks.prefect_adapter import client_environment, server_environment
from tests import practice, servers

_SECRET = "instant:canary-4f1c"

# Each process prints as JSON how Prefect reads its environment.
_READ = """
import json, logging
from prefect.logging.configuration import setup_logging
from prefect.settings import get_current_settings
setup_logging()
s = get_current_settings()
database, services = s.server.database, s.server.services
print(json.dumps({
    "home": str(s.home),
    "api": s.api.url,
    "auth": s.api.auth_string and s.api.auth_string.get_secret_value(),
    "server auth": s.server.api.auth_string and s.server.api.auth_string.get_secret_value(),
    "database": database.connection_url and database.connection_url.get_secret_value(),
    "host": s.server.api.host,
    "port": s.server.api.port,
    "ephemeral": s.server.ephemeral.enabled,
    "persist": s.results.persist_by_default,
    "results": str(s.results.local_storage_path),
    "recorder": [services.task_run_recorder.batch_size, services.task_run_recorder.flush_interval],
    "triggers": services.triggers.enabled,
    "vacuum": [sorted(services.db_vacuum.enabled), services.db_vacuum.retention_period.days],
    "events": s.server.events.retention_period.days,
    "analytics": s.server.analytics_enabled,
    "ui": s.server.ui.api_url,
    "levels": [logging.getLogger(f"prefect.{name}").level for name in ("task_runs", "flow_runs")],
}))
"""


def _config(state_dir: Path) -> Settings:
    return Settings(
        mode="sandbox",
        master_keys="",
        state_dir=state_dir,
        prefect_port=4999,
        prefect_auth_string=_SECRET,
        prefect_database_url="postgresql://postgres@/prefect?host=/a%20b/sockets",
    )


def _as_prefect_reads(environment: dict[str, str]) -> dict[str, object]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", _READ],
        env=clean | environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    values: dict[str, object] = json.loads(done.stdout)
    return values


def test_the_server_is_on_postgres_on_loopback_and_behind_the_auth_string(tmp_path: Path) -> None:
    """Retention is short, analytics are off, and no triggers are evaluated."""
    values = _as_prefect_reads(server_environment(_config(tmp_path)))

    assert values["database"] == "postgresql+asyncpg://postgres@/prefect?host=/a%20b/sockets"
    assert (values["host"], values["port"]) == ("127.0.0.1", 4999)
    assert values["server auth"] == _SECRET
    assert values["ui"] == "http://127.0.0.1:4999/api"
    assert values["recorder"] == [200, 1]
    assert values["vacuum"] == [["events", "flow_runs"], 7]
    assert values["events"] == 7
    assert values["triggers"] is values["analytics"] is False


def test_clients_find_the_server_keep_no_results_and_never_start_one(tmp_path: Path) -> None:
    """All files of Prefect stay in the state folder."""
    values = _as_prefect_reads(client_environment(_config(tmp_path)))

    assert values["api"] == "http://127.0.0.1:4999/api"
    assert values["auth"] == _SECRET
    assert values["home"] == str(tmp_path / "prefect")
    assert str(values["results"]).startswith(str(tmp_path))
    assert values["ephemeral"] is values["persist"] is False
    assert values["server auth"] is None
    assert values["levels"] == [logging.WARNING, logging.WARNING]


def test_without_an_auth_string_none_is_set(tmp_path: Path) -> None:
    config = _config(tmp_path).model_copy(update={"prefect_auth_string": None})

    assert not [name for name in client_environment(config) | server_environment(config) if "AUTH" in name]


def test_people_are_told_where_the_password_is_and_not_what_it_is(tmp_path: Path) -> None:
    assert "instant.env" in how_to_log_in(_config(tmp_path))
    assert _SECRET not in how_to_log_in(_config(tmp_path))
    assert _config(tmp_path).prefect_ui_url == "http://127.0.0.1:4999"


async def test_a_prefect_server_that_does_not_say_is_unknown() -> None:
    """No server, another page, or another document gives unknown, and never an exception."""
    nobody = _config(Path()).model_copy(update={"prefect_api_url": f"http://127.0.0.1:{servers.free_port()}/api"})
    assert await vacuum(nobody) is None
    for body in (b"", b"<html>", b"[]", b'{"server": {"services": {"db_vacuum": {"enabled": ["events"]}}}}'):
        async with practice.scripted(lambda _request, body=body: practice.reply(200, body)) as url:
            assert await vacuum(nobody.model_copy(update={"prefect_api_url": url})) is None


@pytest.mark.parametrize(
    ("enabled", "kinds", "is_complete"),
    [
        ('["events", "flow_runs"]', {"events", "flow_runs"}, True),
        ("true", {"events", "flow_runs"}, True),
        ('["events"]', {"events"}, False),
        ("false", {"events"}, False),
        ("null", set(), False),
    ],
)
async def test_what_a_prefect_server_vacuums(enabled: str, kinds: set[str], is_complete: bool) -> None:
    """Durations are seconds or ISO 8601; a server that deletes no runs grows without limit."""
    services = f'{{"db_vacuum": {{"enabled": {enabled}, "retention_period": 3600}}}}'
    body = f'{{"server": {{"services": {services}, "events": {{"retention_period": "P2D"}}}}}}'
    async with practice.scripted(lambda _request: practice.reply(200, body.encode())) as url:
        said = await vacuum(_config(Path()).model_copy(update={"prefect_api_url": url}))

    assert said
    assert (said.kinds, said.is_complete) == (kinds, is_complete)
    assert (said.runs, said.events) == (timedelta(hours=1), timedelta(days=2))


@pytest.mark.parametrize(
    ("status", "body", "auth", "words"),
    [
        (401, b"", None, "was given none; set INSTANT_PREFECT_AUTH_STRING"),
        (401, b"", _SECRET, "was given another one"),
        (404, b"", _SECRET, "is no Prefect API (HTTP 404)"),
        (200, b"<html>", _SECRET, "is no Prefect API (HTTP 200)"),
    ],
)
async def test_why_prefects_api_cannot_be_used(status: int, body: bytes, auth: str | None, words: str) -> None:
    """Each cause has its own sentence, which shows neither the auth string nor what the server said."""
    async with practice.scripted(lambda _request: practice.reply(status, body)) as url:
        given = SecretStr(auth) if auth else None
        config = _config(Path()).model_copy(update={"prefect_api_url": f"{url}/api", "prefect_auth_string": given})
        with pytest.raises(Misconfigured, match=re.escape(words)) as refused:
            await version(config)

    assert "canary" not in str(refused.value)


async def test_why_prefects_api_cannot_be_reached() -> None:
    """A closed port, a name without an address, and a port that speaks no TLS."""
    plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=plain.serve_forever).start()
    try:
        places = {
            f"http://127.0.0.1:{servers.free_port()}/api": "closed port",
            "http://nosuch.invalid/api": "no address is known",
            f"https://user:canary@127.0.0.1:{plain.server_port}/api": "does not speak the TLS",
        }
        for place, words in places.items():
            config = _config(Path()).model_copy(update={"prefect_api_url": place})
            with pytest.raises(Misconfigured, match=words) as refused:
                await version(config)
            assert "canary" not in str(refused.value)
    finally:
        plain.shutdown()
        plain.server_close()
    async with practice.scripted(lambda _request: practice.reply(200, b'"3.9.1"')) as url:
        assert await version(_config(Path()).model_copy(update={"prefect_api_url": f"{url}/api"})) == "3.9.1"


async def test_work_pools_and_deployments() -> None:
    """A pool that is there, one that is not, and a server that does not tell."""
    told = b'{"status": "NOT_READY", "is_paused": false, "name": "instant"}'
    async with practice.scripted(lambda _request: practice.reply(200, told)) as url:
        config = _config(Path()).model_copy(update={"prefect_api_url": url})
        assert await pool(config, "instant") == Pool("NOT_READY", is_paused=False)
        assert await has_deployment(config, "instant_execution/pool")
    async with practice.scripted(lambda _request: practice.reply(404, b"{}")) as url:
        config = _config(Path()).model_copy(update={"prefect_api_url": url})
        assert await pool(config, "instant") is None
        assert not await has_deployment(config, "instant_execution/pool")
    with pytest.raises(Misconfigured, match="work pools"):
        await pool(config, "instant")
    with pytest.raises(Misconfigured, match="deployments"):
        await has_deployment(config, "instant_execution/pool")
