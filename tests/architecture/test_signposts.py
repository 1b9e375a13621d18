"""What pages, docstrings and comments say about our files is so."""

import ast
import re
import tokenize
from collections.abc import Iterator

import pytest

from tests.architecture.test_imports import MAY_IMPORT, ROOT

FOLDERS = tuple(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))

# A path of ours with an ending. Names in capitals stand for any name.
_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]*\.(?:py|sql|md|yaml|json)\b")
_PLACEHOLDER = re.compile(r"/[A-Z]+\.")

# It is the table of where things were before they moved.
_MOVES = "docs/decisions/0015-packages-by-noun.md"

SIGNPOSTED = sorted(
    path.relative_to(ROOT).as_posix()
    for ending in ("md", "py", "sql")
    for path in (*ROOT.glob(f"*.{ending}"), *(file for name in FOLDERS for file in (ROOT / name).rglob(f"*.{ending}")))
)


def prose(path: str) -> Iterator[str]:
    """What a file says to its readers."""
    text = (ROOT / path).read_text()
    if path.endswith(".md"):
        yield text
    elif path.endswith(".sql"):
        yield from re.findall(r"--.*", text)
    else:
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield node.value.value
        with (ROOT / path).open("rb") as file:
            yield from (token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT)


def astray(text: str) -> set[str]:
    """The files of ours that a text names and that do not exist."""
    named = {path for path in _PATH.findall(text) if not _PLACEHOLDER.search(path)}
    return {path for path in named if not (ROOT / path).exists()}


def folder_table(page: str) -> dict[str, set[str] | None]:
    """What the table of folders says that each may import; None for anything."""
    lines = (ROOT / page).read_text().splitlines()
    start = lines.index("| folder | is | may import |") + 2
    found: dict[str, set[str] | None] = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        folder, _, allowed = (cell.strip() for cell in line.strip("|").split("|"))
        found[folder.strip("`/")] = None if allowed == "anything" else set(re.findall(r"`([^`]+)`", allowed))
    return found


def test_signposts() -> None:
    """Every file of ours that is named exists."""
    lost = {}
    for path in SIGNPOSTED:
        # To take the words out of the code is slow, and seldom needed.
        if path != _MOVES and astray((ROOT / path).read_text()):
            lost[path] = set[str]().union(*map(astray, prose(path)))

    assert {path: names for path, names in lost.items() if names} == {}
    assert {"README.md", "core/failures/kinds.py", "core/db/queries/payment.sql"} <= set(SIGNPOSTED)


@pytest.mark.parametrize("page", ["README.md", "docs/design.md"])
def test_the_table_of_folders(page: str) -> None:
    """The page allows each folder what the test of imports allows it."""
    said = folder_table(page)

    assert {folder: allowed for folder, allowed in said.items() if allowed is not None} == MAY_IMPORT
    assert {folder for folder, allowed in said.items() if allowed is None} == {"deployments"}


def test_a_planted_signpost_is_found() -> None:
    """Paths are found in sentences, code and links; those of others, and placeholders, are left alone."""
    text = "See `core/nowhere.py`, docs/none.md#top and [x](tests/lost/test_it.py); python/cdp/jwt.py, tasks/NAME.py."

    assert astray(text) == {"core/nowhere.py", "docs/none.md", "tests/lost/test_it.py"}
    assert astray("core/failures/kinds.py, ../tests/api/test_keys.py, flows/recovery.py.") == set()
