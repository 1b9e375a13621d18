"""Compute the least and the most that a call of a draft can cost, and refuse drafts that a model cannot serve."""

from datetime import UTC, datetime
from decimal import Decimal, localcontext

from core.amounts import dollars, usdc
from core.catalog.model import ABSENCE_TOLERATED, Model
from core.failures import InvalidInput
from core.providers import registry as providers
from core.providers.answer_schema import is_strict
from core.resources import model_fit
from core.resources.draft import Draft
from core.settings import settings

# UTF-8 has at most four bytes per character, and no tokenizer makes more than one token of a byte.
_BYTES_PER_CHARACTER = 4
# Role markers, and the user turn that we add if the buyer sends none.
_FRAME_BYTES = 1024
# Some providers refuse a lower limit.
_LEAST_OUTPUT_TOKENS = 16


def worst_cost_usd(draft: Draft, model: Model) -> Decimal:
    """Compute the most that one call can cost its creator, in US dollars, exactly.

    Every byte of the prompt counts as a token, with inputs at their longest and as often as the template repeats
    them, within the model's context; and the answer takes all its tokens.

    Raises:
        ValueError: a price of the model is unknown, which is never so for a sellable model.
    """
    tokens = _most_prompt_bytes(draft)
    if model.context_length is not None:
        tokens = min(tokens, model.context_length)
    return _cost(model, tokens, draft.max_output_tokens, with_images=True)


def least_cost_usd(draft: Draft, model: Model) -> Decimal:
    """Compute what nearly every call costs at least: the fewest tokens of the template, and the shortest answer."""
    tokens = len(draft.template) // model_fit.MOST_CHARACTERS_PER_TOKEN
    return _cost(model, tokens, _LEAST_OUTPUT_TOKENS, with_images=False)


def refuse_unsupported(draft: Draft, model: Model) -> None:
    """Refuse a draft that asks for more than the model offers.

    Raises:
        InvalidInput: names `model`, or each field that the model cannot serve.
    """
    if obstacle := _obstacle(model):
        raise InvalidInput({"model": f"{model.id} {obstacle}"})
    problems = {}
    output = "image" if draft.modality == "image" else "text"
    if output not in model.output_modalities:
        problems["modality"] = f"{model.id} makes no {output}, only {', '.join(model.output_modalities)}"
    longest = min(filter(None, (model.max_completion_tokens, model.context_length)), default=draft.max_output_tokens)
    if draft.max_output_tokens > longest:
        problems["max_output_tokens"] = f"{model.id} answers at most {longest} tokens"
    provider = providers.provider_for(model.id)
    if draft.temperature is not None and draft.temperature > provider.most_temperature:
        problems["temperature"] = f"{provider.title} takes at most {provider.most_temperature}"
    if draft.zdr and not provider.routes:
        problems["zdr"] = (
            f"{provider.title} cannot be asked for it call by call; it is a matter of your contract with them"
        )
    problems |= model_fit.problems(draft, model)
    if problems:
        raise InvalidInput(problems)


def is_certain_loss(draft: Draft, model: Model) -> bool:
    """Whether nearly every call costs more than the price."""
    return least_cost_usd(draft, model) > _usd(draft)


def refuse_certain_loss(draft: Draft, model: Model) -> None:
    """Refuse a draft if nearly every call would cost more than the price.

    Raises:
        InvalidInput: names `price_usdc`, with both numbers.
    """
    if is_certain_loss(draft, model):
        least = dollars(least_cost_usd(draft, model))
        raise InvalidInput(
            {
                "price_usdc": f"the template and the shortest answer already cost about ${least}, "
                f"more than the price of {usdc(draft.price_atomic)} USDC; raise it, or publish with allow-loss"
            }
        )


