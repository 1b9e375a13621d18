"""Bound the tokens of one picture: known of its model, or seen in our usage log, or the defaults.

For pictures in an answer, no list says them, and `max_output_tokens` does not bound them: providers that bill a picture
by its size report thousands of tokens for one (https://github.com/BerriAI/litellm/issues/34908: 4175).
"""

from decimal import Decimal

from core.catalog.model import Model, PriceTier
from core.providers.request import PICTURE_TOKENS

# https://ai.google.dev/gemini-api/docs/image-generation: 1290 up to 1024 by 1024; 1120 up to 2K, 2000 at 4K.
_KNOWN = {
    "google/gemini-2.5-flash-image": (1290, 1290),
    "google/gemini-2.5-flash-image-preview": (1290, 1290),
    "google/gemini-3-pro-image": (1120, 2000),
    "google/gemini-3-pro-image-preview": (1120, 2000),
}
_DEFAULT_LEAST = 1000
_DEFAULT_MOST = 4200


def least_tokens(model: Model) -> int:
    """Return the fewest tokens that a picture of this model has."""
    if model.id in _KNOWN:
        return _KNOWN[model.id][0]
    return model.logged_picture_tokens[0] if model.logged_picture_tokens else _DEFAULT_LEAST


def most_tokens(model: Model) -> int:
    """Return the most tokens that a picture of this model has. The log never lowers the default: it has seen little."""
    if model.id in _KNOWN:
        return _KNOWN[model.id][1]
    return max(_DEFAULT_MOST, model.logged_picture_tokens[1] if model.logged_picture_tokens else 0)


# https://platform.openai.com/docs/guides/images-vision: 2833 and 5667 for each of at most 8 tiles.
_MOST_INPUT = {"openai/gpt-4o-mini": 48_169, "openai/gpt-4o-mini-2024-07-18": 48_169}
# Of a picture whose listed price is no price. No cap has room for it, so nothing is sold.
_UNKNOWN_USD = Decimal(1_000_000)


def most_input_tokens(model: Model) -> int:
    """Return the most tokens that this model counts for a picture in its prompt."""
    return max(PICTURE_TOKENS, _MOST_INPUT.get(model.id, 0))


def input_usd(prices: Model | PriceTier) -> tuple[Decimal, Decimal]:
    """Return what a picture in the prompt costs: US dollars per token of it, if dearer than others, and per picture.

    `image` and `image_token` are 0 where the list has none: then a picture costs its tokens, as text does.
    """
    listed = (prices.prices.get(key, Decimal(0)) for key in ("image_token", "image"))
    per_token, per_picture = (_UNKNOWN_USD if price is None else price for price in listed)
    return per_token, per_picture


def is_input_priced(model: Model) -> bool:
    """Whether what a picture in its prompt costs is known, also in long prompts."""
    every: tuple[Model | PriceTier, ...] = (model, *model.price_tiers)
    return not any(_UNKNOWN_USD in input_usd(prices) for prices in every)
