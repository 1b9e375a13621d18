"""Pictures and sounds of answers, kept outside the database: the only home of obstore.

A file is named after its execution and the hash of its content, so that nobody shares one and all of an execution's
files are found by its id. What an answer holds is that name; buyers get a URL of ours that expires.
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
from urllib.parse import urlencode
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

_MARK = "media:"
_STORE_SECONDS = 10.0
_REDIRECT = timedelta(minutes=5)
# URLs given out within an hour are the same, so that a repeated answer is the same too.
_STEP_SECONDS = 3600

# A local disk says what the system says, everything else what the store says.
_TROUBLE = (BaseError, OSError)


def check_store() -> None:
    """Look whether INSTANT_MEDIA_URL can be used at all.

    Raises:
        Misconfigured: if not.
    """
    url = settings().media_url
    try:
        if url is not None:
            _store(url)
    except (*_TROUBLE, ValueError):
        pass
    else:
        return
    raise Misconfigured("INSTANT_MEDIA_URL: no place to store files; write file:///folder, s3://…, gs://… or az://…")


async def put(execution_id: UUID, medium: Medium) -> str:
    """Store a file, as what an answer holds of it.

    An answer is not lost over its storage: without one, or in its trouble, the file itself is the URL (`data:`).
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
    except _TROUBLE as error:
        # Its text may name the bucket and who asked.
        log.warning("media: not stored (%s), the answer carries the file itself", type(error).__name__)
        return medium.data_url
    return _MARK + name


def url_for(held: str) -> str:
    """What a buyer gets for what an answer holds: an expiring URL of a stored file, and anything else as it is."""
    name = held.removeprefix(_MARK)
    if name == held:
        return held
    expires = int(time.time() + settings().media_seconds) // _STEP_SECONDS * _STEP_SECONDS + _STEP_SECONDS
    query = urlencode({"expires": expires, "signature": vault().sign("media", _signed(name, expires))})
    return f"{settings().public_url}/media/{name}?{query}"


async def get(name: str, expires: int, signature: str) -> Medium | str:
    """A stored file for a URL that we gave out: itself, or where its store shows it for a few minutes.

    Raises:
        NotFound: the URL is not ours or has expired, or the file is gone.
        Unavailable: its store is out of reach.
    """
    match = NAME.fullmatch(name)
    kind = match and next((kind for kind, ending in KINDS.items() if ending == match[3]), None)
    url = settings().media_url
    if url is None or kind is None or expires < time.time():
        raise NotFound
    if not vault().is_signed("media", _signed(name, expires), signature):
        raise NotFound
    store = _store(url)
    gone = False
    try:
        async with asyncio.timeout(_STORE_SECONDS):
            if isinstance(store, S3Store | GCSStore | AzureStore):
                return await obstore.sign_async(store, "GET", name, expires_in=_REDIRECT)
            found = await obstore.get_async(store, name)
            return Medium(kind, bytes(await found.bytes_async()))
    except FileNotFoundError:
        gone = True
    except _TROUBLE as error:
        log.warning("media: not shown (%s)", type(error).__name__)
    raise NotFound if gone else Unavailable("media_unreachable")


async def delete(execution_ids: Iterable[UUID]) -> None:
    """Delete every file of these executions; what is gone already is no trouble.

    Raises:
        Unavailable: the store is out of reach, and some may still be there: do it again.
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
    except _TROUBLE as error:
        trouble = type(error).__name__
    else:
        return
    log.warning("media: not forgotten (%s)", trouble)
    raise Unavailable("media_unreachable")


def _signed(name: str, expires: int) -> bytes:
    """What the signature of a URL is over."""
    return f"{name} {expires}".encode()


@cache
def _store(url: str) -> ObjectStore:
    """The store behind a URL; credentials come from the environment, as each cloud's own tools read them."""
    return from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)
