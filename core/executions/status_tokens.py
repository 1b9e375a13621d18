"""Make and check status tokens. The bearer of one may read the execution's state and its answer.

A token is a MAC of the execution's id, so nothing is stored.
"""

import base64
from contextlib import suppress
from uuid import UUID

from core.secrets.vault import vault


def token_of(execution_id: UUID) -> str:
    """Return the status token of an execution."""
    return base64.urlsafe_b64encode(vault().sign("status", execution_id.bytes)).decode().rstrip("=")


def is_token_of(execution_id: UUID, token: str) -> bool:
    """Whether `token` is the status token of this execution, under any configured master key."""
    with suppress(ValueError):
        mac = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return vault().is_signed("status", execution_id.bytes, mac)
    return False
