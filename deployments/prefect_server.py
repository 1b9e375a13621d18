"""Ask Prefect's server about its settings, over HTTP, so that a door does not import Prefect."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import httpx
from pydantic import TypeAdapter, ValidationError

from core.failures import Misconfigured
from core.net import unreachable
from core.settings import Settings, urls
from deployments.schedules import Schedule

Deployed = Literal["active", "paused", "missing"]

_REQUEST_SECONDS = 5.0
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9A-Za-z.+]+")
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


@dataclass(frozen=True, slots=True)
class Pool:
    """A work pool: Prefect's `status` (ready, not_ready: no worker asks, paused) and whether it is paused."""

    status: str
    is_paused: bool


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


async def version(config: Settings) -> str:
    """Ask Prefect's API for the version of its server.

    Raises:
        Misconfigured: it cannot be reached, refuses us, or is no Prefect; the sentence says which, and what to do.
    """
    name = f"INSTANT_PREFECT_API_URL: {urls.without_credentials(config.prefect_api_url)}"
    try:
        response = await _send(config, "GET", "/admin/version")
    except httpx.TimeoutException:
        trouble = "does not answer in time"
    except httpx.HTTPError as error:
        trouble = unreachable.why(error)
    else:
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            given = "another one" if config.prefect_auth_string else "none"
            raise Misconfigured(
                f"{name} wants an auth string, and was given {given}; set INSTANT_PREFECT_AUTH_STRING to the"
                " PREFECT_SERVER_API_AUTH_STRING of its server"
            )
        told = response.text.strip().strip('"')
        if response.status_code == httpx.codes.OK and _VERSION.fullmatch(told):
            return told
        trouble = f"is no Prefect API (HTTP {response.status_code}); its path usually ends with /api"
    raise Misconfigured(f"{name} {trouble}")


async def pool(config: Settings, name: str) -> Pool | None:
    """Ask Prefect's server for a work pool; None if it has no such pool.

    Raises:
        Misconfigured: the server does not answer this.
    """
    try:
        response = await _send(config, "GET", f"/work_pools/{name}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        document = response.json()
        return Pool(str(document["status"]), bool(document["is_paused"]))
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        pass
    raise Misconfigured("INSTANT_PREFECT_API_URL: Prefect does not tell about its work pools")


async def has_deployment(config: Settings, name: str) -> bool:
    """Ask Prefect's server whether it has a deployment, named as `flow/deployment`.

    Raises:
        Misconfigured: the server does not answer this.
    """
    try:
        return (await _send(config, "GET", f"/deployments/name/{name}")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        pass
    raise Misconfigured("INSTANT_PREFECT_API_URL: Prefect does not tell about its deployments")


def how_to_log_in(config: Settings) -> str:
    """Say how to log in to the UI, without the secret: terminal output is copied into tickets."""
    if config.prefect_auth_string is None:
        return "no login"
    return f"log in with what INSTANT_PREFECT_AUTH_STRING says in {config.state_dir / 'instant.env'}"


async def _request(config: Settings, method: str, path: str, body: object = None) -> Any:
    return (await _send(config, method, path, body)).json()


async def _send(config: Settings, method: str, path: str, body: object = None) -> httpx.Response:
    auth = config.prefect_auth_string.get_secret_value() if config.prefect_auth_string else ""
    user, _, password = auth.partition(":")
    async with httpx.AsyncClient(timeout=_REQUEST_SECONDS, trust_env=False) as http:
        return await http.request(method, f"{config.prefect_api_url}{path}", json=body, auth=(user, password))


def _kinds(enabled: object) -> list[str]:
    """Read the kinds that are deleted; older versions of Prefect say true or false."""
    if isinstance(enabled, bool):
        return ["events", "flow_runs"] if enabled else ["events"]
    return [str(kind) for kind in enabled] if isinstance(enabled, list) else []
