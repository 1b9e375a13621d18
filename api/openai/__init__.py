"""The OpenAI-compatible door: products as models, and a chat completion as a purchase like any other.

`chat` reads a request, `completions` and `chunks` write its answer, whole or streamed, `models` lists what is for sale,
`errors` turns problem documents into OpenAI's shape, and `routes` has the addresses.
Source: https://platform.openai.com/docs/api-reference/chat, and openai-python 3.52, `types/chat`.
"""

__all__ = ["chat", "errors", "models", "routes"]
