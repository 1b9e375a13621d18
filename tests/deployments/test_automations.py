"""Automations: Prefect's server takes them, and their triggers cover the events of real runs."""

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.server.events.schemas.automations import Automation, EventTrigger
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.states import Completed, Failed

from deployments import automations
from tests import shops

pytestmark = pytest.mark.usefixtures("prefect_server")

# How runs end (`flows/instant_execution.py`, `tasks/policy.py`), and which automation each end starts.
_ENDS: list[tuple[State[None], str | None]] = [
    (Failed(message="2 of 2 failed: 1 provider_401 (creator), 1 sealed_value_unreadable (ours)"), "our fault"),
    (Completed(name="CompletedWithFailures", message="1 of 2 failed: 1 takeover_limit (ours)"), "our fault"),
    (
        Failed(message="Flow run encountered an exception: ExecutionFailed: internal_error (internal_KeyError)"),
        "our fault",
    ),
    (Failed(message="1 of 1 failed: 1 provider_503 (provider)"), "provider's fault"),
    (Failed(message="1 of 1 failed: 1 provider_401 (creator)"), None),
    (Completed(message="0 answered, 1 declined"), None),
    (Completed(message="3 answered"), None),
]


async def test_they_are_written_once() -> None:
    """A second time changes nothing, mends what somebody changed, and leaves paused what somebody paused."""
    async with get_client() as prefect:
        await automations.write(prefect)
        first = await ours(prefect)
        changed, paused = first[0].id, first[1].id
        await prefect.pause_automation(paused)
        mine = automations.automations()[0].model_copy(update={"description": "mine"})
        await prefect.update_automation(changed, mine)
        await automations.write(prefect)
        second = await ours(prefect)

    assert len(first) == len(automations.automations()) == 5
    assert [one.id for one in second] == [one.id for one in first]
    assert [one.enabled for one in second] == [one.id != paused for one in second]
    assert [one.description for one in second] == [one.description for one in first]


async def test_fault_decides_and_not_the_state() -> None:
    """Runs of paid calls, as Prefect's server tells of them: its own triggers say which automation each one starts."""

    @flow(name="instant_execution", persist_result=False)
    async def practice(number: int) -> State[None]:
        return _ENDS[number][0]

    ids = [str((await practice(n, return_state=True)).state_details.flow_run_id) for n in range(len(_ENDS))]
    async with get_client() as prefect:
        await automations.write(prefect)
        triggers = {one.name: one.trigger for one in await ours(prefect)}
        found: dict[str, ReceivedEvent] = {}

        async def are_told() -> bool:
            found.update({e.resource.id.rpartition(".")[2]: e for e in await events(prefect, ids)})
            return len(found) == len(ids)

        await shops.eventually(are_told)

    started = [
        [name for name, trigger in triggers.items() if isinstance(trigger, EventTrigger) and trigger.covers(found[run])]
        for run in ids
    ]
    assert [len(names) for names in started] == [end is not None for _, end in _ENDS]
    assert [names[0].endswith(str(end)) for names, (_, end) in zip(started, _ENDS, strict=True) if names] == [True] * 4


async def ours(prefect: PrefectClient) -> list[Automation]:
    """Our automations as the server has them, by name."""
    names = [one.name for one in automations.automations()]
    read = [one for name in names for one in await prefect.read_automations_by_name(name)]
    return [Automation.model_validate(one.model_dump(mode="json")) for one in read]


async def events(prefect: PrefectClient, ids: list[str]) -> list[ReceivedEvent]:
    """The events that tell how these runs ended."""
    resources = {"id": [f"prefect.flow-run.{one}" for one in ids]}
    names = ["prefect.flow-run.Failed", "prefect.flow-run.Completed", "prefect.flow-run.CompletedWithFailures"]
    body = {"filter": {"resource": resources, "event": {"name": names}}, "limit": 50}
    answer: httpx.Response = await prefect.request("POST", "/events/filter", json=body)
    return [ReceivedEvent.model_validate(one) for one in answer.json()["events"]]
