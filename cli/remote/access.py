"""Ask a door for what the commands about tokens, payout addresses and notices need."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from cli.remote import door
from core.accounts.payouts import PayoutRow
from core.accounts.tokens import NewToken, TokenRow
from core.secrets.private import Private


def create_token(new: NewToken) -> str:
    """Make a token, which cannot be read again."""
    wish = {"name": new.name, "scopes": list(new.scopes), "days": new.days}
    return str(door.ask("POST", "/me/tokens", body=wish).json()["token"])


def tokens() -> list[TokenRow]:
    """List the tokens that work, the newest first."""
    return [
        TokenRow(
            UUID(row["id"]),
            row["name"],
            row["scopes"],
            datetime.fromisoformat(row["createdAt"]),
            _time(row["expiresAt"]),
            _time(row["usedAt"]),
        )
        for row in door.ask("GET", "/me/tokens").json()
    ]


def revoke_token(token_id: UUID) -> None:
    """End a token at once.

    Raises:
        NotFound: there is no such token that works.
    """
    door.ask("DELETE", f"/me/tokens/{token_id}")


def payouts() -> list[PayoutRow]:
    """List the payout addresses."""
    return [
        PayoutRow(
            row["network"],
            row["address"],
            row["next"] and row["next"]["address"],
            _time(row["next"] and row["next"]["from"]),
        )
        for row in door.ask("GET", "/me/payouts").json()
    ]


def notices(most: int) -> Sequence[dict[str, Any]]:
    """List the newest notices, as rows of `instant notices list`, each with its title."""
    handle = door.own_handle()
    return [
        {
            "id": row["id"],
            "found_at": datetime.fromisoformat(row["foundAt"]),
            "rule": row["rule"],
            "handle": handle,
            "slug": row["slug"],
            "facts": row["facts"],
            "deliveries": [
                {
                    "to": "creator",
                    "name": one["name"],
                    "state": one["state"],
                    "tries": one["tries"],
                    "reason": one["reason"],
                    "tried_at": one["triedAt"],
                }
                for one in row["sent"]
            ],
            "title": row["title"],
        }
        for row in door.ask("GET", "/me/notices").json()[:most]
    ]


def notice_addresses() -> list[dict[str, object]]:
    """List the addresses that notices are sent to; never their URLs."""
    return [_address(row) for row in door.ask("GET", "/me/notice-addresses").json()]


def add_notice_address(url: Private[str], name: str) -> dict[str, object]:
    """Send notices to another apprise URL."""
    wish = {"url": url.reveal().strip(), "name": name}
    return _address(door.ask("POST", "/me/notice-addresses", body=wish).json())


def remove_notice_address(address_id: UUID) -> None:
    """Stop sending to an address.

    Raises:
        NotFound: there is no such address.
    """
    door.ask("DELETE", f"/me/notice-addresses/{quote(str(address_id), safe='')}")


def _address(row: dict[str, Any]) -> dict[str, object]:
    made = datetime.fromisoformat(row["createdAt"])
    return {"id": row["id"], "name": row["name"], "scheme": row["scheme"], "created_at": made}


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
