"""What our imports do to the interpreter."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

_LOOK = """
import asyncio, json, sys
before = sys.getrecursionlimit()
import api.app, core.reporting.day_page
from deployments import launch

async def open_and_close():
    async with launch.running():
        pass

api.app.create_app()
asyncio.run(open_and_close())
print(json.dumps({"before": before, "after": sys.getrecursionlimit(), "modules": list(sys.modules)}))
"""


@pytest.fixture(scope="module")
def door() -> Any:
    """What an interpreter says that has built a door which launches nothing, and done nothing else."""
    environment = os.environ | {"INSTANT_LAUNCH": "executor"}
    done = subprocess.run([sys.executable, "-c", _LOOK], env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def test_the_door_keeps_the_recursion_limit(door: Any) -> None:
    """The curves that come with x402 raise it so far that a deeply nested body would end the process."""
    assert door["after"] == door["before"]


def test_only_who_draws_loads_matplotlib(door: Any) -> None:
    """It would take half of the time in which a command starts."""
    assert "core.reporting.chart" in door["modules"]
    assert "matplotlib" not in door["modules"]


def test_only_wallets_load_web3(door: Any) -> None:
    """It would take 12 MB of each process; x402's package for EVM chains imports it for signers."""
    assert "core.payments.x402_sdk" in door["modules"]
    assert "web3" not in door["modules"]


def test_nobody_patches_the_event_loop(door: Any) -> None:
    """x402 depends on nest_asyncio, and nothing of it may be loaded."""
    assert "api.app" in door["modules"]
    assert "nest_asyncio" not in door["modules"]


def test_a_door_beside_executors_does_without_prefect(door: Any) -> None:
    """It would take a second of its start and 35 MB of its memory."""
    assert [module for module in door["modules"] if module.partition(".")[0] == "prefect"] == []
