"""Automations of Prefect as code: late and failed schedules, calls that fail by whose fault, and books that differ.

`python -m deployments.automations` writes them to Prefect's server, as often as you like. They fire only where its
triggers service runs, which `instant dev` switches off (docs/operators.md).
"""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

from prefect.client.orchestration import PrefectClient, get_client
from prefect.events.actions import DoNothing, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from deployments.schedules import BY_HAND, SCHEDULES

_BODY = "{{ automation.name }}: {{ flow_run.name }} is {{ flow_run.state.name }}: {{ flow_run.state.message }}"
_RUN = "prefect.flow-run.*"
_SCHEDULES = {
    "prefect.resource.role": "deployment",
    "prefect.resource.name": [served.name for served in (*SCHEDULES, *BY_HAND)],
}
_CALLS = {"prefect.resource.role": "flow", "prefect.resource.name": "instant_execution"}
_SOME_FAILED = {"prefect.flow-run.Failed", "prefect.flow-run.CompletedWithFailures"}


def automations(notification: SendNotification | None = None) -> list[AutomationCore]:
    """Build the automations.

    Args:
        notification: what each does when it fires; None: it only leaves its event in Prefect's event feed.
    """
    return [
        _automation(
            "instant: a schedule is late",
            "No process took a run of a schedule: start `serve` or a worker.",
            _trigger({"prefect.flow-run.Late"}, _SCHEDULES),
            notification,
        ),
        _automation(
            "instant: a schedule failed",
            "The run's message gives the reason as a code.",
            _trigger({"prefect.flow-run.Failed", "prefect.flow-run.Crashed"}, _SCHEDULES),
            notification,
        ),
        _automation(
            "instant: calls failed by our fault",
            "By the fault in the state's message, also of a run in which other calls were answered.",
            _trigger(_SOME_FAILED, _CALLS, ["*(ours)*", "*internal_*"]),
            notification,
        ),
        _automation(
            "instant: calls fail by a provider's fault",
            "Five runs within ten minutes had such a call. A creator's faults, such as a rejected key, do not count.",
            _trigger(_SOME_FAILED, _CALLS, ["*(provider)*"], threshold=5, within=timedelta(minutes=10)),
            notification,
        ),
        _automation(
            "instant: the books differ",
            "`instant money check` names each difference.",
            _trigger({"prefect.flow-run.BooksDiffer"}, _SCHEDULES),
            notification,
        ),
    ]


async def write(prefect: PrefectClient, notification: SendNotification | None = None) -> int:
    """Create the automations, or update those of the same name; return their number. Paused ones stay paused."""
    wanted = automations(notification)
    for automation in wanted:
        existing = await prefect.read_automations_by_name(automation.name)
        if not existing:
            await prefect.create_automation(automation)
        for one in existing:
            await prefect.update_automation(one.id, automation.model_copy(update={"enabled": one.enabled}))
    return len(wanted)


def _trigger(
    events: set[str],
    related: Mapping[str, str | Sequence[str]],
    messages: list[str] | None = None,
    *,
    threshold: int = 1,
    within: timedelta = timedelta(0),
) -> EventTrigger:
    match: dict[str, str | list[str]] = {"prefect.resource.id": _RUN}
    if messages:
        match["prefect.state-message"] = messages
    return EventTrigger.model_validate(
        {
            "expect": events,
            "match": match,
            "match_related": related,
            "posture": Posture.Reactive,
            "threshold": threshold,
            "within": within,
        }
    )


def _automation(
    name: str, description: str, trigger: EventTrigger, notification: SendNotification | None
) -> AutomationCore:
    return AutomationCore(
        name=name, description=description, trigger=trigger, actions=[notification or DoNothing()], enabled=True
    )


async def _main(block: str | None) -> None:
    async with get_client() as prefect:
        notification = None
        if block:
            kind, _, name = block.partition("/")
            document = await prefect.read_block_document_by_name(name, kind)
            notification = SendNotification(block_document_id=document.id, subject="x402 Instant", body=_BODY)
        print(f"{await write(prefect, notification)} automations are in place")  # noqa: T201 - a command


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m deployments.automations", description="Write Prefect's automations."
    )
    parser.add_argument("--notify", metavar="KIND/NAME", help="a notification block, such as slack-webhook/ops")
    asyncio.run(_main(parser.parse_args().notify))
