"""Judge an answer before it is released: does it give its hidden template away?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from core.db.states import Leak
from core.failures import ExecutionFailed
from core.providers.errors import provider_failure
from core.providers.response import Reply
from core.resources import attachments, prompt_shield, versions
from core.secrets.private import Private

# An answer that repeats the template is asked for once more.
_MOST_SENDS = 2


@dataclass(frozen=True, slots=True)
class Shield:
    """What an answer is compared with.

    Attributes:
        mode: whether an answer that leaks is withheld.
        marks: of the execution.
        is_json: whether the answer is a JSON document.
        template: the hidden prompt.
        known: what the buyer knows: their inputs, and what the offer says.
    """

    mode: Literal["watch", "block"]
    marks: prompt_shield.Marks
    is_json: bool
    template: Private[str]
    known: Private[tuple[str, ...]]


def shield_of(
    execution_id: UUID, version: versions.Version, template: Private[str], inputs: dict[str, str]
) -> Shield | None:
    """Build the shield of an execution; None if its version has none."""
    if version.prompt_shield == "off":
        return None
    marks = prompt_shield.marks_of(execution_id)
    files = {parameter.name for parameter in version.parameters if attachments.is_kind(parameter.type)}
    texts = (value for name, value in inputs.items() if name not in files)
    known = Private((*texts, *_offered(version)))
    return Shield(version.prompt_shield, marks, version.modality == "json", template, known)


async def judge(shield: Shield | None, reply: Reply | ExecutionFailed) -> tuple[Reply | ExecutionFailed, Leak | None]:
    """Judge what a provider answered.

    Returns:
        The reply without our markers, and what it leaks; or the failure, also for a reply that is withheld:
        `withheld_canary` (the buyer's fault) or `withheld_overlap`.
    """
    if shield is None or isinstance(reply, ExecutionFailed):
        return reply, None
    beside = (*(citation["title"] for citation in reply.citations), *(citation["url"] for citation in reply.citations))
    texts = prompt_shield.texts_of(reply.response, is_json=shield.is_json, others=(*reply.images, *beside))
    leak = await prompt_shield.find_leak(texts, shield.marks, shield.template.reveal(), shield.known.reveal())
    if leak and shield.mode == "block":
        return provider_failure(f"withheld_{leak}"), None
    return replace(reply, response=shield.marks.unwrap(reply.response)), leak


def is_last(send_number: int, failure: ExecutionFailed) -> bool:
    """Whether an answer was withheld so often that it is not asked for again."""
    return failure.detail == "withheld_overlap" and send_number >= _MOST_SENDS


def _offered(version: versions.Version) -> Iterator[str]:
    yield from (version.title, version.description)
    for parameter in version.parameters:
        yield from (parameter.name, parameter.description, parameter.default or "")
    if version.answer_schema is not None:
        yield json.dumps(json.loads(version.answer_schema), ensure_ascii=False)
