"""Repair the syntax of JSON texts, one after the other. All use of json-repair is here.

Each text arrives on standard input and leaves repaired on standard output, in UTF-8 after its length; NOT_REPAIRED is
the length of one that cannot be repaired. `core/providers/json_repairer.py` is the other end.
"""

import resource
import signal
import struct
import sys

from json_repair import repair_json

LENGTH = struct.Struct(">I")
NOT_REPAIRED = 0xFFFFFFFF

# An honest document of the longest length takes a tenth of a second.
_CPU_SECONDS = 0.5
_MEMORY_BYTES = 512 * 1024 * 1024


def main() -> None:
    """Repair texts until the input ends, or one takes too long."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while header := sys.stdin.buffer.read(LENGTH.size):
        text = sys.stdin.buffer.read(LENGTH.unpack(header)[0]).decode()
        # Its signal ends the process. It counts only this process's own time, so a busy machine changes nothing.
        signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)
        try:
            repaired = str(repair_json(text, ensure_ascii=False)).encode()
            sys.stdout.buffer.write(LENGTH.pack(len(repaired)) + repaired)
        except (ValueError, RecursionError):
            sys.stdout.buffer.write(LENGTH.pack(NOT_REPAIRED))
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
