"""How long the practice provider takes: always the same, or as a log-normal distribution has it."""

from dataclasses import dataclass

import httpx

from core.resources import template
from core.settings import settings
from sandbox.openrouter_latency import drawn
from tests.selling import SECRET_TEMPLATE, content

UNPAID_KEY = "sk-or-v1-practice-unpaid"
"""Whose calls nobody pays."""


@dataclass(frozen=True)
class Upstream:
    """Seconds of one answer: 95 of a hundred are between these two; they may be the same."""

    name: str
    fastest: float
    slowest: float

    def seconds(self, topic: str) -> float:
        """How long the call about this topic takes, which follows from what is sent."""
        return drawn((self.fastest, self.slowest), messages(topic))

    async def order(self, *keys: str) -> None:
        """Have it so for these keys."""
        url = f"{settings().openrouter_url.removesuffix('/api/v1')}/practice/keys"
        async with httpx.AsyncClient(trust_env=False) as http:
            for key in keys:
                wish = {"latency_between": [self.fastest, self.slowest]}
                (await http.put(f"{url}/{key}", json=wish)).raise_for_status()


FAST = Upstream("300ms", 0.3, 0.3)
SLOW = Upstream("2-20s", 2.0, 20.0)


def messages(topic: str) -> list[dict[str, str]]:
    """What is sent upstream about a topic, by every contestant."""
    parameters = [template.Parameter(**parameter) for parameter in content()["parameters"]]
    return list(template.messages(SECRET_TEMPLATE, parameters, {"topic": topic}))
