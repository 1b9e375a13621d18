"""The blocks of the pages that people read, found by a parser of Markdown, with what a comment before each says of it.

A page is README.md, CONTRIBUTING.md or one in docs/; decisions tell what was, and are not read so. A comment stands
right before its block:

    <!-- file: NAME -->           the block is this file, which a later command of the page uses
    <!-- keeps running: URL -->   the commands go on until they are stopped; the URL answers when they serve
    <!-- run by: .ci/run -->      `.ci/run` runs the commands
    <!-- tested by: PATH -->      this test reads the block from the page, and uses it
    <!-- like -->                 the block is JSON with the members of what the command before it printed last
    <!-- not run: REASON -->      nobody runs the commands
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
)
MARKS = ("file", "keeps running", "run by", "tested by", "like", "not run")

_MARK = re.compile(rf"<!-- ({'|'.join(MARKS)})(?:: (.+?))? -->\s*")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: its path below the root.
        line: where its code begins, from 1.
        section: the heading of the second level above it.
        language: as the fence names it; empty for none.
        code: its text.
        mark: what the comment before it says, one of `MARKS`; empty for none.
        told: what stands after the mark's colon.
    """

    page: str
    line: int
    section: str
    language: str
    code: str
    mark: str = ""
    told: str = ""

    @property
    def place(self) -> str:
        """Where it stands, as an editor takes it."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Its lines that are more than a comment, without the comment at their end."""
        lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in self.code.splitlines())
        return [line for line in lines if line]


def blocks_of(text: str, page: str = "page.md") -> list[Block]:
    """The blocks of a text in Markdown, in order."""
    found, section, mark = [], "", None
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for position, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            section = tokens[position + 1].content
        if token.type in ("fence", "code_block"):
            assert token.map
            kind, told = (mark[1], mark[2] or "") if mark else ("", "")
            found.append(
                Block(
                    page,
                    token.map[0] + (2 if token.type == "fence" else 1),
                    section,
                    token.info.strip(),
                    token.content,
                    kind,
                    told,
                )
            )
        mark = _MARK.fullmatch(token.content) if token.type == "html_block" else None
    return found


def file_of(page: str, name: str) -> str:
    """The text of a file that a page shows."""
    (code,) = (block.code for block in blocks() if (block.page, block.mark, block.told) == (page, "file", name))
    return code


@cache
def blocks() -> tuple[Block, ...]:
    """All blocks of all pages."""
    return tuple(block for page in PAGES for block in blocks_of((ROOT / page).read_text(), page))
