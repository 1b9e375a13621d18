"""Compute the least and the most that a call of a draft can cost, and refuse drafts that a model cannot serve."""

from datetime import UTC, datetime
from decimal import Decimal, localcontext

from core.amounts import dollars, usdc
from core.catalog import pictures
from core.catalog.model import ABSENCE_TOLERATED, Charges, Model
from core.catalog.searches import most_searches
from core.failures import InvalidInput
from core.providers import registry as providers
from core.providers.answer_schema import is_strict
from core.providers.request import FILE_TOKENS, FRAME_BYTES
from core.resources import attachments, model_fit, prompt_shield
from core.resources.draft import Draft
from core.resources.template import input_name
from core.settings import settings

# UTF-8 has at most four bytes per character, and no tokenizer makes more than one token of a byte.
_BYTES_PER_CHARACTER = 4
# Some providers refuse a lower limit.
_LEAST_OUTPUT_TOKENS = 16

_WHY = {
    "batch_only": ": it is served in batches only; leave out :batch",
    "free_variant": ": it has a few calls a day for a whole account; leave out :free",
    "images_endpoint": ": it makes pictures alone, and is served elsewhere; choose one that makes text too",
    "router": ": which model answers, and at what price, is not known before",
    "unknown_price": ": what a call costs is not listed",
    "unsupported_modality": ": it does not make text or pictures alone",
    "variant": ": such an ending changes price or behaviour; leave it out",
}
_GAP = {
    False: "fewer max_output_tokens, a max_length for each parameter or a higher price narrow the gap",
    # Few providers count a picture against it.
    True: "a higher price or a cheaper model narrows the gap; max_output_tokens does not bound a picture",
}


def worst_cost_usd(draft: Draft, model: Model) -> Decimal:
    """Compute the most that one call can cost its creator, in US dollars, exactly.

    Every byte of the prompt counts as a token, with inputs at their longest and as often as the template repeats
    them, within the model's context; and the answer takes all its tokens. A picture in the answer is no part of them,
    because their limit does not bound it. A picture in the prompt has as many tokens as any has, a file as many as fit
    into the context. Prices are those of a prompt of that length, and credit at the provider costs its fee.

    Raises:
        ValueError: a price of the model is unknown, which is never so for a sellable model.
    """
    sent = _count(draft, "image")
    of_pictures = sent * pictures.most_input_tokens(model)
    tokens = _most_prompt_bytes(draft) + of_pictures + _count(draft, "file") * FILE_TOKENS
    if model.context_length is not None:
        tokens = min(tokens, model.context_length)
    prices = model.charges_at(tokens)
    prompt, completion = _known(prices)
    image = prices.image_output_usd or Decimal(0)
    input_usd, picture_usd = pictures.input_usd(prices)
    # Catalog prices may have more digits than the default context keeps, and nothing may be rounded.
    with localcontext(prec=400):
        prompt = max(prompt, prices.cache_usd or Decimal(0))
        cost = tokens * prompt + sent * picture_usd + min(tokens, of_pictures) * max(Decimal(0), input_usd - prompt)
        cost += draft.max_output_tokens * max(completion, image)
        if "image" in model.output_modalities:
            cost += pictures.most_tokens(model) * max(completion, image) + (prices.picture_usd or 0)
        cost += (prices.request_usd or 0) + most_searches(model) * (prices.search_usd or 0)
        return cost * _credit(model)


def least_cost_usd(draft: Draft, model: Model) -> Decimal:
    """Compute what nearly every call costs at least: the fewest tokens of the template, and the shortest answer.

    An image prompt has a picture in its answer, and a model that searches unasked searches once. A picture that
    buyers must send costs its own price, where the list has one.
    """
    tokens = len(draft.template) // model_fit.MOST_CHARACTERS_PER_TOKEN
    prices = model.charges_at(tokens)
    prompt, completion = _known(prices)
    image = completion if prices.image_output_usd is None else prices.image_output_usd
    with localcontext(prec=400):
        cost = tokens * prompt + _LEAST_OUTPUT_TOKENS * completion + (prices.request_usd or 0)
        cost += prices.search_usd or 0
        cost += sum(one.required for one in draft.parameters if one.type == "image") * pictures.input_usd(prices)[1]
        if draft.modality == "image":
            # Where both are listed, the price per picture is one of pictures in the prompt.
            cost += pictures.least_tokens(model) * image or (prices.picture_usd or 0)
        return cost * _credit(model)


