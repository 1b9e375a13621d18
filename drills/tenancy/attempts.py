"""A request that one creator makes on what is another's."""

from dataclasses import dataclass, field
from typing import Any

GONE = frozenset({403, 404})
"""What is answered about what is another's."""
FINE = frozenset(range(200, 500))
"""What is answered otherwise: anything but a failure of the door."""


@dataclass(frozen=True)
class Attempt:
    """A request of one creator.

    Attributes:
        path: of the OpenAPI document.
        named: the values in the path.
        form: what a page sends; None: the body is JSON.
        expected: what may be answered; who names something of another's gets 403 or 404.
        as_session: whether it comes with the cookie of a fresh sign-in, and not with a token.
    """

    method: str
    path: str
    named: dict[str, str] = field(default_factory=dict)
    body: Any = None
    form: dict[str, str] | None = None
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    expected: frozenset[int] = FINE
    as_session: bool = False

    @property
    def route(self) -> tuple[str, str]:
        """Method and path."""
        return self.method, self.path
