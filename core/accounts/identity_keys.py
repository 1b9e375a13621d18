"""Keep the public keys of the identity provider that the settings name.

They are read again after an hour, and when a token names a key that is not among them: at most once a minute for all
tokens together, so that tokens of strangers cause no requests. While they cannot be read, those from before go on for a
day.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from ipaddress import ip_network

from core.net import json_client
from core.net.json_client import NoResponse
from core.secrets import jwt_keys
from core.secrets.jwt_keys import PublicKey
from core.settings import Settings, settings

log = logging.getLogger(__name__)

FRESH_SECONDS = 3600
"""For so long keys are used without a look."""

PAUSE_SECONDS = 60
"""The least time between two reads."""

STALE_SECONDS = 86_400
"""For so long keys are used while they cannot be read again."""

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(slots=True)
class IdentityKeys:
    """The keys as they were read last. Times are of `time.monotonic`.

    Attributes:
        read_at: when they were read; None: never.
        tried_at: when that was tried last.
    """

    keys: dict[str, PublicKey] = field(default_factory=dict)
    read_at: float | None = None
    tried_at: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, kid: str) -> PublicKey | None:
        """Return a key by its id; None if the provider has none such, or cannot be asked."""
        if kid in self.keys and self._is_younger(FRESH_SECONDS):
            return self.keys[kid]
        async with self.lock:
            if (kid not in self.keys or not self._is_younger(FRESH_SECONDS)) and self._may_try():
                self.tried_at = time.monotonic()
                await self._read()
        return self.keys.get(kid) if self._is_younger(STALE_SECONDS) else None

    async def _read(self) -> None:
        config = settings()
        told = await json_client.get_guarded(config.identity_jwks_url, allowed_networks(config))
        if isinstance(told, NoResponse):
            log.warning("identity provider: its keys cannot be read (%s)", told.reason)
            return
        found = jwt_keys.read_keys(told.body) if told.status == 200 and told.body is not None else None
        if not found:
            log.warning("identity provider: what it answers (%d) has no key that we can use", told.status)
            return
        self.keys, self.read_at = found, time.monotonic()

    def _may_try(self) -> bool:
        return self.tried_at is None or time.monotonic() - self.tried_at >= PAUSE_SECONDS

    def _is_younger(self, seconds: float) -> bool:
        return self.read_at is not None and time.monotonic() - self.read_at < seconds


def allowed_networks(config: Settings) -> tuple[json_client.Network, ...]:
    """Return the networks, besides the public internet, where the keys may be; practice has them on this machine."""
    return (*config.identity_networks, *(_LOOPBACK if config.mode == "sandbox" else ()))
