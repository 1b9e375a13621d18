"""What our imports do to the interpreter."""

import subprocess
import sys


def test_the_door_keeps_the_recursion_limit() -> None:
    """The curves that come with x402 raise it so far that a deeply nested body would end the process."""
    code = "import sys; before = sys.getrecursionlimit(); import api.app; print(sys.getrecursionlimit() == before)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split()[-1] == b"True"


def test_nobody_patches_the_event_loop() -> None:
    """x402 depends on nest_asyncio, and nothing of it may be loaded."""
    code = "import sys, api.app; print('nest_asyncio' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split()[-1] == b"False"
