"""Bound the tokens of one picture: known of its model, or seen in our usage log, or the defaults.

No list says them, and `max_output_tokens` does not bound them: providers that bill a picture by its size report
thousands of tokens for one (https://github.com/BerriAI/litellm/issues/34908: 4175).
"""

from core.catalog.model import Model

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
