"""List all attempts: who published each one, the words that are sent, and how a model that obeys answers them."""

from dataclasses import dataclass

from drills.shield.own import OWN
from drills.shield.published import PUBLISHED

_TRANSLATIONS = ("french", "german", "spanish")


@dataclass(frozen=True)
class Attempt:
    """One attempt.

    Attributes:
        source: the published set that it follows, or the kind of our own.
        is_published: whether it follows a published set.
        way: how a model that obeys answers; see `sandbox.openrouter_obeying`.
        words: what the buyer writes.
    """

    source: str
    is_published: bool
    way: str
    words: str

    @property
    def is_translation(self) -> bool:
        """Whether the answer is in another language, which no comparison of letters can find."""
        return any(language in self.way for language in _TRANSLATIONS)


def attempts() -> list[Attempt]:
    """Return all attempts, the published ones first."""
    return [
        Attempt(source, is_published, way.strip(), words.strip())
        for sources, is_published in ((PUBLISHED, True), (OWN, False))
        for source, lines in sources.items()
        for way, _, words in (line.partition("|") for line in lines.strip().splitlines())
    ]
