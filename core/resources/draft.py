"""Define and validate a draft: a prompt as its creator describes it, before it is published."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from core.amounts import atomic_usdc
from core.db.states import InputsIn, Modality, PromptShield, ReasoningEffort
from core.failures import InvalidInput
from core.providers.answer_schema import read_schema
from core.resources import short_text
from core.resources.attachments import BYTES_LIMIT
from core.resources.template import Parameter
from core.settings import settings

PARAMETER_LIMIT = 64


def _no_float(value: object) -> object:
    """Refuse floats, because JSON or YAML parsing has already rounded them."""
    if isinstance(value, float):
        raise ValueError('write it in quotes, such as "0.01": a floating-point number is not exact')
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_price(text: str) -> str:
    atomic_usdc(text)
    return text


def _bounded(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Limit descriptions, which are in every offer, defaults, which are sent like a buyer's value, and files."""
    limit, file_limit = settings().value_limit, settings().file_limit
    for parameter in parameters:
        if len(parameter.description) > 500:
            raise ValueError("a parameter's description must have at most 500 characters")
        short_text.lines(parameter.description)
        if (parameter.max_length or 0) > limit:
            raise ValueError(f"a parameter's max_length must be at most {limit}")
        if (parameter.max_bytes or 0) > file_limit:
            raise ValueError(f"a parameter's max_bytes must be at most {file_limit}")
        if len(parameter.default or "") > (most := parameter.most_characters(limit)):
            raise ValueError(f"a parameter's default must have at most {most} characters")
    if sum(parameter.most_bytes(file_limit) for parameter in parameters) > BYTES_LIMIT:
        raise ValueError(f"pictures and files must have at most {BYTES_LIMIT} bytes together; lower their max_bytes")
    return parameters


Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+([-./][a-z0-9]+)*$", max_length=100)]
Slugs = Annotated[tuple[Slug, ...], Field(max_length=16)]


class ProviderChoice(BaseModel):
    """Which of the providers behind a router may serve a call; OpenRouter's `provider` with the same members.

    Attributes:
        only: no others.
        ignore: never these.
        order: these first, in this order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    only: Slugs = ()
    ignore: Slugs = ()
    order: Slugs = ()

    @model_validator(mode="after")
    def _leaves_some(self) -> Self:
        if not self.only and not self.ignore and not self.order:
            raise ValueError("providers needs only, ignore or order")
        if {*self.ignore} & {*self.only, *self.order}:
            raise ValueError("a provider cannot be both ignored and chosen")
        if self.only and not {*self.order} <= {*self.only}:
            raise ValueError("order names a provider that only leaves out")
        return self

    def as_request(self) -> dict[str, list[str]]:
        """The members that say something, as they are sent and shown."""
        return {name: list(slugs) for name, slugs in self if slugs}


Line = Annotated[str, AfterValidator(short_text.one_line)]


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
        price_usdc: the price of one call in USDC, as text: `0.01`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    slug: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    title: Line = Field(min_length=1, max_length=100)
    description: Annotated[str, AfterValidator(short_text.lines)] = Field(default="", max_length=500)
    modality: Modality = "text"
    model: Line = Field(min_length=1, max_length=200)
    fallbacks: tuple[Annotated[Line, Field(min_length=1, max_length=200)], ...] = Field(default=(), max_length=4)
    template: str = Field(min_length=1, max_length=100_000, repr=False)
    parameters: Annotated[tuple[Parameter, ...], AfterValidator(_bounded)] = Field(
        default=(), max_length=PARAMETER_LIMIT
    )
    allows_user_message: bool = False
    max_output_tokens: int = Field(default=4096, ge=16, le=128_000)
    temperature: Decimal | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    timeout_seconds: int = Field(default=120, ge=5, le=600)
    reasoning_effort: ReasoningEffort | None = None
    # Nothing is withheld that its creator did not ask for; but they learn whether their prompt leaks.
    prompt_shield: PromptShield = "watch"
    inputs_in: InputsIn = "template"
    zdr: bool = False
    providers: ProviderChoice | None = None
    answer_schema: Annotated[str | None, BeforeValidator(read_schema)] = None
    truncated_from_characters: int | None = Field(default=None, ge=100, le=1_000_000)
    daily_spend_cap_usd: Annotated[Decimal | None, BeforeValidator(_no_float)] = Field(
        default=None, ge=0, max_digits=12, decimal_places=6, allow_inf_nan=False
    )
    price_usdc: Annotated[str, BeforeValidator(_no_float), AfterValidator(_is_price)]

    @model_validator(mode="after")
    def _only_json_has_a_schema(self) -> Self:
        if self.answer_schema is not None and self.modality != "json":
            raise ValueError("answer_schema needs the modality json")
        return self

    @model_validator(mode="after")
    def _names_each_model_once(self) -> Self:
        if len({self.model, *self.fallbacks}) <= len(self.fallbacks):
            raise ValueError("model and fallbacks name a model twice")
        return self

    @model_validator(mode="after")
    def _only_text_is_cut_off(self) -> Self:
        if self.truncated_from_characters is not None and self.modality != "text":
            raise ValueError("truncated_from_characters needs the modality text")
        return self

    @model_validator(mode="after")
    def _only_a_shield_moves_inputs(self) -> Self:
        if self.inputs_in == "user" and self.prompt_shield == "off":
            raise ValueError("inputs_in user needs the prompt_shield watch or block")
        return self

    @property
    def price_atomic(self) -> int:
        """The price in atomic USDC."""
        return atomic_usdc(self.price_usdc)


def read(values: Mapping[str, object]) -> Draft:
    """Build a draft from the values of a file or a request body.

    Raises:
        InvalidInput: one sentence per wrong field, never quoting its value.
    """
    try:
        return Draft.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
    raise InvalidInput(
        {
            ".".join(map(str, problem["loc"])) or "draft": problem["msg"].removeprefix("Value error, ")
            for problem in problems
        }
    )
