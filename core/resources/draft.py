"""Define and validate a draft: a prompt as its creator describes it, before it is published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    ValidationError,
)

from core.amounts import atomic_usdc
from core.db.states import InputsIn, Modality, PromptShield, ReasoningEffort
from core.failures import InvalidInput
from core.providers.answer_schema import read_schema
from core.resources import attachments, field_errors, short_text, template
from core.resources.attachments import BYTES_LIMIT
from core.resources.parameters import Parameter
from core.resources.provider_choice import ProviderChoice
from core.settings import settings

PARAMETER_LIMIT = 64
TAG_LIMIT = 8
LEAST_OUTPUT_TOKENS = 16
CAPS = ("daily_spend_cap_usd", "monthly_spend_cap_usd", "most_per_call_usd")
_EXAMPLE_LIMIT = 10_000
RESERVED = frozenset({"mcp", "status"})
"""Slugs that no prompt has: an address of its own, and a tool that every creator has there."""


def _no_float(value: object) -> object:
    """Refuse floats, because JSON or YAML parsing has already rounded them."""
    if isinstance(value, float):
        raise ValueError('write it in quotes, such as "0.01": a floating-point number is not exact')
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_price(text: str) -> str:
    atomic_usdc(text)
    return text


Line = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(short_text.one_line)]


def _is_free(slug: str) -> str:
    if slug in RESERVED:
        raise ValueError(f"must not be {slug}, which is an address of its own")
    return slug


def _is_icon(url: str) -> str:
    problem = attachments.url_problem(url) if url.startswith("https://") else "must be an https:// address"
    if problem is not None:
        raise ValueError(problem)
    return url


def _differ(tags: tuple[str, ...]) -> tuple[str, ...]:
    if len({*tags}) < len(tags):
        raise ValueError("names a tag twice")
    return tags


def _is_scalar(value: object) -> object:
    if not isinstance(value, str | int | float):
        raise ValueError("must be text, a number, true or false")
    return value


Usd = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6, allow_inf_nan=False)]
Cap = Annotated[Usd | None, BeforeValidator(_no_float)]
Tag = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=30)]


class Example(BaseModel):
    """Inputs, and the answer to them, which buyers see before they pay.

    Attributes:
        inputs: as a buyer would send them, without pictures and files.
        answer: what the model answered, as text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    inputs: dict[str, Annotated[object, AfterValidator(_is_scalar)]] = {}
    answer: str = Field(min_length=1, max_length=_EXAMPLE_LIMIT)


