"""Estimate what a call of a draft costs, on its own model and on cheaper ones.

Functions take a connection and do not commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Literal, Protocol
from uuid import UUID

from core import db
from core.amounts import LEAST_PRICE_ATOMIC
from core.catalog import search as catalog
from core.catalog.model import Model
from core.catalog.search import Filters
from core.db.queries.estimate import sql
from core.failures import InvalidInput
from core.resources import attachments, fallbacks, model_fit, token_ratios
from core.resources.call_cost import least_cost_usd, refuse_unsupported, shield_bytes, usual_cost_usd, worst_cost_usd
from core.resources.draft import LEAST_OUTPUT_TOKENS, Draft
from core.resources.token_ratios import TokenRatios

CHEAPER = 5

# Fewer calls may all be alike.
_LEAST_CALLS = 5
# Rules of thumb where no call was made yet.
_VALUE_CHARACTERS = 200
# A price that leaves more of itself is no price that anybody pays.
_MOST_MARGIN = Decimal("0.999")
_TOKENS = {"image": 1_000, "file": 5_000}

Basis = Literal["usage", "estimate"]


class _Priced(Protocol):
    @property
    def prompt_usd(self) -> Decimal | None: ...
    @property
    def completion_usd(self) -> Decimal | None: ...
    @property
    def image_output_usd(self) -> Decimal | None: ...
    @property
    def request_usd(self) -> Decimal | None: ...


@dataclass(frozen=True, slots=True)
class Usual:
    """The tokens of a usual call.

    Attributes:
        basis: measured on calls of the last 30 days, or estimated from the draft.
        calls: how many calls were measured; 0 for an estimate.
        error: half of the logged calls cost at most this share more or less than such an estimate; None if too few were
            logged, or if it is none.
        error_calls: how many calls say so.
    """

    basis: Basis
    calls: int
    input_tokens: Decimal
    output_tokens: Decimal
    error: Decimal | None = None
    error_calls: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call costs its creator on one model, in US dollars.

    Attributes:
        least_usd: what nearly every call costs at least.
        typical_usd: what a usual call costs.
        worst_usd: the most that a call can cost.
        price_atomic: the lowest price, in atomic USDC, at which a usual call leaves the margin; None if none was named.
        safe_price_atomic: the lowest price at which the dearest call leaves it.
    """

    model_id: str
    least_usd: Decimal
    typical_usd: Decimal
    worst_usd: Decimal
    price_atomic: int | None
    safe_price_atomic: int | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a draft costs on its model, and on up to five cheaper ones, the best first.

    Attributes:
        max_output_tokens: of the draft; if it names none, the smaller of the default and what its model can answer.
    """

    max_output_tokens: int
    usual: Usual
    on_its_model: Cost
    cheaper: tuple[Cost, ...]


async def estimate(conn: db.Connection, account_id: UUID, draft: Draft, *, margin: Decimal | None = None) -> Estimate:
    """Estimate the cost of a call of this draft. Nothing is published, and no model is called.

    The best cheaper models are those that can serve the draft and whose usual call costs less: recommended ones first,
    then the newest.

    Args:
        conn: the transaction.
        account_id: the creator; calls of their resource with this slug say what a usual call uses.
        draft: the prompt.
        margin: the share of the price to keep, from 0 to 0.999.

    Raises:
        InvalidInput: names `margin`, `model`, `fallbacks.N` or each field that the model cannot serve.
    """
    if margin is not None and not (margin.is_finite() and 0 <= margin <= _MOST_MARGIN):
        raise InvalidInput({"margin": f"must be a share of the price, from 0 to {_MOST_MARGIN}, such as 0.3"})
    draft = await _bounded(conn, draft)
    models, problems = await fallbacks.find_models(conn, draft)
    if problems:
        raise InvalidInput(problems)
    model, *others = models
    usual = await _usual(conn, account_id, draft, model)
    own = _cost(draft, model, usual, margin, others)
    rows, _ = await catalog.page(conn, Filters(sells_as=draft.modality, sort="newest"), most=1000)
    cheaper: list[Cost] = []
    for row in sorted(rows, key=lambda row: not row.curated):
        if len(cheaper) == CHEAPER:
            break
        if row.id == model.id or _tokens_usd(row, usual) >= own.typical_usd:
            continue
        other = await catalog.find(conn, row.id)
        if other is not None and _serves(other, draft):
            cost = _cost(draft, other, usual, margin)
            if cost.typical_usd < own.typical_usd:
                cheaper.append(cost)
    return Estimate(draft.max_output_tokens, usual, own, tuple(cheaper))


async def _bounded(conn: db.Connection, draft: Draft) -> Draft:
    """Lower a default of max_output_tokens that its model cannot answer; one that the draft names stays."""
    model = await catalog.find(conn, draft.model)
    if model is None or "max_output_tokens" in draft.model_fields_set:
        return draft
    most = min(draft.max_output_tokens, model_fit.longest_answer(draft, model))
    return draft.model_copy(update={"max_output_tokens": max(LEAST_OUTPUT_TOKENS, most)})


async def typical_usd(conn: db.Connection, account_id: UUID, draft: Draft, models: Sequence[Model]) -> Decimal:
    """Compute what a usual call costs on the draft's own model, as `estimate` does, in US dollars.

    Args:
        conn: the transaction.
        account_id: the creator.
        draft: the prompt.
        models: that it may call, its own first.
    """
    own, *others = models
    return _cost(draft, own, await _usual(conn, account_id, draft, own), None, others).typical_usd


def _serves(model: Model, draft: Draft) -> bool:
    try:
        refuse_unsupported(draft.model_copy(update={"model": model.id}), model)
    except InvalidInput:
        return False
    return True


def _cost(draft: Draft, model: Model, usual: Usual, margin: Decimal | None, others: Sequence[Model] = ()) -> Cost:
    """Compute the costs on one model; the worst is that of the dearest of it and its fallbacks, as is reserved."""
    least, worst = least_cost_usd(draft, model), worst_cost_usd(draft, model)
    typical = usual_cost_usd(draft, model, usual.input_tokens, usual.output_tokens)
    typical = max(least, min(worst, _rounded(typical)))
    worst = fallbacks.worst_cost_usd(draft, (model, *others))
    price = None if margin is None else lowest_price_atomic(typical, margin)
    safe_price = None if margin is None else lowest_price_atomic(worst, margin)
    return Cost(model.id, least, typical, worst, price, safe_price)


def _tokens_usd(model: _Priced, usual: Usual) -> Decimal:
    """Price the usual tokens at the lowest tier and without anything else: no usual call costs less."""
    prompt, output = model.prompt_usd or Decimal(0), model.completion_usd or Decimal(0)
    output = max(output, model.image_output_usd or Decimal(0))
    with localcontext(prec=60):
        return usual.input_tokens * prompt + usual.output_tokens * output + (model.request_usd or Decimal(0))


def _rounded(usd: Decimal) -> Decimal:
    """Round up to a billionth of a dollar."""
    with localcontext(prec=60):
        return usd.quantize(Decimal("1e-9"), ROUND_CEILING)


def lowest_price_atomic(cost_usd: Decimal, margin: Decimal = Decimal(0)) -> int:
    """Compute the lowest price of which a cost leaves this share. One USDC counts as one dollar."""
    with localcontext(prec=60):
        atomic = (cost_usd.scaleb(6) / (1 - margin)).to_integral_value(ROUND_CEILING)
    return max(LEAST_PRICE_ATOMIC, int(atomic))


async def _usual(conn: db.Connection, account_id: UUID, draft: Draft, model: Model) -> Usual:
    row = await sql.usual_tokens(conn, account_id=account_id, slug=draft.slug, modality=draft.modality)
    if row.calls >= _LEAST_CALLS and row.input_tokens is not None and row.output_tokens is not None:
        return Usual("usage", row.calls, row.input_tokens, row.output_tokens)
    ratios = await token_ratios.read(conn, model)
    tokens, output = _estimated_input(draft, ratios), Decimal(draft.max_output_tokens) / 2
    return Usual("estimate", 0, tokens, output, ratios.error, ratios.calls)


def _estimated_input(draft: Draft, ratios: TokenRatios) -> Decimal:
    """Estimate the tokens of the template with a short value for each use of an input, and of pictures and files."""
    texts = [parameter for parameter in draft.parameters if not attachments.is_kind(parameter.type)]
    uses = sum(draft.template.count(f"{{{parameter.name}}}") for parameter in texts)
    tokens = ratios.tokens_of(draft.template)
    tokens += ratios.tokens(_VALUE_CHARACTERS * (uses + draft.allows_user_message), 0)
    tokens += ratios.tokens(shield_bytes(draft), 0)
    tokens += sum(_TOKENS.get(parameter.type, 0) for parameter in draft.parameters)
    return tokens.to_integral_value(ROUND_CEILING)
