"""Install a lock file with pip, into the environment of the Python that runs this, and say how far it is.

On a terminal one line counts the packages; elsewhere, as in the log of a CI, every quarter is a line. pip's own bars
show single downloads, and nothing while it unpacks. Usage: python .ci/install.py requirements.lock
"""

import os
import re
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

_PIP = ("-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "--no-deps", "--require-hashes")
_SECONDS = 0.3


class Progress:
    """What was said of a step last. On a terminal it is said anew for each package, elsewhere for each quarter."""

    def __init__(self, total: int) -> None:
        self.total, self._quarter = total, 0

    def say(self, what: str, done: int) -> None:
        """Say that `done` of all packages are done."""
        if sys.stdout.isatty():
            sys.stdout.write(f"\r  {what} {done} of {self.total} packages\033[K")
        elif (quarter := 4 * done // self.total) > self._quarter:
            self._quarter = quarter
            sys.stdout.write(f"  {what} {done} of {self.total} packages\n")
        sys.stdout.flush()

    def end(self) -> None:
        """Begin the next line, and the next step."""
        self._quarter = 0
        if sys.stdout.isatty():
            sys.stdout.write("\n")


def main(lock: str) -> int:
    """Install; return pip's exit code."""
    total = len(re.findall(r"^[A-Za-z0-9]", Path(lock).read_text(), re.M))
    progress, fetched, unpacked = Progress(total), 0, threading.Event()
    command = [sys.executable, *_PIP, "-r", lock]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as pip:  # noqa: S603 - our own lock
        watching = threading.Thread(target=watch, args=(progress, unpacked))
        for line in pip.stdout or ():
            if line.startswith(("Collecting ", "Requirement already satisfied")):
                fetched += 1
                progress.say("fetched", fetched)
            elif line.startswith("Installing collected packages"):
                progress.end()
                watching.start()
        unpacked.set()
        if watching.is_alive():
            watching.join()
        progress.end()
    return pip.returncode


def watch(progress: Progress, unpacked: threading.Event) -> None:
    """Count what pip has unpacked, which it says nothing of."""
    packages = Path(sysconfig.get_path("purelib"))
    while not unpacked.wait(_SECONDS):
        progress.say("installed", min(sum(1 for _ in packages.glob("*.dist-info")), progress.total))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
