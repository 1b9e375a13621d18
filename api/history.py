"""Serve a creator's calls: each one with advice on failures, and reports on all of them."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, get_args
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response
from pydantic.alias_generators import to_camel

from api import documents, records
from api.authentication import Creator
from api.bodies import NAME
from api.door import LimitedDoor
from core import db
from core.amounts import usdc
from core.db.states import ExecutionKind, ExecutionState
from core.executions import advice
from core.executions import views as execution_views
from core.failures import InvalidInput
from core.providers import registry as providers
from core.reporting import report as usage_report

router = APIRouter(prefix="/me", tags=["creators"])

_MOST = 50
_STATES: tuple[ExecutionState, ...] = get_args(ExecutionState)
_KINDS: tuple[ExecutionKind, ...] = get_args(ExecutionKind)
_NO_STORE = {"Cache-Control": "no-store"}
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_AS_CSV: dict[int | str, dict[str, object]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
_DAY: dict[str, object] = {"anyOf": [{"format": "date"}, {"const": ""}]}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which executions are asked for: of one state, of one resource, those after one; None: any."""

    state: ExecutionState | None
    slug: str | None
    after: UUID | None


def _one_of(*values: str) -> dict[str, object]:
    """Describe a query parameter whose values our own sentences refuse."""
    return {"enum": list(values)}


def _like(pattern: str) -> dict[str, object]:
    return {"pattern": f"^({pattern})?$"}


@router.get(
    "/executions",
    summary="What was bought, and what became of it",
    response_model=records.History,
    responses=documents.problems(400, 401, 403, 429, 503),
)
async def executions(
    door: LimitedDoor,
    creator: Creator,
    state: Annotated[str, Query(description="only these", json_schema_extra=_one_of("", *_STATES))] = "",
    slug: Annotated[str, Query(description="only of this resource", json_schema_extra=_like(NAME.pattern))] = "",
    after: Annotated[str, Query(description="`next` of the page before", json_schema_extra=_like(_UUID))] = "",
) -> Response:
    """Newest first, fifty at a time; never an input or an answer. Failures say whose fault it was and what to do."""
    filters = read_filters(state, slug, after)
    async with db.acting_for(door.pool, creator.id) as conn:
        page = await execution_views.history(
            conn, creator.id, state=filters.state, slug=filters.slug, after=filters.after, most=_MOST + 1
        )
    rows, more = page[:_MOST], page[_MOST:]
    document = {"executions": [execution_document(row) for row in rows], "next": rows[-1].id if more else None}
    return JSONResponse(jsonable_encoder(document), headers=_NO_STORE)


@router.get(
    "/usage",
    summary="What you sold, earned and spent",
    response_model=records.UsageReport,
    responses=documents.problems(400, 401, 403, 429, 503) | _AS_CSV,
)
async def usage(
    door: LimitedDoor,
    creator: Creator,
    by: Annotated[str, Query(description="what makes a row", json_schema_extra=_one_of(*usage_report.BY))] = "day",
    since: Annotated[
        str, Query(description="the first day (UTC); default the last 30 days", json_schema_extra=_DAY)
    ] = "",
    until: Annotated[
        str, Query(description="the day after the last; default all of today", json_schema_extra=_DAY)
    ] = "",
    kind: Annotated[
        str,
        Query(description="paid: only what was bought; test: only your tests", json_schema_extra=_one_of("", *_KINDS)),
    ] = "",
    form: Annotated[
        str, Query(alias="format", description="csv: only the rows", json_schema_extra=_one_of("json", "csv"))
    ] = "json",
) -> Response:
    """Calls, revenue, cost, refunds and times, as of now, and why calls failed."""
    if form not in ("json", "csv"):
        raise InvalidInput({"format": "must be json or csv"})
    first, end, only = read_day("since", since), read_day("until", until), _kind(kind)
    async with db.snapshot(door.pool) as conn:
        await db.act_for(conn, creator.id)
        report = await usage_report.report(conn, creator.id, by=by, since=first, until=end, kind=only)
    if form == "csv":
        headers = _NO_STORE | {"Content-Disposition": 'attachment; filename="usage.csv"'}
        return Response(usage_report.as_csv(report), media_type="text/csv", headers=headers)
    document = {
        "since": report.since,
        "until": report.until,
        "completeUntil": report.complete_until,
        "inProgress": report.in_progress,
        "rows": [_figures(row) for row in report.rows],
        "total": report.total and _figures(report.total),
        "causes": report.causes,
    }
    return JSONResponse(jsonable_encoder(document), headers=_NO_STORE)


def _figures(row: usage_report.Figures) -> dict[str, object]:
    return {to_camel(name): value for name, value in usage_report.document(row).items()}


def read_filters(state: str, slug: str, after: str) -> Filters:
    """Read the filters of a history; an empty text is none.

    Raises:
        InvalidInput: names `state`, `slug` or `after`.
    """
    if slug and not NAME.fullmatch(slug):
        raise InvalidInput({"slug": "must be the slug of a resource"})
    return Filters(_state(state), slug or None, _id(after))


def _state(text: str) -> ExecutionState | None:
    for state in _STATES:
        if state == text:
            return state
    if text:
        raise InvalidInput({"state": f"must be one of: {', '.join(_STATES)}"})
    return None


def _kind(text: str) -> ExecutionKind | None:
    for kind in _KINDS:
        if kind == text:
            return kind
    if text:
        raise InvalidInput({"kind": f"must be one of: {', '.join(_KINDS)}"})
    return None


def read_day(name: str, text: str) -> date | None:
    """Read a day of a query; None if the text is empty.

    Raises:
        InvalidInput: names it.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        pass
    raise InvalidInput({name: "must be a day, as 2026-01-31"})


def _id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        pass
    raise InvalidInput({"after": "must be `next` of the page before"})


def execution_document(row: execution_views.HistoryRow) -> dict[str, object]:
    """Build what `records.Execution` describes."""
    return {
        "id": row.id,
        "slug": row.slug,
        "version": row.number,
        "kind": row.kind,
        "state": row.state,
        "code": row.code,
        "fault": row.fault,
        "detail": row.detail,
        "advice": advice.advice_for(row.detail, row.fault, [providers.provider_for(row.model_id).name]),
        "truncated": row.truncated,
        "leak": row.leak,
        "round": row.round,
        "sends": row.sends,
        "createdAt": row.created_at,
        "finishedAt": row.finished_at,
        "paidUsdc": None if row.amount_atomic is None else usdc(row.amount_atomic),
        "network": row.network,
        "transaction": row.transaction,
        "refund": row.refund,
        "model": row.model_served,
        "inputTokens": row.input_tokens,
        "outputTokens": row.output_tokens,
        "costUsd": None if row.cost_usd is None else str(row.cost_usd),
    }
