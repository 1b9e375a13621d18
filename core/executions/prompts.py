"""Build the prompt of one round of an execution."""

from uuid import UUID

from core.providers.request import Message, Prompt
from core.resources.versions import Version


def prompt_of(
    version: Version, messages: tuple[Message, ...], *, buyer: str, execution_id: UUID, round_number: int
) -> Prompt:
    """Build the prompt for a version's own model, with its fallbacks.

    Args:
        version: the version that was sold.
        messages: its template and the buyer's values, as from `core.resources.template.messages`.
        buyer: hashed id of the buyer.
        execution_id: the execution.
        round_number: its round.
    """
    return Prompt(
        model=version.model_id,
        messages=messages,
        modality=version.modality,
        max_output_tokens=version.max_output_tokens,
        temperature=version.temperature,
        buyer=buyer,
        execution_id=execution_id,
        round=round_number,
        zdr=version.zdr,
        answer_schema=version.answer_schema,
        reasoning_effort=version.reasoning_effort,
        routing={} if version.providers is None else version.providers.as_request(),
        supported=version.supported_parameters,
        outputs=version.output_modalities,
        prices=version.prices,
        fallbacks=version.alternatives,
    )
