"""Set the practice provider's latency: constant, or log-normally distributed."""

from dataclasses import dataclass

import httpx

from core.resources import parameters, template
from core.settings import settings
from sandbox.openrouter_latency import drawn
from tests.selling import SECRET_TEMPLATE, content

UNPAID_KEY = "sk-or-v1-practice-unpaid"
"""The key of unpaid calls."""


@dataclass(frozen=True)
class Upstream:
    """Seconds of one answer: 95 percent are between these two bounds, which may be equal."""

    name: str
    fastest: float
    slowest: float

    def seconds(self, topic: str) -> float:
        """Return the latency of the call about this topic, which follows from its messages."""
        return drawn((self.fastest, self.slowest), messages(topic))

    async def order(self, *keys: str) -> None:
        """Set this latency for these keys."""
        url = f"{settings().openrouter_url.removesuffix('/api/v1')}/practice/keys"
        async with httpx.AsyncClient(trust_env=False) as http:
            for key in keys:
                wish = {"latency_between": [self.fastest, self.slowest]}
                (await http.put(f"{url}/{key}", json=wish)).raise_for_status()


FAST = Upstream("300ms", 0.3, 0.3)
SLOW = Upstream("2-20s", 2.0, 20.0)


def messages(topic: str) -> list[dict[str, object]]:
    """Build the messages that every contestant sends to the provider about a topic."""
    declared = [parameters.Parameter(**parameter) for parameter in content()["parameters"]]
    return list(template.messages(SECRET_TEMPLATE, declared, {"topic": topic}))
