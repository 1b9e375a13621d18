"""Read a chat completion request as the inputs of a product, and refuse before any payment what it cannot have.

A product has its own instructions, and answers each call by itself. So there is one message, the user's; whatever else
would change what is sold is refused, and what only wishes for a manner of writing is left to the product.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.failures import InvalidInput, NotFound
from core.resources import attachments, field_errors, product, versions
from core.resources.template import USER_MESSAGE

# As it stands in a body that is not parsed yet. In JSON, text within text has its quotes escaped, so this is a member.
NAMED = re.compile(rb'"model"\s*:\s*"@([a-z0-9-]{1,60})/([a-z0-9-]{1,60})"')

_MODEL = re.compile("@([a-z0-9-]{1,60})/([a-z0-9-]{1,60})")
_READ = frozenset({"model", "messages", "inputs", "stream", "stream_options", "response_format", "modalities"})
# Wishes for how the answer is written or accounted for; the product decides that, at its fixed price.
_IGNORED = frozenset(
    (
        *("temperature", "top_p", "top_k", "min_p", "seed"),
        *("frequency_penalty", "presence_penalty", "repetition_penalty"),
        *("max_tokens", "max_completion_tokens", "reasoning", "reasoning_effort", "verbosity"),
        *("user", "metadata", "store", "service_tier", "safety_identifier"),
        *("parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_retention"),
    )
)
# What changes the answer's form or number, with the values that ask for nothing.
_REFUSED: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "stop": ([], ""),
    "logit_bias": ({},),
    "audio": (),
    "web_search_options": (),
}
_UNKNOWN_LIMIT = 16


@dataclass(frozen=True, slots=True)
class Chat:
    """A request that names a product.

    Attributes:
        handle, slug: the product's.
        members: of its body.
        size: of its body, in bytes.
    """

    handle: str
    slug: str
    members: dict[str, object] = field(repr=False)
    size: int

    @property
    def model(self) -> str:
        """The product as clients name it."""
        return f"@{self.handle}/{self.slug}"

    @property
    def is_streamed(self) -> bool:
        """Whether the answer is wanted in chunks."""
        return self.members.get("stream") is True

    @property
    def counts_usage(self) -> bool:
        """Whether a last chunk has the usage."""
        match self.members.get("stream_options"):
            case {"include_usage": True}:
                return True
        return False


@dataclass(frozen=True, slots=True)
class _Message:
    """What the user's message says, and the pictures and files that are in it, as URLs."""

    text: str = field(repr=False)
    sent: Mapping[attachments.Kind, list[str]] = field(repr=False)


def read(body: object, size: int) -> Chat:
    """Read which product a body asks for.

    Raises:
        InvalidInput: it has the wrong form.
        NotFound: no product can have the name that it asks for.
    """
    if not isinstance(body, dict):
        raise InvalidInput({"body": "The request must be a JSON object with `model` and `messages`"})
    model = body.get("model")
    if not isinstance(model, str):
        raise InvalidInput({"model": "must name a product as @creator/slug; `GET /v1/models` lists them"})
    named = _MODEL.fullmatch(model)
    if named is None:
        raise NotFound
    fields = {}
    if body.get("stream") not in (None, True, False):
        fields["stream"] = "must be true or false"
    if not isinstance(body.get("stream_options"), dict | None):
        fields["stream_options"] = "must be an object"
    if fields:
        raise InvalidInput(fields)
    return Chat(named[1], named[2], body, size)


