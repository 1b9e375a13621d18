"""Compare a draft with what its model takes: how hard it reasons, who serves it, what it reads, and how much fits."""

from core.catalog import pictures
from core.catalog.model import Model
from core.catalog.reasoning import reasoning_of
from core.db.states import ReasoningEffort
from core.providers.registry import provider_for
from core.resources import attachments
from core.resources.draft import Draft

# Ordinary text never has more characters per token, so this gives the fewest tokens of a template.
MOST_CHARACTERS_PER_TOKEN = 8

# With fewer tokens for reasoning and answer together, a model often only reasons. This is our rule of thumb, by effort;
# no provider promises a number.
_LEAST_TOKENS: dict[ReasoningEffort, int] = {
    "none": 0,
    "minimal": 256,
    "low": 1024,
    "medium": 2048,
    "high": 4096,
    "xhigh": 8192,
    "max": 16_384,
}


def problems(draft: Draft, model: Model) -> dict[str, str]:
    """Name each field that the model cannot serve, with a sentence."""
    found = {}
    efforts = reasoning_of(model).efforts
    if draft.reasoning_effort is not None and draft.reasoning_effort not in efforts:
        found["reasoning_effort"] = (
            f"{model.id} reasons only with {', '.join(efforts)}" if efforts else f"{model.id} takes no reasoning_effort"
        )
    provider = provider_for(model.id)
    if draft.providers is not None and not provider.routes:
        found["providers"] = f"{provider.title} serves its models itself, so there are no providers to choose from"
    if (most := _most_beside_template(draft, model)) is not None and draft.max_output_tokens > most:
        found["max_output_tokens"] = f"{model.id} takes {model.context_length} tokens of prompt and answer together"
    return found | _unreadable(draft, model)


def longest_answer(draft: Draft, model: Model) -> int:
    """Return the most max_output_tokens that a model takes for a draft; those of the draft if nothing is known."""
    limits = (model.max_completion_tokens, _most_beside_template(draft, model))
    return min((limit for limit in limits if limit is not None), default=draft.max_output_tokens)


def _most_beside_template(draft: Draft, model: Model) -> int | None:
    if model.context_length is None:
        return None
    return model.context_length - len(draft.template) // MOST_CHARACTERS_PER_TOKEN - 1


def _unreadable(draft: Draft, model: Model) -> dict[str, str]:
    """Name the parameters whose pictures or files the model does not take, or that nobody can tell the price of."""
    found = {}
    for index, parameter in enumerate(draft.parameters):
        if not attachments.is_kind(parameter.type):
            continue
        if parameter.type not in model.input_modalities:
            problem = f"{model.id} takes no {parameter.type}, only {', '.join(model.input_modalities)}"
        elif parameter.type == "file" and model.context_length is None:
            problem = f"what a file costs on {model.id} is not known, because its context length is not"
        elif parameter.type == "image" and not pictures.is_input_priced(model):
            problem = f"what a picture in the prompt costs on {model.id} is not known"
        else:
            continue
        found[f"parameters.{index}.type"] = problem
    return found


def warnings(draft: Draft, model: Model) -> list[str]:
    """Warn, in sentences, of an answer that may leave no room for itself."""
    effort = draft.reasoning_effort or reasoning_of(model).default_effort
    least = _LEAST_TOKENS[effort]
    if draft.max_output_tokens >= least:
        return []
    return [
        f"{model.id} reasons with {effort} effort before it answers, and you pay for that as for the answer: with "
        f"fewer than {least} max_output_tokens a call often ends without an answer. Raise them, or set a lower "
        "reasoning_effort where the model takes one"
    ]
