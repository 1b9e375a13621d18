"""Traces of paid calls at a collector: joined by the execution's id, and without foreign text."""

import asyncio
from collections import defaultdict
from pathlib import Path
from uuid import UUID

import httpx

from core import db
from tests import collector, doors, leaks, servers, shops
from tests.api.test_secrecy import Sale, open_sale, sign
from tests.collector import Span

OUTCOMES = {
    "success": ["echo"],
    "sent again": ["status:503"],
    "error in the stream": ["error_chunk*always"],
    "moderated": ["status:403"],
    "key refused": ["status:401"],
}


async def test_one_trace_tells_of_one_execution(surroundings: Path, own_database: str) -> None:
    """Request, settlement, flow run and sends of each execution share its id; no canary is in any."""
    async with db.pool() as pool:
        sales = {name: await open_sale(pool, name, faults) for name, faults in OUTCOMES.items()}
        with collector.collecting() as traces:
            with doors.door(surroundings, servers.free_port(), INSTANT_OTLP_ENDPOINT=traces.url) as door:
                await asyncio.gather(*(buy_twice(door.url, sale) for sale in sales.values()))
                rests = {name: await shops.at_rest(pool, sale.shop) for name, sale in sales.items()}
            told = b"\n".join(traces.bodies)
            spans = traces.spans()
        runs = {
            row.execution_id: row for row in await shops.rows(pool, "SELECT execution_id, flow_run_id FROM attempts")
        }

    trees: dict[UUID, list[Span]] = defaultdict(list)
    for span in spans:
        trees[span.trace].append(span)
    assert set(trees) == {execution.id for (execution,) in rests.values()}
    for name, (execution,) in rests.items():
        tree = trees[execution.id]
        first, again = (span for span in tree if span.name == "buy")
        assert (first.parent, first.id) == (b"", execution.id.bytes[8:]), name
        assert {span.parent for span in tree if span is not first} == {first.id}
        assert first.facts["resource"] == sales[name].shop.path.removeprefix("/")
        assert (
            first.facts["status"]
            == again.facts["status"]
            == {"succeeded": 200, "declined": 422}.get(execution.state, 502)
        )
        (settle,) = (span for span in tree if span.name == "settle")
        sends = [span for span in tree if span.name == "upstream"]
        parts = [span for span in tree if span.name == "run"]
        assert {span.facts["flow_run"] for span in parts} == {str(runs[execution.id].flow_run_id)}
        assert [span.facts["send"] for span in sends] == list(range(1, execution.sends + 1))
        assert sends[-1].facts["outcome"] == (execution.detail or "succeeded")
        assert first.began <= settle.began <= settle.ended <= parts[0].began <= sends[0].began
        assert all(
            part.began <= send.began <= send.ended <= part.ended for part, send in zip(parts, sends, strict=True)
        )
    (answered,) = (span for span in trees[rests["success"][0].id] if span.name == "upstream")
    assert str(answered.facts["generation"]).startswith("gen-")
    # The search finds a value that is in the traces.
    assert leaks.found(told, {"resource": sales["success"].shop.account.handle}) == {"resource"}
    secrets = {f"{name}: {kind}": word for name, sale in sales.items() for kind, word in sale.secrets.items()}
    assert leaks.found(told, secrets) == set()


async def buy_twice(door: str, sale: Sale) -> None:
    """The same payment presented again gets the same answer."""
    headers = await sign(door, sale) | {"Prefer": "wait=30"}
    async with httpx.AsyncClient(timeout=40) as client:
        for _ in range(2):
            sale.hear("answer", await client.post(door + sale.shop.path, json=sale.inputs, headers=headers))
