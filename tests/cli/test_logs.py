"""What doors and executors write about themselves: level, form, the first lines, and requests without secrets."""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from core import db
from core.settings import SANDBOX_NETWORK, settings
from tests import doors, executors, servers
from tests.shops import Buyer, Shop

INPUTS = {"topic": "the sea"}

pytestmark = pytest.mark.usefixtures("own_database")


async def test_json_with_requests(surroundings: Path, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """Each line is an object, also those of libraries; a paid request shows its route, and no query or header."""
    changes = {"INSTANT_LOG_FORMAT": "json", "INSTANT_ACCESS_LOG": "true"}
    with doors.door(surroundings, servers.free_port(), **changes) as door:
        url = f"{door.url}{shop.path}"
        header = await buyer.pay(url, INPUTS)
        bought = await http.post(url, json=INPUTS, headers={"PAYMENT-SIGNATURE": header, "Prefer": "respond-async"})
        await http.get(f"{bought.json()['statusUrl']}&more=canary-81f0")
        await http.request("CANARY", f"{door.url}/canary-81f0")
    # A line is written after its answer; a door that has ended has written all.
    text = door.output.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in lines if line["logger"] == "api.metrics"]
    paid, status, unknown = requests[-3:]

    assert bought.status_code == 202
    assert all({"time", "level", "logger", "process", "message"} <= set(line) for line in lines)
    assert lines[0]["message"].endswith("mode sandbox, launch here")
    assert (paid["method"], paid["route"], paid["status"]) == ("POST", "/@{handle}/{slug}", 202)
    assert (status["method"], status["route"], status["status"]) == ("GET", "/executions/{execution_id}", 200)
    assert (unknown["method"], unknown["route"], unknown["status"]) == ("other", "other", 404)
    assert all(isinstance(one["milliseconds"], int) and one["client"] == "127.0.0.1" for one in requests)
    assert "canary" not in text.lower()
    assert bought.json()["statusUrl"].rpartition("token=")[2] not in text
    assert header[:40] not in text


async def test_the_first_lines(surroundings: Path, pool: db.Pool) -> None:
    """What starts and what it depends on, without a password; nothing of it above the level `info`."""
    output = surroundings / "executor.log"
    url = urlsplit(os.environ["INSTANT_DATABASE_URL"])
    secret = url._replace(netloc=f"postgres:canary-5e2a@{url.hostname or ''}").geturl()
    said = []
    for level in ("info", "warning"):
        before = output.stat().st_size if output.exists() else 0
        with executors.executor(surroundings, INSTANT_DATABASE_URL=secret, INSTANT_LOG_LEVEL=level) as process:
            await executors.at_work(pool, process)
        said.append(output.read_text()[before:])

    first, second = [line.partition(" deployments.banner: ")[2] for line in said[0].splitlines() if "banner" in line]
    assert "executor; mode sandbox, launch executor" in first
    assert second.startswith(f"networks {SANDBOX_NETWORK} (facilitator 127.0.0.1, node 127.0.0.1); database own_")
    assert second.endswith(f"Prefect {settings().prefect_api_url}")
    assert "banner" not in said[1]
    assert "canary" not in said[0] + said[1]
