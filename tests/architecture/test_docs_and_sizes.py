"""House rules for readers: short files, modules named after nouns, docstrings, and documentation that is true."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from cli import configuration
from core.catalog.pricing import RULES
from core.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDERS = ("api", "core", "deployments", "flows", "tasks")
FILES = sorted(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

LONGEST = 300
PAGES = sorted(
    page
    for page in (path.relative_to(ROOT).as_posix() for path in ROOT.glob("**/*.md"))
    if not re.match(r"\.|.*/\.", page)
)


# Written by `make queries`, to be looked things up in.
GENERATED = "core/db/queries/"

# The three places that may catch everything: the guards of tasks and of MCP, because they let nothing of it through;
# and the group commit, because after any exception of a group it writes each item alone, and that raises again.
GUARDS = ("tasks/policy.py", "core/db/batch_writer.py", "api/mcp/servers.py")


def catches_everything(source: str) -> list[int]:
    """The lines of handlers that catch whatever comes."""

    def names(kind: ast.expr | None) -> set[str]:
        kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
        return {one.id if isinstance(one, ast.Name) else "" for one in kinds}

    handlers = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler)]
    return [node.lineno for node in handlers if node.type is None or names(node.type) & {"Exception", "BaseException"}]


@pytest.mark.parametrize("path", [path for path in FILES if not path.startswith(GENERATED)])
def test_length(path: str) -> None:
    """A file can be read in one sitting."""
    lines = len((ROOT / path).read_text().splitlines())

    assert lines <= LONGEST


@pytest.mark.parametrize("path", FILES)
def test_docstring(path: str) -> None:
    """A module says what it is for."""
    assert ast.get_docstring(ast.parse((ROOT / path).read_text()))


@pytest.mark.parametrize("path", FILES)
def test_name(path: str) -> None:
    """A module is named after a noun of the domain."""
    assert not re.search(r"manager|service|helper|util|common|misc", Path(path).name)


@pytest.mark.parametrize("path", [path for path in FILES if path not in GUARDS])
def test_no_handler_catches_everything(path: str) -> None:
    """Only the guards catch exceptions that they do not know."""
    assert catches_everything((ROOT / path).read_text()) == []


@pytest.mark.parametrize("path", [path for path in FILES if path.startswith("flows/") and "__init__" not in path])
def test_a_flow_has_its_tasks(path: str) -> None:
    """A flow and its tasks have the same name."""
    assert (ROOT / "tasks" / Path(path).name).exists()


def test_the_settings_page_is_made_from_the_settings() -> None:
    """The page lists every setting with its description, as the code has it; if not, run `make docs`."""
    assert {name for name, field in Settings.model_fields.items() if not field.description} == set()
    assert configuration.PAGE.read_text() == configuration.page()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Each relative link in a page names a file, and each setting in a page exists."""
    text = (ROOT / page).read_text()
    missing = [
        link for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) if not ((ROOT / page).parent / link).exists()
    ]
    # The last ones are not read by the server: they say at which door a command runs, and hold a key of its user.
    settings = {f"INSTANT_{name.upper()}" for name in Settings.model_fields}
    settings |= {"INSTANT_URL", "INSTANT_TOKEN", "INSTANT_REFUND_KEY"}
    named = set(re.findall(r"INSTANT_[A-Z][A-Z_]+[A-Z]", text)) - settings

    assert missing == []
    assert {name for name in named if not name.startswith(("INSTANT_TEST_", "INSTANT_WALLET_"))} == set()


def test_a_planted_handler_is_found() -> None:
    """Bare handlers, and broad ones alone or among others, are found; narrow ones are not."""
    source = "try: x\nexcept: y\ntry: x\nexcept (KeyError, Exception): y\ntry: x\nexcept BaseException as e: y\n"

    assert catches_everything(source) == [2, 4, 6]
    assert catches_everything("try: x\nexcept (KeyError, ValueError): y") == []


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    """The package, the Makefile's check and sentence, and the README admit the same ones."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least, beyond = (int(minor) for minor in re.findall(r"3\.(\d+)", project["requires-python"]))
    makefile, readme = (ROOT / "Makefile").read_text(), (ROOT / "README.md").read_text()
    *first, last = [f"3.{minor}" for minor in range(least, beyond)]
    words = f"Python {', '.join(first)} or {last}"

    assert f"(3, {least}) <= sys.version_info < (3, {beyond})" in makefile
    assert words in makefile
    assert words in readme


def test_every_price_key_is_explained() -> None:
    """docs/prices.md has a row for each key of a price list that the code knows, and for no other."""
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/prices.md").read_text(), re.M)

    assert sorted(rows) == sorted([*RULES, "discount", "overrides"])
