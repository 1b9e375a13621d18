"""Which provider serves a model id, and what that provider calls the model."""


def provider_of(model_id: str) -> tuple[str, str]:
    """Where a model is called, and by what name there: `anthropic:claude-sonnet-4-5` is Anthropic's own.

    OpenRouter's ids are author/name, so a colon before any slash is never theirs. The column `served_by` agrees.
    """
    name, colon, rest = model_id.partition(":")
    return (name, rest) if colon and name and "/" not in name else ("openrouter", model_id)