def inputs_of(chat: Chat, version: versions.Version) -> dict[str, str]:
    """Return the validated inputs that a request has for a version.

    The message's text is the product's `user_message`; if it takes none, the only text that it still needs. Pictures
    and files are, in turn, those that it takes. `inputs` has any of them by name.

    Raises:
        InvalidInput: has one sentence for each member or parameter that does not fit.
    """
    fields = _refusals(chat, version)
    given = chat.members.get("inputs")
    if not isinstance(given, dict | None):
        fields["inputs"] = "must be an object with the product's inputs by name"
    given = given if isinstance(given, dict) else {}
    message = _message(chat.members.get("messages"))
    if isinstance(message, str):
        raise InvalidInput(fields | {"messages": message})
    values = dict(given)
    for kind, sent in message.sent.items():
        free = [one.name for one in version.parameters if one.type == kind and not given.get(one.name)]
        if len(sent) > len(free):
            fields["messages"] = f"has more parts of the kind {kind} than the {len(free)} that the product takes"
        values |= dict(zip(free, sent, strict=False))
    if message.text:
        name = place_of_text(version, given)
        if name is None:
            names = ", ".join(product.properties(version)) or "none"
            fields["messages"] = (
                "This product does not say which of its inputs the message is; send it by name, as"
                f' extra_body={{"inputs": {{...}}}} does, and leave messages empty. Its inputs: {names}'
            )
        else:
            values[name] = message.text
    if fields:
        raise InvalidInput(fields)
    return versions.validate_inputs(version, values)


def _refusals(chat: Chat, version: versions.Version) -> dict[str, str]:
    """Say what a request asks for that a product cannot give, or that nobody knows."""
    members = {name: value for name, value in chat.members.items() if value is not None}
    fields = {
        name: "cannot be had here: a product's answer has one form; leave this out"
        for name, harmless in _REFUSED.items()
        if name in members and members[name] not in harmless
    }
    known = _READ | _IGNORED | _REFUSED.keys()
    for name in [name for name in members if name not in known][:_UNKNOWN_LIMIT]:
        hint = field_errors.nearest(name, known)
        fields[field_errors.shown(name)] = f"Unknown member: {field_errors.shown(name)}{hint}"
    kinds = ({"text"}, {"text", "image"}, {"image"}) if version.modality == "image" else ({"text"},)
    wanted = members.get("modalities", ["text"])
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted) or set(wanted) not in kinds:
        fields["modalities"] = f"This product answers with {version.modality}"
    if not _has_format(version, members.get("response_format", {"type": "text"})):
        fields["response_format"] = (
            "This product answers with JSON of a schema of its own; ask for that or for json_object, or leave it out"
            if version.modality == "json"
            else f"This product answers with {version.modality}, and promises no JSON; leave this out"
        )
    return fields


def _has_format(version: versions.Version, wanted: object) -> bool:
    """Whether the product's answers have the format that is asked for, whatever they say."""
    match wanted:
        case {"type": "text"}:
            return True
        case {"type": "json_object"}:
            return version.modality == "json"
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return version.answer_schema is not None and json.loads(version.answer_schema) == schema
    return False


def _message(messages: object) -> _Message | str:
    """Read the one message of a request; or say what is wrong, as a sentence."""
    if messages is None or messages == []:
        return _Message("", {})
    match messages:
        case [{"role": "user", "content": str(text)}]:
            return _Message(text, {})
        case [{"role": "user", "content": list(parts)}]:
            return _parts(parts)
        case [{"role": "user"}]:
            return "must have content: text, or a list of parts"
    return (
        "must have exactly one message, of the role user: the product has instructions of its own, and answers each"
        " call without earlier turns"
    )


def _parts(parts: list[object]) -> _Message | str:
    texts: list[str] = []
    sent: dict[attachments.Kind, list[str]] = {"image": [], "file": []}
    for part in parts:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
                sent["image"].append(url)
            case {"type": "file", "file": {"file_data": str(url)}}:
                sent["file"].append(url)
            case _:
                return (
                    "has a part that cannot be read: parts are {type: text, text}, {type: image_url, image_url: {url}},"
                    " and {type: file, file: {file_data}} with a data: URL or an https:// address"
                )
    return _Message("\n".join(texts), sent)


def place_of_text(sold: product.Product, given: Mapping[str, object]) -> str | None:
    """Return the input that a message is: the user's turn, else the only text that is open, or that must be sent.

    Args:
        sold: the product.
        given: inputs that are sent by name.
    """
    if sold.allows_user_message:
        return None if given.get(USER_MESSAGE) else USER_MESSAGE
    free = [one.name for one in sold.parameters if not attachments.is_kind(one.type) and not given.get(one.name)]
    for names in (free, [name for name in free if name in product.required(sold)]):
        if len(names) == 1:
            return names[0]
    return None
