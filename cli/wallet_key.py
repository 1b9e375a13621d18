"""Read a wallet's private key from a file that only its owner can read, or from the environment; never from an option.

A command line is seen by every user of a machine, and kept in the history of a shell.
"""

import os
from pathlib import Path

from core.failures import Misconfigured
from core.secrets.private import Private


def read_key(file: Path | None, variable: str, option: str) -> Private[str]:
    """Read the text of a key, whatever it is.

    Args:
        file: where it is; None: in the environment.
        variable: its name there.
        option: the option that names a file, for the sentence.

    Raises:
        Misconfigured: there is none, or others can read the file.
    """
    text = _read(file) if file else os.environ.get(variable, "")
    if not text:
        raise Misconfigured(f"a wallet's private key is needed: set {variable}, or name a file by {option}")
    return Private(text)


def _read(file: Path) -> str:
    try:
        with file.open() as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(200).strip()
    except (OSError, ValueError):
        mode, text = 0, ""
    if mode & 0o077:
        raise Misconfigured(f"{file} can be read by others; change that with: chmod 600 {file}")
    if not text:
        raise Misconfigured(f"{file} cannot be read")
    return text
