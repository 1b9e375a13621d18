"""Every block of every page is run, or used, by a test; few commands are not, and say why."""

import re
from pathlib import Path

import pytest

from bench.__main__ import BENCHES
from cli.app import app
from drills.__main__ import _DRILLS as DRILLS
from tests.docs.pages import MARKS, PAGES, ROOT, Block, blocks, blocks_of

MOST_NOT_RUN = 5
"""How many commands of all pages together may be marked as not run."""

# Whose blocks a reader runs, and whose are only looked at.
_RUN = frozenset({"sh"})
_FILES = frozenset({"python", "js", "json", "yaml"})
_DRAWN = {"mermaid": ("sequenceDiagram", "stateDiagram-v2")}


def faults(block: Block, page: list[Block]) -> list[str]:
    """What is wrong with a block, by itself and in its page."""
    match block.mark:
        case "":
            if block.language in _DRAWN:
                return [] if block.code.startswith(_DRAWN[block.language]) else ["it is no diagram that we know"]
            return [] if block.language in _RUN else ["no test runs it, and no comment says what it is"]
        case "file":
            later = [one.code for one in page if one.line > block.line and one.language == "sh"]
            used = any(re.search(rf"(^|[\s<@'\"/(]){re.escape(block.told)}\b", code) for code in later)
            return ([] if block.language in _FILES else ["no such file is known"]) + (
                [] if used else [f"no later command uses {block.told}"]
            )
        case "keeps running":
            return [] if block.language in _RUN else ["only commands keep running"]
        case "run by":
            called = (ROOT / block.told).read_text()
            targets = {word for line in re.findall("^make (.+)$", called, re.M) for word in line.split()}
            return [f"{block.told} does not run: {one}" for one in block.commands if one.split()[1:][0] not in targets]
        case "tested by":
            test = ROOT / block.told
            return (
                []
                if test.is_file() and Path(block.page).name in test.read_text()
                else [f"{block.told} does not read it"]
            )
        case "like":
            return [] if block.language == "json" else ["only JSON can be compared"]
        case "not run":
            return [] if block.told and block.language in _RUN else ["it needs a reason"]
    return [f"{block.mark} is no mark"]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_its_test(page: str) -> None:
    """A new block is run as a matter of course, or somebody has to say what it is."""
    own = [block for block in blocks() if block.page == page]

    assert [f"{block.place}: {fault}" for block in own for fault in faults(block, own)] == []


def test_few_commands_are_not_run() -> None:
    """Each is counted, not each block."""
    assert sum(len(block.commands) for block in blocks() if block.mark == "not run") <= MOST_NOT_RUN


def test_marks_and_fences_are_read() -> None:
    """A block in another form than a fence is found as well, and a mark belongs to the block right after it."""
    fences = [
        "<!-- file: x.py -->\n```python\nx\n```",
        "```sh\nx # y\n```",
        "    make x",
        "- one\n\n  ```js\n  y\n  ```",
    ]
    told = "\n\n".join(["# A", "## B", *fences])
    read = [(block.section, block.language, block.mark, block.told, block.line) for block in blocks_of(told)]

    assert read == [
        ("B", "python", "file", "x.py", 7),
        ("B", "sh", "", "", 11),
        ("B", "", "", "", 14),
        ("B", "js", "", "", 19),
    ]
    assert [fault for block in blocks_of(told) for fault in faults(block, blocks_of(told))] == [
        "no later command uses x.py",
        *["no test runs it, and no comment says what it is"] * 2,
    ]
    assert set(re.findall(r"<!-- ([a-z ]+?)(?:: .+| )-->", str(blocks_of.__globals__["__doc__"]))) == set(MARKS)


@pytest.mark.parametrize("page", PAGES)
def test_commands_within_sentences_exist(page: str) -> None:
    """What a sentence calls `instant ...` or `make ...` is a command, a target, a drill or a benchmark."""
    text = re.sub("```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    targets = set(re.findall(r"^([a-z0-9.-]+)(?: [a-z0-9. ]+)?:", (ROOT / "Makefile").read_text(), re.M))
    targets |= {
        word for line in re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M) for word in line.split()
    }
    known = {"drill": DRILLS, "bench": BENCHES}
    unknown = []
    for told in re.findall(r"`((?:instant|make) [^`]+)`", text):
        program, first, *rest = told.split()
        if program == "make":
            unknown += [told] * (first not in targets and "=" not in first)
            named = [word.removeprefix("NAME=") for word in rest if re.fullmatch("NAME=[a-z]+", word)]
            unknown += [told for name in named if first in known and name not in known[first]]
        elif first[0] not in "-<.…":
            unknown += [told] * (not _is_command([first, *rest]))
    assert unknown == []


def _is_command(words: list[str]) -> bool:
    """Whether the first words name a command of `instant`, or a group of them."""
    name, *rest = (word.strip(",;") for word in words)
    if name not in app:
        return False
    inner = [one for one in app[name] if not one.startswith("-")]
    return not inner or not rest or not re.fullmatch("[a-z-]+", rest[0]) or rest[0] in inner


def test_shell_blocks_have_no_prompt() -> None:
    """They can be copied as a whole."""
    lines = [line for block in blocks() if block.language == "sh" for line in block.commands]

    assert [line for line in lines if line.startswith(("$ ", "> ")) or "..." in line] == []


def test_every_drill_and_benchmark_is_told() -> None:
    """README.md has a row for each."""
    drills, _, benchmarks = (ROOT / "README.md").read_text().partition("| drill |")[2].partition("| benchmark |")

    def rows(table: str) -> set[str]:
        return {name for row in re.findall(r"^\| (`.*?`) \|", table, re.M) for name in re.findall("`([a-z]+)`", row)}

    assert (rows(drills), rows(benchmarks)) == (set(DRILLS), set(BENCHES))
