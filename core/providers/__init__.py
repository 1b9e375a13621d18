"""Model providers: send a request, read the answer, tell what it cost or why it failed."""

__all__ = ("answer_schema", "client", "errors", "model_ids", "registry", "request", "response", "usage")
