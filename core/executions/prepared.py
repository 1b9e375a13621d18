"""What a run holds of an execution between its steps, in memory alone."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.executions import release, sends
from core.providers.request import Prompt
from core.resources import versions
from core.secrets.private import Private


@dataclass(frozen=True, slots=True)
class Order:
    """An execution that this run has begun, with the version that was sold; a test of its owner is not paid."""

    id: UUID
    attempt_id: UUID
    round: int
    account_id: UUID
    version: versions.Version
    buyer: str
    deadline: datetime
    flow_run_id: UUID | None
    is_streamed: bool
    is_paid: bool
    sealed_inputs: bytes = field(repr=False)

    @property
    def product(self) -> str:
        """Its public name, `@handle/slug`. A draft was never on offer, so its slug is its creator's alone."""
        version = self.version
        return f"@{version.handle}/{version.slug}" if version.offered_at else f"@{version.handle} (draft)"


@dataclass(frozen=True, slots=True)
class Opened:
    """The decrypted parts of an order: the creator's key and template, the buyer's inputs."""

    key: Private[str]
    template: Private[str]
    inputs: Private[dict[str, str]]


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call that is ready to be sent."""

    order: Order
    key: Private[str]
    prompt: Private[Prompt]
    inputs: Private[dict[str, str]]
    shield: release.Shield | None

    @property
    def most_sends(self) -> int:
        """How often it may be sent in its round, fallbacks included."""
        return sends.most_sends(self.prompt.reveal())
