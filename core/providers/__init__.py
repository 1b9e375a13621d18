"""Model providers: send a request, read the answer, and find its cost or the reason for a failure."""

__all__ = (
    "answer_schema",
    "client",
    "errors",
    "model_ids",
    "openrouter_oauth",
    "reasoning",
    "registry",
    "request",
    "response",
    "scripts",
    "usage",
)
