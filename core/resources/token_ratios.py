"""Learn from logged calls how many characters are a token, and how far an estimate made with that is off.

Functions take a connection and do not commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from statistics import median

from core import db
from core.catalog.model import Model
from core.db.queries.estimate import CallsByTokenizerRow, sql
from core.providers.scripts import by_script

# Rules of thumb where too few calls were logged.
_LATIN = Decimal(4)
_OTHER = Decimal("1.5")
# No tokenizer is beyond these; a call with hidden tokens of its provider may seem so.
_LEAST, _MOST = Decimal("0.25"), Decimal(8)

LEAST_CALLS = 20
"""Fewer calls may all be alike."""


@dataclass(frozen=True, slots=True)
class TokenRatios:
    """How many characters are a token.

    Attributes:
        latin: of Latin letters, digits and signs.
        other: of other scripts.
        error: half of the calls cost at most this share more or less than an estimate; None if too few were logged.
        calls: how many calls say so.
    """

    latin: Decimal = _LATIN
    other: Decimal = _OTHER
    error: Decimal | None = None
    calls: int = 0

    def tokens(self, latin_characters: int, other_characters: int) -> Decimal:
        """Estimate the tokens of a text."""
        return latin_characters / self.latin + other_characters / self.other

    def tokens_of(self, text: str) -> Decimal:
        """Estimate the tokens of this text."""
        return self.tokens(*by_script(text))


async def read(conn: db.Connection, model: Model) -> TokenRatios:
    """Learn the ratios of the tokenizer that a model is listed with, from the last calls of all creators."""
    listed = model.raw.get("architecture")
    tokenizer = listed.get("tokenizer") if isinstance(listed, dict) else None
    if not isinstance(tokenizer, str):
        return TokenRatios()
    return learn([row async for row in sql.calls_by_tokenizer(conn, tokenizer=tokenizer)])


def learn(calls: Sequence[CallsByTokenizerRow]) -> TokenRatios:
    """Learn the ratios: of Latin from prompts of nearly nothing else, of the rest from those that are mostly it."""
    plain = [call for call in calls if call.other_characters * 20 <= call.latin_characters]
    latin = _ratio(sum(call.latin_characters + call.other_characters for call in plain), plain, _LATIN)
    mixed = [call for call in calls if call.other_characters >= call.latin_characters]
    of_latin = sum((call.latin_characters / latin for call in mixed), Decimal(0))
    other = _ratio(sum(call.other_characters for call in mixed), mixed, _OTHER, of_latin)
    learned = TokenRatios(latin, other)
    errors = [error for call in calls if (error := _error(learned, call)) is not None]
    if len(errors) < LEAST_CALLS:
        return learned
    return TokenRatios(latin, other, median(errors).quantize(Decimal("0.01")), len(errors))


def _ratio(
    characters: int, calls: Sequence[CallsByTokenizerRow], default: Decimal, tokens_of_others: Decimal = Decimal(0)
) -> Decimal:
    tokens = sum(call.input_tokens for call in calls) - tokens_of_others
    if len(calls) < LEAST_CALLS or tokens <= 0:
        return default
    return min(max(characters / Decimal(tokens), _LEAST), _MOST)


def _error(ratios: TokenRatios, call: CallsByTokenizerRow) -> Decimal | None:
    """Compare what a call costs by its tokens with the estimate: half of the most output. None if it costs nothing."""
    with localcontext(prec=60):
        real = call.input_tokens * call.prompt_usd + call.output_tokens * call.completion_usd + call.request_usd
        if real == 0:
            return None
        tokens = ratios.tokens(call.latin_characters, call.other_characters)
        output = Decimal(call.max_output_tokens) / 2
        estimated = tokens * call.prompt_usd + output * call.completion_usd + call.request_usd
        return abs(estimated - real) / real
