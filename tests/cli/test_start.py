"""How a command starts: it loads no library that it does not use."""

import json
import subprocess
import sys

_LOOK = """
import json, sys
import cli.app, deployments.postgres
cli.app.app.resolved_commands()
import core.payments.timeline
print(json.dumps(list(sys.modules)))
"""

# Each takes 0.1 to 2 seconds of CPU to load.
SLOW = {
    "aiohttp",
    "apprise",
    "eth_account",
    "fastapi",
    "matplotlib",
    "numpy",
    "openai",
    "opentelemetry",
    "prefect",
    "uvicorn",
    "web3",
    "x402",
}


def test_no_command_loads_a_slow_library_before_it_uses_it() -> None:
    """The modules of all commands are imported at once, the one that finds their database, and what lists payments."""
    looked = subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, check=True)
    loaded = set(json.loads(looked.stdout))

    assert {"cli.buy", "cli.creators", "cli.executions", "cli.money", "cli.report"} <= loaded
    assert loaded & SLOW == set()
