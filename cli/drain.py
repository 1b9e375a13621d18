"""`instant drain`: have processes take no new work, and wait until what they began has ended."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from cyclopts import Parameter

from cli import output
from cli.shared import Json
from core import db
from core.failures import InvalidInput
from core.process import worker
from core.process.worker import Process

_POLL_SECONDS = 0.5
_LOOKS = 2


def drain(
    process: Annotated[str | None, Parameter(help="The id of a worker, or HOST:PID, as the list shows them.")] = None,
    /,
    *,
    kind: Literal["door", "executor", "all"] | None = None,
    wait: Annotated[float, Parameter(help="Seconds to wait; 0: only ask.")] = 600,
    json: Json = False,
) -> int:
    """Have a process take no new work, and wait until its running calls and settlements have ended.

    Without a process and a kind it lists them. A draining door answers `/health/ready` with 503 and sells nothing
    new; a draining executor claims nothing. Both go on until they are stopped; a restart takes it back.

    Exits with 1 if a process was still busy at the end of the wait, or fell silent: others take over what it had.

    Args:
        kind: every door (with its launcher), every executor, or all.
        json: print JSON.
    """
    if process is not None and kind is not None:
        raise InvalidInput({"--kind": "name either a process or a kind"})
    processes, ended = asyncio.run(_drain(process, kind, wait))
    lines = [_line(one) for one in processes]
    if json:
        output.document(lines)
    else:
        output.table(lines, empty="No door and no executor runs.")
    return 0 if ended else 1


async def _drain(reference: str | None, kind: str | None, wait: float) -> tuple[list[Process], bool]:
    """Ask and wait; return the processes, and whether all that were asked have nothing left."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            known = await worker.processes(conn)
            if reference is None and kind is None:
                return known, True
            asked = [one for one in known if one.is_alive and _is_meant(one, reference, kind)]
            if reference is not None and not asked:
                raise InvalidInput({"process": f"no living process is {reference}; `instant drain` lists them"})
            await worker.ask_to_drain(conn, asked)
        return await _wait(pool, asked, wait)


async def _wait(pool: db.Pool, asked: Sequence[Process], seconds: float) -> tuple[list[Process], bool]:
    names = {_name(one) for one in asked}
    loop = asyncio.get_running_loop()
    end, most, looks = loop.time() + seconds, 0, 0
    with output.progress("calls and settlements ended") as show:
        while True:
            async with pool.connection() as conn:
                # One that was stopped is not listed any more: it has ended in good order.
                now = [one for one in await worker.processes(conn) if _name(one) in names]
            busy = sum(one.busy for one in now)
            most = max(most, busy)
            show(most - busy, most)
            # Twice, because what it was claiming when it heard of this shows a moment later.
            looks = looks + 1 if not busy and all(one.has_heard for one in now) else 0
            is_alive = all(one.is_alive for one in now)
            if looks == _LOOKS or loop.time() >= end or not is_alive:
                return now, looks == _LOOKS and is_alive
            await asyncio.sleep(_POLL_SECONDS)


def _is_meant(one: Process, reference: str | None, kind: str | None) -> bool:
    if reference is None:
        return kind in ("all", one.kind)
    return reference == _name(one) or _as_uuid(reference) in one.ids


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _name(one: Process) -> str:
    return f"{one.host}:{one.pid}"


def _line(one: Process) -> dict[str, object]:
    state = "works" if one.drain_asked_at is None else "drains" if one.busy else "drained"
    return {
        "process": _name(one),
        "kind": one.kind,
        "state": state if one.is_alive else "silent",
        "busy": one.busy,
        "heartbeat": one.heartbeat_at,
        "id": one.ids[0],
    }
