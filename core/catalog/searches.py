"""Bound the searches of one call to a model that searches the web unasked."""

from core.catalog.model import Model
from core.settings import settings

# They search once, and their provider bills a fee per request: https://docs.perplexity.ai/getting-started/pricing
# ("request fee") and https://platform.openai.com/docs/pricing (web search preview). No list says so.
_ONCE = frozenset(
    {
        "perplexity/sonar",
        "perplexity/sonar-pro",
        "perplexity/sonar-reasoning",
        "perplexity/sonar-reasoning-pro",
        "openai/gpt-4o-search-preview",
        "openai/gpt-4o-mini-search-preview",
    }
)


def most_searches(model: Model) -> int:
    """Return the most searches that we count. No provider publishes a bound for models that research on their own."""
    return 1 if model.id in _ONCE else settings().search_limit
