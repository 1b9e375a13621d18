"""Ask Prefect's server about its settings, over HTTP, so that a door does not import Prefect."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import httpx
from pydantic import TypeAdapter, ValidationError

from core.settings import Settings
from deployments.schedules import Schedule

Deployed = Literal["active", "paused", "missing"]

_REQUEST_SECONDS = 5.0
_DURATION = TypeAdapter(timedelta)


@dataclass(frozen=True, slots=True)
class Vacuum:
    """The retention of Prefect's server: `kinds` (events, flow_runs, orphans) that it deletes, and after how long."""

    kinds: frozenset[str]
    runs: timedelta
    events: timedelta

    @property
    def is_complete(self) -> bool:
        """Whether events and flow runs are both deleted."""
        return self.kinds >= {"events", "flow_runs"}


async def vacuum(config: Settings) -> Vacuum | None:
    """Ask Prefect's server, also one that we did not start, for its retention; None if it does not answer.

    Its answer (`GET /admin/settings`) is its whole configuration with the secrets masked; only this part is read.
    """
    try:
        server = (await _request(config, "GET", "/admin/settings"))["server"]
        settings = server["services"]["db_vacuum"]
        return Vacuum(
            frozenset(_kinds(settings["enabled"])),
            _DURATION.validate_python(settings["retention_period"]),
            _DURATION.validate_python(server["events"]["retention_period"]),
        )
    except (httpx.HTTPError, ValueError, KeyError, TypeError, ValidationError):
        return None


async def deployed(config: Settings, schedules: Sequence[Schedule]) -> dict[str, Deployed] | None:
    """Ask Prefect's server for the deployments of these schedules; None if it does not answer.

    Returns:
        By the schedule's name: active, paused (the deployment or its schedules), or missing.
    """
    names = {"any_": [schedule.name for schedule in schedules]}
    try:
        deployments = await _request(config, "POST", "/deployments/filter", {"deployments": {"name": names}})
        active = {
            deployment["entrypoint"]: not deployment["paused"]
            and any(schedule["active"] for schedule in deployment["schedules"])
            for deployment in deployments
        }
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    states: dict[bool | None, Deployed] = {True: "active", False: "paused", None: "missing"}
    return {schedule.name: states[active.get(schedule.entrypoint)] for schedule in schedules}


def how_to_log_in(config: Settings) -> str:
    """Say how to log in to the UI, without the secret: terminal output is copied into tickets."""
    if config.prefect_auth_string is None:
        return "no login"
    return f"log in with what INSTANT_PREFECT_AUTH_STRING says in {config.state_dir / 'instant.env'}"


async def _request(config: Settings, method: str, path: str, body: object = None) -> Any:
    auth = config.prefect_auth_string.get_secret_value() if config.prefect_auth_string else ""
    user, _, password = auth.partition(":")
    async with httpx.AsyncClient(timeout=_REQUEST_SECONDS, trust_env=False) as http:
        response = await http.request(method, f"{config.prefect_api_url}{path}", json=body, auth=(user, password))
        return response.json()


def _kinds(enabled: object) -> list[str]:
    """Read the kinds that are deleted; older versions of Prefect say true or false."""
    if isinstance(enabled, bool):
        return ["events", "flow_runs"] if enabled else ["events"]
    return [str(kind) for kind in enabled] if isinstance(enabled, list) else []
