"""Keys that the system before this one encrypted."""

import hashlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from core import db
from core.accounts import accounts, key_import, key_log, provider_keys
from core.accounts.key_import import OldKey
from core.failures import Unreadable
from core.providers.registry import OPENROUTER
from core.resources import readiness
from core.secrets.old_values import open_old
from core.secrets.private import Private
from tests.selling import creator, forget

SECRET = Private("practice-old-secret")


def encrypted(plain: str, secret: Private[str] = SECRET, iv: bytes = bytes(range(16))) -> str:
    """As the old system did it."""
    padder = padding.PKCS7(128).padder()
    key = hashlib.sha256(secret.reveal().encode()).digest()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(plain.encode()) + padder.finalize()) + encryptor.finalize()
    return f"{iv.hex()}:{sealed.hex()}"


@pytest.fixture
async def stored(database: str, practice_openrouter: str) -> AsyncIterator[tuple[db.Pool, accounts.Account]]:
    """A pool and a creator without a key."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            owner = await creator(conn)
        yield pool, owner
        async with pool.connection() as conn:
            await forget(conn, owner)


def test_a_value_of_node_is_opened() -> None:
    """Made by Node's crypto: createCipheriv('aes-256-cbc', sha256(secret), iv), in hex."""
    value = "000102030405060708090a0b0c0d0e0f:"
    made = f"{value}eac145da8d8dc90057bbd302c66510821b99c7a1a5975fff07abef343de7c78a"  # pragma: allowlist secret
    assert open_old(made, SECRET).reveal() == "a practice value"
    for broken in ("", value, value + "00", f"{value}{'0' * 31}", value.replace(":", "") + "0" * 32):
        with pytest.raises(Unreadable):
            open_old(broken, SECRET)


async def test_keys_are_imported_once(stored: tuple[db.Pool, accounts.Account]) -> None:
    """The key works and is logged, its switch is kept; again, it stays. Wrong secrets and unknown creators say so."""
    pool, owner = stored
    key = f"sk-or-v1-practice-{uuid4().hex}"
    row = OldKey(handle=owner.handle, encrypted_api_key=encrypted(key), is_enabled=False)
    told = [
        await key_import.import_key(pool, row.model_copy(update=changes), secret)
        for changes, secret in (
            ({}, Private("another")),
            ({"handle": "nobody"}, SECRET),
            ({"provider": "nobody"}, SECRET),
            ({"encrypted_api_key": encrypted("no-key-at-all")}, SECRET),
            ({}, SECRET),
            ({}, SECRET),
        )
    ]

    assert [one.outcome for one in told] == ["refused", "refused", "refused", "refused", "imported", "kept"]
    assert told[0].reason == "the old secret does not open it"
    async with db.acting_for(pool, owner.id) as conn:
        state = await provider_keys.key_state(conn, owner.id)
        log = await key_log.key_log(conn, owner.id, OPENROUTER)
        await provider_keys.enable_key(conn, owner.id, True)
        assert (await readiness.open_key(conn, owner.id, OPENROUTER)).reveal() == key
    assert state is not None
    assert (state.enabled, [(row.event, row.actor) for row in log.changes]) == (
        False,
        [("disabled", "operator"), ("imported", "operator")],
    )
