"""Proxies with exactly the configuration that a page of the documentation shows, at the addresses of this machine."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests import shops
from tests.docs.pages import blocks

PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
"""Where a proxy's program may be: Debian keeps them out of an ordinary account's PATH."""


def shown(page: str, language: str, of: str = "") -> str:
    """The one block of that language on the page that a test reads: the settings of a process, or a configuration.

    Args:
        page: its path below the root.
        language: as the fence names it, or how that begins.
        of: what stands in this block alone, if a test reads several.
    """
    (block,) = (
        one
        for one in blocks()
        if one.page == page and one.mark == "tested by" and one.language.startswith(language) and of in one.code
    )
    return block.code


def placed(text: str, places: Mapping[str, str]) -> str:
    """The same configuration at the addresses and with the files of this machine, each of which the page names."""
    for there, here in places.items():
        assert there in text
        text = text.replace(there, here)
    return text


def nginx(program: str, folder: Path, configuration: str) -> list[str]:
    """The command of an nginx without privileges: what belongs to the whole process is in a file around the page's."""
    (folder / "shown.conf").write_text(configuration)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    spool = " ".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder / 'nginx.pid'}; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {spool} include {folder / 'shown.conf'}; }}\n"
    )
    return [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]


@asynccontextmanager
async def running(command: list[str], folder: Path, port: int) -> AsyncIterator[None]:
    """A proxy in the foreground, once it accepts connections at that port of loopback."""
    log = folder / "proxy.log"
    own = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with log.open("wb") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=printed, env=os.environ | own)  # noqa: ASYNC220

    async def listens() -> bool:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        with suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    try:
        await shops.eventually(listens)
        yield
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)
