"""Store pictures and sounds of answers outside the database. All use of obstore is here.

A file is named after its execution and the hash of its content. So no two executions share a file, and the execution's
id finds all its files. The stored answer holds that name; buyers get an expiring URL of ours.
"""

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit
from uuid import UUID

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store, from_url

from core.failures import Misconfigured, NotFound, Unavailable
from core.media.files import KINDS, Medium
from core.secrets.vault import vault
from core.settings import settings

log = logging.getLogger(__name__)

NAME = re.compile(r"([0-9a-f-]{36})/([0-9a-f]{64})\.([a-z0-9]{3,4})", re.ASCII)

_PREFIX = "media:"
_STORE_SECONDS = 10.0
_REDIRECT = timedelta(minutes=5)
# URLs made within the same hour are equal, so that a repeated answer is equal too.
_STEP_SECONDS = 3600

# Errors of a store: a local disk raises the system's, other stores obstore's.
_STORE_ERRORS = (BaseError, OSError)


def check_store() -> None:
    """Check that INSTANT_MEDIA_URL can be used.

    Raises:
        Misconfigured: it cannot.
    """
    url = settings().media_url
    try:
        if url is not None:
            _store(url)
    except (*_STORE_ERRORS, ValueError):
        pass
    else:
        return
    raise Misconfigured("INSTANT_MEDIA_URL: no place to store files; write file:///folder, s3://…, gs://… or az://…")


def folder(url: str) -> Path | None:
    """Return the folder of a store on this machine; None for a bucket."""
    return Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None


async def put(execution_id: UUID, medium: Medium) -> str:
    """Store a file, and return the reference that the answer holds.

    A failing store does not lose an answer: without a working store the reference is the file itself, as a `data:` URL.
    """
    url = settings().media_url
    if url is None:
        return medium.data_url
    name = f"{execution_id}/{hashlib.sha256(medium.data).hexdigest()}.{KINDS[medium.kind]}"
    try:
        store = _store(url)
        attributes = None if isinstance(store, LocalStore) else {"Content-Type": medium.kind}
        async with asyncio.timeout(_STORE_SECONDS):
            await obstore.put_async(store, name, medium.data, attributes=attributes)
    except _STORE_ERRORS as error:
        # The error's text may name the bucket and the credentials' owner.
        log.warning("media: not stored (%s), the answer carries the file itself", type(error).__name__)
        return medium.data_url
    return _PREFIX + name


def url_for(reference: str) -> str:
    """Convert a reference for buyers: an expiring URL for a stored file, anything else unchanged."""
    name = reference.removeprefix(_PREFIX)
    if name == reference:
        return reference
    expires = int(time.time() + settings().media_seconds) // _STEP_SECONDS * _STEP_SECONDS + _STEP_SECONDS
    query = urlencode({"expires": expires, "signature": vault().sign("media", _signed_message(name, expires))})
    return f"{settings().public_url}/media/{name}?{query}"


async def file_of(url: str) -> Medium | None:
    """Read the file behind a URL that `url_for` made; None if it is another one, or its store hands out URLs only.

    Raises:
        NotFound, Unavailable: as `get`.
    """
    name, _, query = url.removeprefix(f"{settings().public_url}/media/").partition("?")
    told = dict(parse_qsl(query))
    if NAME.fullmatch(name) is None or not told.get("expires", "").isdecimal():
        return None
    file = await get(name, int(told["expires"]), told.get("signature", ""))
    return None if isinstance(file, str) else file


async def get(name: str, expires: int, signature: str) -> Medium | str:
    """Read a stored file for one of our URLs: the file, or a URL of its store that works for a few minutes.

    Raises:
        NotFound: the URL is not ours or has expired, or the file is gone.
        Unavailable: the store cannot be reached.
    """
    match = NAME.fullmatch(name)
    kind = match and next((kind for kind, extension in KINDS.items() if extension == match[3]), None)
    url = settings().media_url
    if url is None or kind is None or expires < time.time():
        raise NotFound
    if not vault().is_signed("media", _signed_message(name, expires), signature):
        raise NotFound
    store = _store(url)
    is_missing = False
    try:
        async with asyncio.timeout(_STORE_SECONDS):
            if isinstance(store, S3Store | GCSStore | AzureStore):
                return await obstore.sign_async(store, "GET", name, expires_in=_REDIRECT)
            file = await obstore.get_async(store, name)
            return Medium(kind, bytes(await file.bytes_async()))
    except FileNotFoundError:
        is_missing = True
    except _STORE_ERRORS as error:
        log.warning("media: not shown (%s)", type(error).__name__)
    raise NotFound if is_missing else Unavailable("media_unreachable")


async def delete(execution_ids: Iterable[UUID]) -> None:
    """Delete every file of these executions; missing files are ignored.

    Raises:
        Unavailable: the store cannot be reached, and some files may remain: repeat the call.
    """
    url = settings().media_url
    if url is None:
        return
    store = _store(url)
    try:
        for execution_id in execution_ids:
            files = await obstore.list(store, prefix=str(execution_id)).collect_async()
            for file in files:
                with suppress(FileNotFoundError):
                    await obstore.delete_async(store, file["path"])
    except _STORE_ERRORS as error:
        error_type = type(error).__name__
    else:
        return
    log.warning("media: not forgotten (%s)", error_type)
    raise Unavailable("media_unreachable")


def _signed_message(name: str, expires: int) -> bytes:
    """What the signature of a URL is over."""
    return f"{name} {expires}".encode()


@cache
def _store(url: str) -> ObjectStore:
    """Open the store at a URL. Credentials come from the environment, under the names of each cloud's own tools."""
    return from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)
