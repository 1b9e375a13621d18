"""Try a prompt: its owner's test, which runs as a sale does, and what it cost and would leave."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api import answers
from api.authentication import Identity, Publisher
from api.bodies import Name
from api.door import Door, LimitedDoor
from api.pages.desk.visits import DESK, back, desk_page
from api.pages.executions import REFRESH_SECONDS, STATES, shown_result
from api.pages.forms import read_form
from api.pages.products import input_fields
from api.resources import VersionQuery, number_of
from core import db
from core.accounts import authentication
from core.executions import own_tests
from core.executions import views as execution_views
from core.failures import InvalidInput, NotFound, OwnTestRefused
from core.resources import editing, versions

router = APIRouter(include_in_schema=False)

_TRY: Final = f"{DESK}/products/{{slug}}/try"


@router.get(_TRY)
async def form(
    request: Request,
    door: LimitedDoor,
    creator: Publisher,
    identity: Identity,
    slug: Name,
    version: VersionQuery = "",
) -> Response:
    """The inputs that a buyer would fill in, of the draft, or of what is on offer if there is none."""
    async with db.acting_for(door.pool, creator.id) as conn:
        tried = (await editing.find(conn, creator.id, slug, number=number_of(version))).version
    return _form(request, identity, tried, {field.name: field.sample for field in input_fields(tried)}, {})


@router.post(_TRY)
async def begin(
    request: Request,
    door: LimitedDoor,
    creator: Publisher,
    identity: Identity,
    slug: Name,
    version: VersionQuery = "",
) -> Response:
    """Queue the test, and go to its page."""
    async with db.acting_for(door.pool, creator.id) as conn:
        tried = (await editing.find(conn, creator.id, slug, number=number_of(version))).version
    # A file is typed as a data: URL, in which the form writes more characters than JSON does.
    typed = await read_form(request, 2 * versions.body_limit(tried))
    names = [parameter.name for parameter in tried.parameters] + ["user_message"]
    inputs = {name: value for name in names if (value := typed.raw(name))}
    if typed.text("do") == "again":
        return _form(request, identity, tried, inputs, {})
    try:
        async with db.acting_for(door.pool, creator.id) as conn:
            test = await own_tests.begin(conn, tried, inputs, is_streamed=True)
    except InvalidInput as refusal:
        return _form(request, identity, tried, inputs, refusal.fields)
    except OwnTestRefused as refused:
        return _form(request, identity, tried, inputs, {"": f"The test cannot run now. {refused.advice}"})
    return back(f"{DESK}/tests/{test.id}")


@router.get(f"{DESK}/tests/{{execution_id}}")
async def show(
    request: Request, door: LimitedDoor, creator: Publisher, identity: Identity, execution_id: UUID
) -> Response:
    """How a test goes, and went."""
    row, tried, report = await _read(door, creator.id, execution_id)
    is_answered = row.state == "succeeded" and row.content_deleted_at is None
    return desk_page(
        request,
        identity,
        "test.html",
        row=row,
        version=tried,
        state=STATES[row.state],
        is_waiting=row.finished_at is None,
        status_url=answers.url_of(row.id),
        refresh=REFRESH_SECONDS,
        answer=shown_result(tried, execution_views.open_result(row)) if is_answered else None,
        report=report,
    )


async def _read(
    door: Door, account_id: UUID, execution_id: UUID
) -> tuple[execution_views.Execution, versions.Version, own_tests.Report]:
    """Read a test of this creator.

    Raises:
        NotFound: there is none.
    """
    async with db.acting_for(door.pool, account_id) as conn:
        row = await execution_views.read(conn, execution_id)
        if row is None or row.account_id != account_id or row.kind != "test":
            raise NotFound
        tried = await versions.version(conn, row.version_id)
        return row, tried, await own_tests.report(conn, tried, row)


def _form(
    request: Request,
    identity: authentication.Identity,
    tried: versions.Version,
    typed: dict[str, str],
    wrong: dict[str, str],
) -> Response:
    return desk_page(
        request,
        identity,
        "try.html",
        status=400 if wrong else 200,
        version=tried,
        fields=input_fields(tried),
        typed=typed,
        wrong=wrong,
    )
