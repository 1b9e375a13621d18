"""Make and check status tokens. The bearer of one may read the execution's state and its answer.

A token is a MAC of the execution's id, so nothing is stored.
"""

from uuid import UUID

from core.secrets.vault import vault


def token_of(execution_id: UUID) -> str:
    """Return the status token of an execution."""
    return vault().sign("status", execution_id.bytes)


def is_token_of(execution_id: UUID, token: str) -> bool:
    """Whether `token` is the status token of this execution, under any configured master key."""
    return vault().is_signed("status", execution_id.bytes, token)
