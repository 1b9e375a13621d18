"""Ask a door for what the commands about provider keys need."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from cli.remote import door
from core.accounts.provider_keys import KeyState
from core.failures import InvalidInput, NotFound
from core.secrets.private import Private


def title(provider: str) -> str:
    """Return the name of a provider for people.

    Raises:
        InvalidInput: names `provider`: the door has none with this name.
    """
    try:
        return str(door.ask("GET", _path(provider)).json()["title"])
    except NotFound:
        pass
    raise InvalidInput({"provider": f"there is no {provider} there"})


def set_key(provider: str, key: Private[str]) -> KeyState:
    """Have a key checked at its provider and stored sealed."""
    return _state(door.ask("PUT", _path(provider), body={"key": key.reveal()}).json()["card"])


def enable_key(provider: str, enabled: bool) -> None:
    """Switch the stored key on or off.

    Raises:
        NotFound: there is none.
    """
    door.ask("PATCH", _path(provider), body={"enabled": enabled})


def delete_key(provider: str) -> int:
    """Delete a key; return how many prompts are not for sale now."""
    return int(door.ask("DELETE", f"/me/{quote(provider, safe='')}-key").json()["affectedResources"])


def _path(provider: str) -> str:
    return f"/me/keys/{quote(provider, safe='')}"


def _state(card: dict[str, Any]) -> KeyState:
    limit, left = (None if card[name] is None else Decimal(card[name]) for name in ("limitUsd", "limitRemainingUsd"))
    times = {name: card[name] and datetime.fromisoformat(card[name]) for name in ("rejectedAt", "expiresAt", "setAt")}
    return KeyState(
        label=card["label"],
        enabled=card["enabled"],
        rejected_at=times["rejectedAt"],
        checked_at=datetime.fromisoformat(card["checkedAt"]),
        limit_remaining_usd=left,
        expires_at=times["expiresAt"],
        obstacle=card["obstacle"],
        limit_usd=limit,
        limit_reset=card["limitReset"],
        set_at=times["setAt"],
    )
