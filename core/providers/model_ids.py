"""Split a model id into its provider and the provider's name for the model."""


def provider_of(model_id: str) -> tuple[str, str]:
    """Return the provider of a model and the model's name there: `anthropic:claude-sonnet-4-5` is Anthropic's.

    OpenRouter's ids are author/name, so they have no colon before a slash. The column `served_by` has the same rule.
    """
    name, colon, rest = model_id.partition(":")
    return (name, rest) if colon and name and "/" not in name else ("openrouter", model_id)
