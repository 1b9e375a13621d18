"""Files of answers: stored under their content's hash, served at expiring URLs, and never the cause of a failure."""

import base64
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.failures import Misconfigured, NotFound
from core.media import files as media_files
from core.media import store as media
from core.media.files import KINDS, Medium
from core.secrets.vault import vault
from core.settings import settings
from sandbox.openrouter_answers import picture as drawn
from tests import practice
from tests.files import ANIMATED_WEBP, FILES, LOSSLESS_WEBP

PNG = Medium("image/png", base64.b64decode(drawn(b"abcdef").partition(",")[2]))
CLOUD = {"AWS_ACCESS_KEY_ID": "practice", "AWS_SECRET_ACCESS_KEY": "practice", "AWS_REGION": "us-east-1"}


@contextmanager
def stored_at(url: str, **more: str) -> Iterator[None]:
    """Make the process store its files there."""
    changes = {"INSTANT_MEDIA_URL": url, **more}
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    settings.cache_clear()
    try:
        yield
    finally:
        os.environ.update({name: value for name, value in before.items() if value is not None})
        for name in [name for name, value in before.items() if value is None]:
            del os.environ[name]
        settings.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a space in its name that does not exist yet."""
    place = tmp_path / "the media"
    with stored_at(place.as_uri()):
        yield place


def files(folder: Path) -> list[Path]:
    """All stored files."""
    return [path for path in folder.rglob("*") if path.is_file()]


async def show(url: str) -> Medium | str:
    """Fetch the URL of an answer."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return await media.get(parts.path.removeprefix("/media/"), int(query["expires"]), query["signature"])


async def test_a_file_is_stored_and_shown(folder: Path) -> None:
    """It is stored under its execution and hash; its URL is ours, and serves the same bytes with their real type."""
    one = uuid4()
    held = await media.put(one, PNG)
    url = media.url_for(held)

    assert [path.parent.name for path in files(folder)] == [str(one)]
    assert held == await media.put(one, PNG)
    assert url.startswith(f"{settings().public_url}/media/{one}/")
    assert await show(url) == PNG
    assert url == media.url_for(held)


async def test_a_url_is_a_right_that_ends(folder: Path) -> None:
    """With another file, time or signature, or after its time, a URL finds nothing."""
    mine, other = await media.put(uuid4(), PNG), await media.put(uuid4(), PNG)
    url = media.url_for(mine)
    name, query = mine.removeprefix("media:"), parse_qs(urlsplit(url).query)
    expires, signature = int(query["expires"][0]), query["signature"][0]
    passed = int(time.time()) - 1

    assert await media.get(name, expires, signature) == PNG
    for attempt in (
        (other.removeprefix("media:"), expires, signature),
        (name, expires + 1, signature),
        (name, expires, ("A" if signature[0] != "A" else "B") + signature[1:]),
        (name, expires, "é"),
        (name, passed, vault().sign("media", f"{name} {passed}".encode())),
        (f"../{name}", expires, vault().sign("media", f"../{name} {expires}".encode())),
    ):
        with pytest.raises(NotFound):
            await media.get(*attempt)


@given(st.text() | st.from_regex(r"[0-9a-f-]{36}/[0-9a-f]{64}\.[a-z]{3}", fullmatch=True), st.integers(), st.text())
async def test_nobody_guesses_a_url(name: str, expires: int, signature: str) -> None:
    """No made-up path finds a file."""
    with stored_at("memory:///"), pytest.raises(NotFound):
        await media.get(name, expires, signature)


async def test_forgetting_takes_all_files_of_an_execution_and_no_others(folder: Path) -> None:
    """It also works twice, and a URL that has not expired then finds nothing."""
    one, two = uuid4(), uuid4()
    held = [
        await media.put(one, PNG),
        await media.put(one, Medium("image/gif", b"GIF89a")),
        await media.put(two, PNG),
    ]
    await media.delete([one, uuid4()])
    await media.delete([one])

    with pytest.raises(NotFound):
        await show(media.url_for(held[0]))
    assert await show(media.url_for(held[2])) == PNG
    assert len(files(folder)) == 1