class Draft(BaseModel):
    """A resource as its creator describes it; see docs/creators.md.

    Attributes:
        slug: the last part of its URL, for ever.
        model: the model's id in the catalog.
        fallbacks: ids of models to ask, in this order, while the one before is unavailable; all at the same provider.
        template: the prompt with `{name}{/name}` for inputs. No page or route shows it to buyers; `prompt_shield` says
            what happens to an answer that does.
        max_output_tokens: the most tokens of one answer, reasoning included.
        reasoning_effort: how hard the model reasons before it answers; None: as it does by itself.
        prompt_shield: watch counts the answers that give the template away, block withholds them, off does not look.
            Watch and block mark buyers' values as data.
        inputs_in: where buyers' values stand: at their tags in the template, or all in the user turn.
        zdr: zero data retention: only providers that keep nothing of a call.
        providers: which of the providers behind a router may serve a call; None: any.
        answer_schema: JSON Schema of every answer, as from `core.providers.answer_schema.read_schema`; only for json.
        truncated_from_characters: from how many characters on a text that is cut off at max_output_tokens is delivered,
            and counts as answered; None: it is a failure.
        timeout_seconds: the time after which a call fails.
        daily_spend_cap_usd: the most that this prompt may cost on models in one UTC day; None: no cap of its own.
        monthly_spend_cap_usd: the same in one UTC month.
        most_per_call_usd: the most that one call may cost; a version that can cost more is not sold.
        price_usdc: the price of one call in USDC, as text: `0.01`.
        tags: words that buyers find it by.
        icon: https address of a picture for lists; nobody here fetches it.
        example: inputs and an answer that buyers see; None: none.
        listed: whether lists, searches and manifests name it; if not, it is sold to whoever knows its address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    slug: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60), AfterValidator(_is_free)]
    title: Line = Field(min_length=1, max_length=100)
    description: Annotated[str, AfterValidator(short_text.lines)] = Field(default="", max_length=500)
    modality: Modality = "text"
    model: Line = Field(min_length=1, max_length=200)
    fallbacks: tuple[Annotated[Line, Field(min_length=1, max_length=200)], ...] = Field(default=(), max_length=4)
    template: str = Field(min_length=1, max_length=100_000, repr=False)
    parameters: tuple[Parameter, ...] = Field(default=(), max_length=PARAMETER_LIMIT)
    allows_user_message: StrictBool = False
    max_output_tokens: int = Field(default=4096, ge=LEAST_OUTPUT_TOKENS, le=128_000)
    temperature: Decimal | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    timeout_seconds: int = Field(default=120, ge=5, le=600)
    reasoning_effort: ReasoningEffort | None = None
    # Nothing is withheld that its creator did not ask for; but they learn whether their prompt leaks.
    prompt_shield: PromptShield = "watch"
    inputs_in: InputsIn = "template"
    zdr: StrictBool = False
    providers: ProviderChoice | None = None
    answer_schema: Annotated[str | None, BeforeValidator(read_schema)] = None
    truncated_from_characters: int | None = Field(default=None, ge=100, le=1_000_000)
    daily_spend_cap_usd: Cap = None
    monthly_spend_cap_usd: Cap = None
    most_per_call_usd: Cap = None
    price_usdc: Annotated[str, BeforeValidator(_no_float), AfterValidator(_is_price)]

    tags: Annotated[tuple[Tag, ...], AfterValidator(_differ)] = Field(default=(), max_length=TAG_LIMIT)
    icon: Annotated[str, Field(max_length=500), AfterValidator(_is_icon)] | None = None
    example: Example | None = None
    listed: StrictBool = True

    @property
    def price_atomic(self) -> int:
        """The price in atomic USDC."""
        return atomic_usdc(self.price_usdc)

    @property
    def caps(self) -> dict[str, Decimal | None]:
        """The caps by name, which belong to the resource and to no version."""
        return {name: getattr(self, name) for name in CAPS}


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a document.

    Attributes:
        draft: the draft; a field that is wrong has a stand-in, so that the others can be checked.
        problems: one sentence for each wrong field, never quoting its value.
        wrong: the top-level names of the wrong fields.
    """

    draft: Draft
    problems: dict[str, str]
    wrong: frozenset[str]


def read(values: Mapping[str, object]) -> Draft:
    """Build a draft from the values of a file or a request body.

    Raises:
        InvalidInput: one sentence per wrong field, never quoting its value.
    """
    reading = read_all(values)
    if reading.problems:
        raise InvalidInput(reading.problems)
    return reading.draft


def read_all(values: Mapping[str, object]) -> Reading:
    """Read as much of a document as there is. `$schema`, by which editors know its form, is left out."""
    given: dict[str, object] = {name: value for name, value in values.items() if name != "$schema"}
    problems, paths = dict[str, str](), list[tuple[int | str, ...]]()
    try:
        draft = Draft.model_validate(given)
    except ValidationError as error:
        problems, paths = field_errors.sentences(Draft, error), field_errors.paths(error)
    wrong = frozenset(str(path[0]) for path in paths)
    if problems:
        right = {name: given[name] for name in Draft.model_fields if name in given and name not in wrong}
        draft = Draft.model_validate(right | _stand_ins(given, paths, wrong))
    for field, sentence in _problems_between(draft).items():
        if field.partition(".")[0] not in wrong:
            problems[field] = sentence
    return Reading(draft, problems, wrong | {field.partition(".")[0] for field in problems})


