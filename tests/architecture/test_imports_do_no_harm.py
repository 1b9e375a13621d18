"""What our imports do to the interpreter."""

import json
import subprocess
import sys
from typing import Any

import pytest

_LOOK = """
import json, sys
before = sys.getrecursionlimit()
import api.app
print(json.dumps({"before": before, "after": sys.getrecursionlimit(), "modules": list(sys.modules)}))
"""


@pytest.fixture(scope="module")
def door() -> Any:
    """What an interpreter says that has imported the door, and nothing else."""
    return json.loads(subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, check=True).stdout)


def test_the_door_keeps_the_recursion_limit(door: Any) -> None:
    """The curves that come with x402 raise it so far that a deeply nested body would end the process."""
    assert door["after"] == door["before"]


def test_nobody_patches_the_event_loop(door: Any) -> None:
    """x402 depends on nest_asyncio, and nothing of it may be loaded."""
    assert "api.app" in door["modules"]
    assert "nest_asyncio" not in door["modules"]