async def test_storing_in_trouble_costs_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the folder cannot be made, the answer carries the picture itself, and the log says so."""
    (tmp_path / "taken").touch()
    with stored_at((tmp_path / "taken" / "below").as_uri()):
        assert await media.put(uuid4(), PNG) == PNG.data_url
    assert "media: not stored" in caplog.text
    assert str(tmp_path) not in caplog.text


async def test_without_a_place_the_answer_holds_the_file() -> None:
    """Without a storage place a file stays in the answer as a data URL."""
    assert media.url_for(PNG.data_url) == PNG.data_url
    assert media.url_for("https://example.org/a.png") == "https://example.org/a.png"


async def test_a_bucket_shows_its_files_itself() -> None:
    """S3: an upload with its type, then a redirect to a URL that the bucket signs for minutes."""
    put: list[bytes] = []

    def say(body: bytes) -> bytes:
        put.append(body)
        return practice.reply(200, b"", b'ETag: "1"')

    async with practice.scripted(say) as cloud:
        with stored_at("s3://practice/some/prefix", AWS_ENDPOINT=cloud, AWS_ALLOW_HTTP="true", **CLOUD):
            held = await media.put(UUID(int=1), PNG)
            shown = await show(media.url_for(held))

    assert held.startswith("media:")
    assert put == [PNG.data]
    assert isinstance(shown, str)
    where = urlsplit(shown)
    assert where.path == f"/practice/some/prefix/{held.removeprefix('media:')}"
    assert parse_qs(where.query)["X-Amz-Expires"] == ["300"]


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://example.org/", "az://container/without-account", "file:///proc/none/x"]
)
def test_a_wrong_place_is_refused_at_the_start(url: str) -> None:
    """A wrong storage URL is refused at the start in one sentence that does not repeat it."""
    with stored_at(url), pytest.raises(Misconfigured, match="INSTANT_MEDIA_URL") as caught:
        media.check_store()
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG.data, "image/png"),
        *((data, kind) for kind, data in FILES.items() if kind.startswith("image/")),
        (LOSSLESS_WEBP, "image/webp"),
        (ANIMATED_WEBP, "image/webp"),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"RIFF0000WEBPVP8 ", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"<!doctype html>", None),
        (b"RIFF0000WAVEfmt ", None),
        (b"%PDF-1.7", None),
        (b"", None),
        (PNG.data + bytes(media_files.SIZE_LIMIT), None),
    ],
)
def test_a_picture_is_told_by_its_bytes(data: bytes, kind: str | None) -> None:
    """The bytes decide the type and the file's extension, whatever type the URL claims."""
    found = media_files.picture(f"data:image/png;base64,{base64.b64encode(data).decode()}")
    assert (found and found.kind if not isinstance(found, str) else found) == kind
    assert kind is None or kind in KINDS


@pytest.mark.parametrize("kind", FILES)
def test_half_a_file_is_none(kind: str) -> None:
    """router-for-me/CLIProxyAPI#5363: a file cut at any place cannot be shown, and so is not sold."""
    data = FILES[kind]
    read = media_files.picture if kind.startswith("image/") else lambda url: media_files.sound(url.split(",")[1])
    whole = [read(f"data:{kind};base64,{base64.b64encode(data[:end]).decode()}") for end in range(len(data) + 1)]

    assert whole[:-1] == [None] * len(data)
    assert whole[-1] == media_files.Medium(kind, data)


@pytest.mark.parametrize("start", ["DATA:image/PNG;BASE64,", "data:application/octet-stream;base64,"])
def test_how_a_data_url_is_written_does_not_matter(start: str) -> None:
    """RFC 2397: scheme, type and encoding are compared without case, and the bytes say what they are."""
    encoded = base64.urlsafe_b64encode(PNG.data).decode()

    assert media_files.picture(start + encoded) == PNG


def test_a_picture_without_a_width_is_none() -> None:
    """A picture of width 0 is refused, even with a correct checksum."""
    header = b"IHDR" + bytes(4) + PNG.data[20:29]
    flat = PNG.data[:12] + header + zlib.crc32(header).to_bytes(4) + PNG.data[33:]

    assert media_files.picture(f"data:image/png;base64,{base64.b64encode(flat).decode()}") is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"ID3\x04\x00\x00\x00\x00\x00\x02ab\xff\xfb\x90\x00" + bytes(64), "audio/mpeg"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x7fab", None),
        (b"fLaC\x80\x00\x00\x22" + bytes(34) + b"\xff\xf8frame", "audio/flac"),
        (b"fLaC\x80\x00\x00\x22" + bytes(34), None),
    ],
)
def test_sounds_that_name_no_end_have_a_beginning(data: bytes, kind: str | None) -> None:
    """MP3 and FLAC name no length: their headers must be complete, and a frame must follow."""
    found = media_files.sound(base64.b64encode(data).decode())

    assert (found and found.kind) == kind