def usual_cost_usd(draft: Draft, model: Model, input_tokens: Decimal, output_tokens: Decimal) -> Decimal:
    """Compute what a call with so many tokens costs, all that is no token included.

    A model that searches as often as it likes makes half of the searches that are counted at most.
    """
    prices = model.charges_at(int(input_tokens))
    prompt, completion = _known(prices)
    output = max(completion, prices.image_output_usd or Decimal(0))
    with localcontext(prec=400):
        cost = input_tokens * prompt + output_tokens * output + (prices.request_usd or 0)
        cost += max(1, most_searches(model) // 2) * (prices.search_usd or 0)
        cost += _count(draft, "image") * pictures.input_usd(prices)[1]
        return cost * _credit(model)


def refuse_unsupported(draft: Draft, model: Model) -> None:
    """Refuse a draft that asks for more than the model offers.

    Raises:
        InvalidInput: names `model`, or each field that the model cannot serve.
    """
    if obstacle := _obstacle(model):
        raise InvalidInput({"model": f"{model.id} {obstacle}"})
    provider = providers.provider_for(model.id)
    if not provider.is_configured:
        raise InvalidInput({"model": f"{model.id} cannot be sold: {provider.name} is no provider here any more"})
    problems = {}
    output = "image" if draft.modality == "image" else "text"
    if output not in model.output_modalities:
        problems["modality"] = f"{model.id} makes no {output}, only {', '.join(model.output_modalities)}"
    longest = min(filter(None, (model.max_completion_tokens, model.context_length)), default=draft.max_output_tokens)
    if draft.max_output_tokens > longest:
        problems["max_output_tokens"] = f"{model.id} answers at most {longest} tokens"
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
    if model.missing_since is not None and model.successor is not None:
        sentences.append(f"{model.id} is not listed any more; its name is {model.successor} now, so publish on that")
    if model.expires_on is not None:
        sentences.append(f"{model.id} is served until {model.expires_on} only; publish on another model before that")
    if draft.answer_schema is not None:
        sentences += _schema_warnings(draft.answer_schema, model)
    sentences += model_fit.warnings(draft, model)
    worst = worst_cost_usd(draft, model)
    if worst > _usd(draft):
        sentences.append(
            f"A call can cost you up to ${dollars(worst)}, but sells for {usdc(draft.price_atomic)} USDC; "
            + _GAP["image" in model.output_modalities]
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
        return f"cannot be sold ({model.not_sellable}){_WHY.get(model.not_sellable, '')}"
    if model.missing_since is not None and model.missing_since < now - ABSENCE_TOLERATED:
        successor = f": its name is {model.successor} now" if model.successor else ""
        return f"is no longer in the provider's catalog{successor}"
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


def _known(prices: Charges) -> tuple[Decimal, Decimal]:
    if prices.prompt_usd is None or prices.completion_usd is None:
        raise ValueError("a price is unknown, so the cost is")
    return prices.prompt_usd, prices.completion_usd


def _credit(model: Model) -> Decimal:
    """What a dollar of credit costs at the model's provider, in dollars."""
    return 1 + providers.provider_for(model.id).credit_percent() / 100


def _most_prompt_bytes(draft: Draft) -> int:
    """Sum the template and all that buyers may add: value by value, or bounded by the limit for all values together."""
    config = settings()
    value_limit = config.value_limit
    inputs_bytes = config.inputs_limit * _BYTES_PER_CHARACTER
    texts = [parameter for parameter in draft.parameters if not attachments.is_kind(parameter.type)]
    uses = [
        (
            draft.template.count(f"{{{parameter.name}}}"),
            len((parameter.default or "").encode()),
            parameter.most_text_bytes(value_limit),
        )
        for parameter in texts
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
    # For each use in the template, and before the picture or file itself.
    marker_bytes = sum(
        len(attachments.marker(one.type, one.name)) * (1 + draft.template.count(f"{{{one.name}}}"))
        for one in draft.parameters
        if attachments.is_kind(one.type)
    )
    if draft.prompt_shield != "off" and draft.inputs_in == "user":
        # Also of a parameter without a tag.
        by_value += sum(largest for count, _, largest in uses if not count)
        by_total = max(by_total, inputs_bytes)
    added_bytes = schema_bytes + marker_bytes + shield_bytes(draft) + FRAME_BYTES
    return len(draft.template.encode()) + added_bytes + min(by_value, by_total)


def shield_bytes(draft: Draft) -> int:
    """Count the bytes that a prompt shield adds to a prompt: what it says, and a marker around each use of an input."""
    if draft.prompt_shield == "off":
        return 0
    texts = [parameter.name for parameter in draft.parameters if not attachments.is_kind(parameter.type)]
    uses = [(name, draft.template.count(f"{{{name}}}")) for name in texts]
    # In the user turn a value stands once, and its name once more.
    return prompt_shield.DECLARATION_BYTES + sum(
        prompt_shield.MARKERS_BYTES * max(1, count) + (count + 1) * len(input_name(name)) + 3 for name, count in uses
    )


def _count(draft: Draft, kind: attachments.Kind) -> int:
    return sum(parameter.type == kind for parameter in draft.parameters)


def _usd(draft: Draft) -> Decimal:
    """The price in dollars; one USDC counts as one dollar."""
    return Decimal(draft.price_atomic).scaleb(-6)