def warnings(draft: Draft, model: Model) -> list[str]:
    """Warn the creator, in sentences, of what may be unintended."""
    parameters = {"temperature": draft.temperature is not None, "response_format": draft.modality == "json"}
    sentences = [
        f"{model.id} does not list {name}, so the provider may ignore it"
        for name, is_used in parameters.items()
        if is_used and name not in model.supported_parameters
    ]
    if model.expires_on is not None:
        sentences.append(f"{model.id} is served until {model.expires_on} only; publish on another model before that")
    if draft.answer_schema is not None:
        sentences += _schema_warnings(draft.answer_schema, model)
    sentences += model_fit.warnings(draft, model)
    worst = worst_cost_usd(draft, model)
    if worst > _usd(draft):
        sentences.append(
            f"A call can cost you up to ${dollars(worst)}, but sells for {usdc(draft.price_atomic)} USDC; "
            "fewer max_output_tokens, a max_length for each parameter or a higher price narrow the gap"
        )
    return sentences


def _obstacle(model: Model) -> str | None:
    """Say why nothing can be published on this model, as the end of a sentence. Agrees with SQL's `model_obstacle`."""
    now = datetime.now(UTC)
    if model.disabled:
        return "cannot be sold (disabled by the operator)"
    if model.alias_target is not None:
        return f"cannot be sold (alias): write what it stands for today, {model.alias_target}"
    if model.not_sellable is not None:
        return f"cannot be sold ({model.not_sellable})"
    if model.missing_since is not None and model.missing_since < now - ABSENCE_TOLERATED:
        return "is no longer in the provider's catalog"
    if model.expires_on is not None and model.expires_on < now.date():
        return f"was served until {model.expires_on} only"
    return None


def _schema_warnings(schema: str, model: Model) -> list[str]:
    if "structured_outputs" not in model.supported_parameters:
        return [f"{model.id} is not held to the schema but asked to fit it, and an answer that does not is a failure"]
    if not is_strict(schema):
        return [
            "The model is asked to fit the schema, but not held to it word by word: that needs additionalProperties "
            "false and every property required in each object, and no oneOf, allOf or prefixItems"
        ]
    return []


def _cost(model: Model, prompt_tokens: int, output_tokens: int, *, with_images: bool) -> Decimal:
    if model.prompt_usd is None or model.completion_usd is None:
        raise ValueError("a price is unknown, so the cost is")
    image = model.image_output_usd if with_images else None
    per_output = max(model.completion_usd, image or Decimal(0))
    # Catalog prices may have more digits than the default context keeps, and nothing may be rounded.
    with localcontext(prec=400):
        return prompt_tokens * model.prompt_usd + output_tokens * per_output + (model.request_usd or Decimal(0))


def _most_prompt_bytes(draft: Draft) -> int:
    """Sum the template and all that buyers may add: value by value, or bounded by the limit for all values together."""
    config = settings()
    value_limit = config.value_limit
    inputs_bytes = config.inputs_limit * _BYTES_PER_CHARACTER
    uses = [
        (
            draft.template.count(f"{{{parameter.name}}}"),
            len((parameter.default or "").encode()),
            parameter.most_characters(value_limit) * _BYTES_PER_CHARACTER,
        )
        for parameter in draft.parameters
    ]
    by_value = sum(count * max(value_bytes, default) for count, default, value_bytes in uses)
    by_total = sum(count * default for count, default, _ in uses) + inputs_bytes * max(
        (count for count, _, _ in uses), default=0
    )
    if draft.allows_user_message:
        by_value += value_limit * _BYTES_PER_CHARACTER
        by_total += inputs_bytes
    # Counted twice, in the prompt and as a parameter: providers do not document which of them they charge for.
    schema_bytes = 2 * len((draft.answer_schema or "").encode())
    return len(draft.template.encode()) + schema_bytes + _FRAME_BYTES + min(by_value, by_total)


def _usd(draft: Draft) -> Decimal:
    """The price in dollars; one USDC counts as one dollar."""
    return Decimal(draft.price_atomic).scaleb(-6)
