"""Serve each product's record of the last 30 days."""

from datetime import datetime
from decimal import Decimal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from api import documents
from api.bodies import Name
from api.door import RECORD_SECONDS, LimitedDoor
from core.amounts import usdc
from core.payments import offers, receipts
from core.reporting import record
from core.resources import versions

router = APIRouter(tags=["buyers"])


class Price(BaseModel):
    """What the product was on offer for, from then on."""

    since: datetime
    version: int
    priceUsdc: str


class ProductRecord(BaseModel):
    """The paid calls of a product, counted from its usage log. Its creator cannot change them."""

    product: str = Field(description="the product's URL")
    days: int
    since: datetime = Field(description="the beginning of the first day (UTC)")
    asOf: datetime = Field(description="when this was counted (UTC)")
    calls: int = Field(description="calls at rest; a free re-run is a call of its own")
    succeeded: int
    truncated: int = Field(description="of the succeeded, those whose answer was cut off")
    declined: int = Field(description="refused for the buyer's inputs; they count as answered")
    failed: int
    refunded: int = Field(description="calls that stayed unanswered and were paid back")
    owed: int = Field(description="calls that stayed unanswered and are still to be paid back")
    success: str | None = Field(description="share of whole answers, of the calls that were not declined")
    p50Ms: int | None = Field(description="from the request until the answer, within 9.1 %")
    p95Ms: int | None
    prices: list[Price] = Field(description="the offers in turn, from the one that stood at the beginning")
    jws: str = Field(description="all of this, signed with a key of receipts")


@router.get(
    "/@{handle}/{slug}/record",
    summary="What a product did in the last 30 days",
    response_model=ProductRecord,
    responses=documents.problems(404, 429, 503),
)
async def show(door: LimitedDoor, handle: Name, slug: Name) -> JSONResponse:
    """It equals the usage log, row by row, and is at most a minute old."""
    version = (await door.offered(handle, slug)).version
    measured = await door.record_of(version.resource_id)
    told = document(version, measured)
    signed = receipts.sign({"iss": receipts.did()} | told, receipts.RECORD_KIND)
    return JSONResponse(told | {"jws": signed}, headers={"Cache-Control": f"public, max-age={RECORD_SECONDS}"})


def document(version: versions.Version, measured: record.Record) -> dict[str, object]:
    """Write a record as JSON, as `ProductRecord` describes it, unsigned."""
    share = measured.success
    return {
        "product": offers.url_of(version),
        "days": record.DAYS,
        "since": measured.since.isoformat(),
        "asOf": measured.as_of.isoformat(),
        "calls": measured.calls,
        "succeeded": measured.succeeded,
        "truncated": measured.truncated,
        "declined": measured.declined,
        "failed": measured.failed,
        "refunded": measured.refunded,
        "owed": measured.owed,
        "success": None if share is None else str(share.quantize(Decimal("0.0001"))),
        "p50Ms": measured.p50_ms,
        "p95Ms": measured.p95_ms,
        "prices": [
            {"since": one.since.isoformat(), "version": one.version, "priceUsdc": usdc(one.price_atomic)}
            for one in measured.prices
        ],
    }