def _stand_ins(
    given: Mapping[str, object], paths: Sequence[tuple[int | str, ...]], wrong: frozenset[str]
) -> dict[str, object]:
    stand_ins: dict[str, object] = {"slug": "x", "title": "x", "model": "x/x", "template": "x", "price_usdc": "1"}
    parameters = given.get("parameters")
    if "parameters" in wrong and isinstance(parameters, list) and len(parameters) <= PARAMETER_LIMIT:
        bad = {path[1] for path in paths if path[0] == "parameters" and len(path) > 1}
        stand_ins["parameters"] = [
            {"name": _name_of(one)} if index in bad else one for index, one in enumerate(parameters)
        ]
    return {name: value for name, value in stand_ins.items() if name in wrong}


def _name_of(parameter: object) -> str:
    name = parameter.get("name") if isinstance(parameter, dict) else None
    return name if isinstance(name, str) else "x"


def _problems_between(draft: Draft) -> dict[str, str]:
    """Name each field that does not go with the others, or with the limits of this installation."""
    problems: dict[str, str] = {}
    if draft.answer_schema is not None and draft.modality != "json":
        problems["answer_schema"] = "answer_schema needs the modality json"
    if len({draft.model, *draft.fallbacks}) <= len(draft.fallbacks):
        problems["fallbacks"] = "model and fallbacks name a model twice"
    if draft.truncated_from_characters is not None and draft.modality != "text":
        problems["truncated_from_characters"] = "truncated_from_characters needs the modality text"
    if draft.inputs_in == "user" and draft.prompt_shield == "off":
        problems["inputs_in"] = "inputs_in user needs the prompt_shield watch or block"
    file_limit = settings().file_limit
    for index, parameter in enumerate(draft.parameters):
        problems |= {f"parameters.{index}.{name}": told for name, told in _parameter_problems(parameter).items()}
    if sum(parameter.most_bytes(file_limit) for parameter in draft.parameters) > BYTES_LIMIT:
        problems["parameters"] = (
            f"pictures and files must have at most {BYTES_LIMIT} bytes together; lower their max_bytes"
        )
    if draft.example is not None and not any(field.startswith("parameters") for field in problems):
        problems |= _example_problems(draft, draft.example)
    return problems


def _parameter_problems(parameter: Parameter) -> dict[str, str]:
    """Limit descriptions, which are in every offer, defaults, which are sent like a buyer's value, and files."""
    limit, file_limit = settings().value_limit, settings().file_limit
    problems = {}
    try:
        short_text.lines(parameter.description)
    except ValueError as wrong:
        problems["description"] = str(wrong)
    if len(parameter.description) > 500:
        problems["description"] = "a parameter's description must have at most 500 characters"
    if (parameter.max_length or 0) > limit:
        problems["max_length"] = f"a parameter's max_length must be at most {limit}"
    elif len(parameter.default or "") > (most := parameter.most_characters(limit)):
        problems["default"] = f"a parameter's default must have at most {most} characters"
    if (parameter.max_bytes or 0) > file_limit:
        problems["max_bytes"] = f"a parameter's max_bytes must be at most {file_limit}"
    return problems


def _example_problems(draft: Draft, example: Example) -> dict[str, str]:
    pictures = {parameter.name for parameter in draft.parameters if attachments.is_kind(parameter.type)}
    if not pictures.isdisjoint(example.inputs):
        return {"example.inputs": "must have no picture and no file"}
    config = settings()
    try:
        template.validate_inputs(
            dict(example.inputs),
            [parameter for parameter in draft.parameters if parameter.name not in pictures],
            allows_user_message=draft.allows_user_message,
            value_limit=config.value_limit,
            inputs_limit=_EXAMPLE_LIMIT,
            file_limit=config.file_limit,
        )
    except InvalidInput as refusal:
        return {f"example.inputs.{name}": sentence for name, sentence in refusal.fields.items()}
    return {}
