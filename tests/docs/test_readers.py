"""A reader notices whatever goes wrong on a page."""

import os
from pathlib import Path

import pytest

from tests import servers
from tests.docs import readers
from tests.docs.pages import blocks_of


def read(home: Path, *parts: str, **places: str) -> readers.Reader:
    """Read a page of these parts."""
    with readers.reading(home, dict(os.environ), places, home) as reader:
        reader.read(blocks_of("\n\n".join(parts)))
    return reader


def sh(*lines: str, mark: str = "") -> str:
    """A block of commands."""
    return "\n".join([*([f"<!-- {mark} -->"] if mark else []), "```sh", *lines, "```"])


def test_one_shell_types_everything(tmp_path: Path) -> None:
    """Variables, functions, the folder and files stay from block to block; places are those of this machine."""
    (tmp_path / "in").mkdir()
    told = read(
        tmp_path,
        sh("cd in", "word=there", 'say() { echo "{\\"a\\": {\\"b\\": \\"$1\\"}, \\"c\\": 1}"; }'),
        "<!-- file: x.txt -->\n```yaml\nfrom there\n```",
        sh("cat x.txt", "say $word", "cat <<END", "$word", "END", 'say "$(pwd)"'),
        '<!-- like -->\n```json\n{"a": {"b": "…"}}\n```',
        there="here",
    )

    assert told.printed.splitlines()[:3] == ["from here", '{"a": {"b": "here"}, "c": 1}', "here"]
    assert str(tmp_path / "in") in told.printed


@pytest.mark.parametrize(
    "lines", [["false", "true"], ["false | true"], ["echo $nothing"], ["nosuchcommand", "echo x"], ["exit 0"]]
)
def test_a_command_that_fails_ends_it(tmp_path: Path, lines: list[str]) -> None:
    """Also in the middle, within a pipe, or for a variable that nobody set; the place is named."""
    with pytest.raises(pytest.fail.Exception, match=r"page\.md:6: a command failed"):
        read(tmp_path, sh("true"), sh(*lines), sh("true"))


@pytest.mark.parametrize("document", ['{"d": 1}', '{"a": {"x": 1}}', "{"])
def test_a_document_of_another_form_is_noticed(tmp_path: Path, document: str) -> None:
    """A member that the real answer lacks, at any depth; and what is no JSON."""
    with pytest.raises((AssertionError, ValueError)):
        read(tmp_path, sh('echo \'{"a": {"b": 1}}\''), f"<!-- like -->\n```json\n{document}\n```")


def test_servers_run_beside_it_and_end_with_it(tmp_path: Path) -> None:
    """The next block begins when the server serves; one that ends at once is noticed."""
    port = servers.free_port()
    mark = f"keeps running: http://127.0.0.1:{port}/"
    read(tmp_path, sh(f"exec python3 -m http.server {port} --bind 127.0.0.1", mark=mark), sh("true"))
    assert not readers.answers(f"http://127.0.0.1:{port}/")
    with pytest.raises(pytest.fail.Exception, match="does not serve"):
        read(tmp_path, sh("false", mark=mark))


def test_a_block_that_nobody_knows_is_no_page(tmp_path: Path) -> None:
    """It is not passed over."""
    with pytest.raises(pytest.fail.Exception, match="nobody knows"):
        read(tmp_path, "```ruby\nputs 1\n```")


def test_what_was_put_in_is_not_replaced_again() -> None:
    """A free port may begin with the digits of another one."""
    places = {"127.0.0.1:4020": "127.0.0.1:40213", "127.0.0.1:4021": "127.0.0.1:38311"}

    assert readers.replaced("127.0.0.1:4020 127.0.0.1:4021", places) == "127.0.0.1:40213 127.0.0.1:38311"
