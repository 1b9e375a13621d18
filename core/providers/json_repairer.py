"""Have JSON texts repaired by a process that can be ended.

The time of json-repair grows with the square of some texts, a thread cannot be stopped, and Python runs one thread at a
time. So a process of its own repairs, and the kernel ends it when a text has used up its time or its memory. The next
text starts another.
"""

import os
import subprocess
import sys
from queue import Empty, SimpleQueue

from core import db
from core.providers.json_repair_process import LENGTH, NOT_REPAIRED

# Without an environment, so that nothing of ours is in its reach.
_COMMAND = (sys.executable, "-I", "-B", "-m", "core.providers.json_repair_process")

# As many as there are callers at once. They end with their standard input, which is when this process ends.
_idle: SimpleQueue["subprocess.Popen[bytes]"] = SimpleQueue()


def repair(text: str) -> str | None:
    """Repair the syntax of a text; None if it cannot be repaired in time.

    Blocks for about as long as the process computes, which is half a second at most.

    Args:
        text: any text that is not JSON, of the length of an answer.
    """
    process = _taken()
    repaired = _repaired_by(process, text.encode())
    if repaired is None:
        process.kill()
        process.wait()
        return None
    _idle.put(process)
    return repaired.decode() if repaired else None


def _repaired_by(process: "subprocess.Popen[bytes]", text: bytes) -> bytes | None:
    """Exchange one text; empty if it cannot be repaired, None if the process has ended."""
    stdin, stdout = db.required(process.stdin), db.required(process.stdout)
    try:
        stdin.write(LENGTH.pack(len(text)) + text)
        stdin.flush()
    except OSError:
        return None
    header = stdout.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(header)
    if length == NOT_REPAIRED:
        return b""
    repaired = stdout.read(length)
    return repaired if len(repaired) == length else None


def _taken() -> "subprocess.Popen[bytes]":
    """Take an idle process that lives, or start one."""
    while True:
        try:
            process = _idle.get_nowait()
        except Empty:
            # In a group of its own, so that Ctrl-C leaves it the time of a text.
            return subprocess.Popen(  # noqa: S603 - our own interpreter and module
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                process_group=0,
            )
        if process.poll() is None:
            return process


def _forget() -> None:
    """A forked copy of this process must not speak to its parent's processes."""
    global _idle
    _idle = SimpleQueue()


os.register_at_fork(after_in_child=_forget)
