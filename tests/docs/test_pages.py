"""Readers type what the pages say: README.md, CONTRIBUTING.md, and docs/ but for what an empty machine needs.

All of them use one shop, which `make demo` started as README.md says. The configuration of desktop programs in
docs/mcp.md is a file for a program, so the program's part is played here.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from mcp import Client, StdioServerParameters

from tests import servers
from tests.docs import outside, readers
from tests.docs.conftest import INSTALLING, Machine, demo_block
from tests.docs.pages import ROOT, Block, blocks

# A page has dozens of commands, and the first one waits until the shop has started.
pytestmark = pytest.mark.timeout(900)

# They are about another place than the shop: tests/docs/test_installing.py.
_ELSEWHERE = {("docs/operators.md", INSTALLING)}

_NPM = ROOT / ".clients"


def of_a_shop(page: str) -> list[Block]:
    """The blocks of a page that a reader with a shop types."""
    own = [block for block in blocks() if block.page == page and (page, block.section) not in _ELSEWHERE]
    return [block for block in own if block != demo_block()]


READ = [
    page for page in dict.fromkeys(block.page for block in blocks()) if any(b.language == "sh" for b in of_a_shop(page))
]


@pytest.fixture(scope="session")
def places(demo: Machine) -> Iterator[dict[str, str]]:
    """What stands in the pages for what stands here; providers outside are practice ones."""
    gateway = f"http://127.0.0.1:{demo.environment['INSTANT_OPENROUTER_PORT']}/compatible/v1"
    groq = {
        "https://api.groq.com/openai/v1": gateway,
        '"gsk_.+"': '"sk-compatible-.+"',
        "gsk_practice": "sk-compatible-practice",
    }
    backups = demo.home / "backups"
    backups.mkdir(mode=0o700)
    metrics = str(servers.free_port())
    own = {"/srv/backups": str(backups), "127.0.0.1:9464": f"127.0.0.1:{metrics}", "PORT=9464": f"PORT={metrics}"}
    with outside.outside() as address:
        yield demo.places | groq | own | {"notices.example": address}


@pytest.fixture(scope="session")
def has_npm() -> bool:
    """Whether the packages that the pages install with npm are here."""
    return shutil.which("node") is not None and (_NPM / "installed").exists()


@pytest.fixture(scope="session")
def typed(
    request: pytest.FixtureRequest, demo: Machine, places: dict[str, str], has_npm: bool
) -> Iterator[Mapping[str, Future[readers.Reader]]]:
    """Readers of all pages that this session asks for, two at a time: they wait for servers most of the time."""
    (demo.home / "node_modules").symlink_to(_NPM / "node_modules")

    def read(page: str) -> readers.Reader:
        folder = demo.home if page.startswith("docs/") else demo.home / readers.CLONE
        with readers.reading(demo.home, demo.environment, places, folder) as reader:
            reader.read([block for block in of_a_shop(page) if has_npm or not _is_of_node(block)])
        return reader

    parameters = (getattr(item, "callspec", None) for item in request.session.items)
    asked = {one.params.get("page") for one in parameters if one}
    longest_first = sorted(READ, key=lambda page: sum(len(block.commands) for block in of_a_shop(page)), reverse=True)
    with ThreadPoolExecutor(2) as pool:
        yield {page: pool.submit(read, page) for page in longest_first if page in asked}


def _is_of_node(block: Block) -> bool:
    return block.language == "js" or any(command.startswith("node ") for command in block.commands)


@pytest.mark.parametrize("page", READ)
def test_the_page_can_be_typed(page: str, typed: Mapping[str, Future[readers.Reader]], has_npm: bool) -> None:
    """Every command succeeds, every file is used, and every document has members that the real one has."""
    sys.stdout.write("\n".join(typed[page].result().log))
    if not has_npm and any(map(_is_of_node, of_a_shop(page))):
        pytest.skip(
            "all but Node's part was typed: its packages are not in .clients/, where `make test-docs` puts them"
        )


async def test_a_desktop_program_finds_its_tools(demo: Machine) -> None:
    """The configuration in docs/mcp.md, with this door and a wallet's file, starts a bridge with the shop's tools."""
    (block,) = (block for block in blocks() if block.page == "docs/mcp.md")
    (shown,) = json.loads(block.code)["mcpServers"].values()
    wallet = demo.home / "bridge.key"
    wallet.write_text(os.urandom(32).hex())
    wallet.chmod(0o600)
    door = f"http://127.0.0.1:{demo.environment['INSTANT_PORT']}"
    here = {"https://shop.example": door, "/home/you/.wallet-key": str(wallet)}
    arguments = [readers.replaced(argument, here) for argument in shown["args"]]
    assert set(here) <= {there for there in here for argument in shown["args"] if there in argument}
    command = shutil.which(shown["command"], path=demo.environment["PATH"])
    assert command
    bridge = StdioServerParameters(command=command, args=arguments, env=demo.environment)
    async with Client(bridge) as local:
        tools = (await local.list_tools()).tools

    assert {tool.name for tool in tools} >= {"search_prompts", "preview", "buy", "status"}
