"""The file of a backup: a tar with a dump of the database, the pictures, and a manifest at its end.

`tar -xOf FILE manifest.json` shows what is in it. It holds everything that the database holds, sealed as it is there,
and never a master key.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from core.failures import Misconfigured
from core.media import store

MANIFEST, DUMP, MEDIA = "manifest.json", "instant.dump", "media/"

_CHUNK = 1 << 20
_PRIVATE = 0o600

Report = Callable[[int, int], None]
"""It is told how many bytes are done, and of how many."""


class Manifest(BaseModel):
    """What a backup says about itself.

    Attributes:
        form: of the archive; a later form has a higher number.
        version: of this software.
        at: the moment that it shows (UTC).
        mode: sandbox or live.
        migrations: the ids of those that were applied.
        postgres: the major version of the server.
        key_ids: the master keys that sealed what is in it, by id.
        dump_bytes, dump_sha256: of the dump.
        media: where pictures were: in a folder, and then in here; in a bucket, which is backed up by itself; nowhere.
        media_files, media_bytes: how many are in here. Each is named after the SHA-256 of its content.
        accounts, payments, executions: how many rows there were.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal[1] = 1
    version: str
    at: datetime
    mode: Literal["sandbox", "live"]
    migrations: tuple[str, ...]
    postgres: int
    key_ids: tuple[str, ...]
    dump_bytes: int
    dump_sha256: str
    media: Literal["folder", "bucket", "nowhere"]
    media_files: int
    media_bytes: int
    accounts: int
    payments: int
    executions: int


class Writer:
    """An archive that is being written. Members are added one by one, and the manifest last."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, name: str, path: Path) -> tuple[int, str]:
        """Add a file; return its size in bytes and the SHA-256 of what was written.

        Raises:
            FileNotFoundError: it is gone.
        """
        with path.open("rb") as file:
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, _PRIVATE
            hashing = _Hashing(file)
            self._tar.addfile(member, hashing)
        return member.size, hashing.digest.hexdigest()

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest."""
        text = manifest.model_dump_json(indent=2).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = len(text), _PRIVATE
        self._tar.addfile(member, io.BytesIO(text))


class _Hashing:
    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Write an archive for our user alone, which is closed at the end of the block."""
    path.touch(mode=_PRIVATE, exist_ok=False)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        yield Writer(tar)


class Reader:
    """An archive that is being read.

    Attributes:
        manifest: what it says about itself.
    """

    def __init__(self, tar: tarfile.TarFile, manifest: Manifest) -> None:
        self._tar = tar
        self.manifest = manifest

    def check(self, report: Report) -> None:
        """Compare everything in it with the manifest and with the names of the pictures.

        Raises:
            Misconfigured: something differs or is missing.
        """
        told, done = self.manifest, 0
        total, files, size = told.dump_bytes + told.media_bytes, 0, 0
        for member in self._tar.getmembers():
            if member.name == MANIFEST:
                continue
            digest = hashlib.sha256()
            for data in self._chunks(member):
                digest.update(data)
                done += len(data)
                report(done, total)
            if member.name == DUMP:
                expected = told.dump_sha256
            else:
                files, size = files + 1, size + member.size
                named = store.NAME.fullmatch(member.name.removeprefix(MEDIA))
                expected = named[2] if named else ""
            if digest.hexdigest() != expected:
                raise Misconfigured(f"the backup is damaged: {member.name!a} is not what was written; use another one")
        if DUMP not in self._tar.getnames() or (files, size) != (told.media_files, told.media_bytes):
            raise Misconfigured("the backup is damaged: it lacks something that its manifest names; use another one")

    def extract_dump(self, path: Path) -> None:
        """Write the dump to a file."""
        with path.open("xb") as file:
            for data in self._chunks(self._tar.getmember(DUMP)):
                file.write(data)

    def extract_media(self, folder: Path) -> int:
        """Write the pictures that a folder lacks, and return how many. Their names were checked."""
        written = 0
        for member in self._tar.getmembers():
            name = member.name.removeprefix(MEDIA)
            path = folder / name
            if not store.NAME.fullmatch(name) or path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".part")
            with draft.open("wb") as file:
                for data in self._chunks(member):
                    file.write(data)
            draft.replace(path)
            written += 1
        return written

    def _chunks(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        file = self._tar.extractfile(member)
        if file is None:
            raise Misconfigured(f"the backup is damaged: {member.name!a} is no file; use another one")
        while data := file.read(_CHUNK):
            yield data


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Read an archive during the block.

    Raises:
        Misconfigured: it is none, or is cut off.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            file = tar.extractfile(MANIFEST)
            text = b"" if file is None else file.read()
            reader = Reader(tar, Manifest.model_validate_json(text))
            yield reader
            return
    except OSError as error:
        sentence = f"{path} cannot be read: {error.strerror or type(error).__name__}"
    except (tarfile.TarError, KeyError, ValidationError):
        sentence = f"{path} is no whole backup of this version or an earlier one"
    raise Misconfigured(sentence)
