"""Ask in the background about what a start may only warn of: nodes, facilitators and master keys (decision 0019)."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from core import db
from core.accounts import master_keys
from core.accounts.master_keys import KeysInUse
from core.evm import checks
from core.failures import Misconfigured, Unavailable
from core.payments.settlement import PaymentClients
from core.process.background_loop import background_task
from core.settings import Network, settings

log = logging.getLogger(__name__)

Node = Literal["agrees", "differs", "unreachable"]


@dataclass(slots=True)
class Setup:
    """The last findings.

    Attributes:
        clients: what a door reaches nodes and facilitators with.
        nodes: whether each network's node says of chain and asset what the settings say.
        keys: the master keys in use; None before the database has answered.
    """

    clients: PaymentClients
    nodes: dict[str, Node] = field(default_factory=dict)
    keys: KeysInUse | None = None

    async def look(self, pool: db.Pool) -> None:
        """Ask every node that has not agreed yet, every facilitator whose answer is old, and the database."""
        networks = list(enumerate(self.clients.networks.values()))
        for facilitator in self.clients.facilitators.values():
            facilitator.is_serving()
        unsure = [(position, network) for position, network in networks if self.nodes.get(network.id) != "agrees"]
        for (_, network), node in zip(
            unsure, await asyncio.gather(*(self._ask_node(*each) for each in unsure)), strict=True
        ):
            self.nodes[network.id] = node
        try:
            async with pool.connection() as conn:
                self.keys = await master_keys.keys_in_use(conn)
        except db.UNREACHABLE as error:
            log.warning("setup: the master keys in use are not known (%s)", type(error).__name__)

    async def _ask_node(self, position: int, network: Network) -> Node:
        try:
            await checks.check_network(self.clients.http, position, network)
        except Unavailable:
            return "unreachable"
        except Misconfigured as wrong:
            log.error("%s", wrong)
            return "differs"
        return "agrees"

    def network(self, name: str) -> dict[str, object]:
        """Describe a network: its node, and how its facilitator stood when it was last asked."""
        return {"node": self.nodes.get(name, "unknown"), "facilitator": self.clients.facilitators[name].standing}

    def master_keys(self) -> dict[str, object]:
        """Name the master keys in use: those that open what they sealed, and those that are missing or other ones."""
        if self.keys is None:
            return {"state": "unknown"}
        is_sound = not self.keys.missing and not self.keys.other
        return {
            "state": "sound" if is_sound else "broken",
            "opening": self.keys.opening,
            "missing": self.keys.missing,
            "other": self.keys.other,
        }


@asynccontextmanager
async def checking(pool: db.Pool, clients: PaymentClients) -> AsyncIterator[Setup]:
    """Look at once and every INSTANT_BOOKS_SECONDS, for the duration of the block."""
    setup = Setup(clients)
    async with background_task(_look(setup, pool), name="setup"):
        yield setup


async def _look(setup: Setup, pool: db.Pool) -> None:
    while True:
        await setup.look(pool)
        await asyncio.sleep(settings().books_seconds)
