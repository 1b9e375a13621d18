"""Cards of a creator's provider keys: how each key stands, and what is sold on it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core import db
from core.accounts import provider_keys
from core.accounts.provider_keys import KeyState
from core.catalog.model import ABSENCE_TOLERATED
from core.db.queries.key_log import sql
from core.providers import registry as providers
from core.providers.registry import Provider


@dataclass(frozen=True, slots=True)
class KeyCard:
    """One provider, for one creator.

    Attributes:
        provider: the provider.
        state: of the stored key; None if there is none.
        last_used_at: UTC, when a call last used this creator's key there; None if never.
        products: the slugs of what is on sale and needs this key.
        sold: of these, the slugs of what is sold now, as far as keys and models decide it.
    """

    provider: Provider
    state: KeyState | None
    last_used_at: datetime | None
    products: tuple[str, ...]
    sold: tuple[str, ...]

    @property
    def health(self) -> str:
        """One word: sound, or what is wrong: missing, disabled, rejected, expired, spent."""
        obstacle = self.state.obstacle if self.state else "key_missing"
        return obstacle.removeprefix("key_") if obstacle else "sound"

    @property
    def advice(self) -> str | None:
        """What to do before anything is sold on it, as a sentence; None if nothing."""
        if self.state is None:
            return f"Set a key; you get one {self.provider.keys_place}." if self.products else None
        if self.state.sentence is None:
            return None
        page = self.provider.credit_page if self.state.obstacle == "key_spent" else ""
        return f"Nothing is sold on this key: {self.state.sentence}.{page}"


async def key_cards(conn: db.Connection, account_id: UUID) -> list[KeyCard]:
    """List a card for each configured provider, and for any other that the creator has a key at or needs one of."""
    sold = [row async for row in sql.products(conn, account_id=account_id, absence_tolerated=ABSENCE_TOLERATED)]
    used = {row.provider: row.last_used_at async for row in sql.used(conn, account_id=account_id)}
    stored = await provider_keys.key_states(conn, account_id)
    names = [*providers.configured(), *sorted({*stored, *(row.provider for row in sold)} - {*providers.configured()})]
    return [
        KeyCard(
            provider=providers.find(name),
            state=stored.get(name),
            last_used_at=used.get(name),
            products=tuple(row.slug for row in sold if row.provider == name),
            sold=tuple(row.slug for row in sold if row.provider == name and row.is_sold),
        )
        for name in names
    ]


async def key_card(conn: db.Connection, account_id: UUID, provider: Provider) -> KeyCard | None:
    """The card of one provider; None if there would be none."""
    return next((card for card in await key_cards(conn, account_id) if card.provider.name == provider.name), None)
