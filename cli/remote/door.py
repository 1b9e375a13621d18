"""Choose where a command runs, and ask the door that was chosen.

The first of these that applies decides; `choose` is the only place that does:

1. `--at URL`, or INSTANT_URL: that door, with INSTANT_TOKEN or the token of a login at the same URL.
2. A database of this machine: INSTANT_MODE, INSTANT_DATABASE_URL or INSTANT_STATE_DIR is set, or there is an
   `instant.env` or a `postgres` in the folder `.instant`.
3. A login (`instant login URL`): its door.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cli.remote import logins
from cli.remote.logins import Login
from core.failures import Failure, InvalidInput, Misconfigured, NotFound
from core.secrets.private import Private

if TYPE_CHECKING:
    import httpx  # only a command at a door needs it

C = TypeVar("C", bound=Callable[..., Any])

_SECONDS = 60
_SERVER = ("INSTANT_MODE", "INSTANT_DATABASE_URL", "INSTANT_STATE_DIR")
_chosen: ContextVar[Login | None] = ContextVar("door", default=None)
_anywhere: set[Callable[..., Any]] = set()


class Refused(Failure):
    """The door did not do it; the text is a sentence, which may be the door's own."""


def anywhere(command: C) -> C:
    """Mark a command that runs at a door as well as on the server."""
    _anywhere.add(command)
    return command


def runs_anywhere(command: Callable[..., Any]) -> bool:
    """Tell whether a command is marked so."""
    return command in _anywhere


def choose(at: str | None) -> Login | None:
    """Choose the door, by the rule above; None: the database of this machine.

    Args:
        at: what `--at` says; None: nothing.

    Raises:
        InvalidInput: names `--at` or INSTANT_URL, if that is no URL of a door.
        Misconfigured: no token for that door is known; or no door was named, there is no login, and no database.
    """
    named = at or os.environ.get("INSTANT_URL")
    if not named:
        if is_server():
            return None
        if (login := logins.read()) is None:
            raise Misconfigured("you are logged in nowhere, and there is no database here; use: instant login URL")
        return login
    url, login = logins.door_url(named, "--at" if at else "INSTANT_URL"), logins.read()
    if token := os.environ.get("INSTANT_TOKEN"):
        return Login(url, Private(token))
    if login and login.url == url:
        return login
    raise Misconfigured(f"no token for {url} is known; set INSTANT_TOKEN, or: instant login {url}")


def is_server() -> bool:
    """Tell whether there is a database here, or settings for one."""
    state = Path(".instant")
    return any(map(os.environ.get, _SERVER)) or any((state / name).exists() for name in ("instant.env", "postgres"))


@contextmanager
def using(login: Login | None) -> Iterator[None]:
    """Let the commands in this block ask a door; None: the database of this machine."""
    token = _chosen.set(login)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen() -> Login | None:
    """Return the door that commands run at; None: they run on the server."""
    return _chosen.get()


def own_handle() -> str:
    """Return the handle of whoever the door knows by the token."""
    login = _door()
    return login.handle or str(account(login)["handle"])


def check_handle(handle: str) -> None:
    """Check that a command is about the account that the token opens.

    Raises:
        InvalidInput: names `handle`.
    """
    if handle != (own := own_handle()):
        raise InvalidInput({"handle": f"you are {own} there, not {handle}"})


def account(login: Login) -> dict[str, Any]:
    """Read the account that a login opens.

    Raises:
        Refused: the door cannot be reached, or does not know the token.
    """
    with using(login):
        try:
            return dict(ask("GET", "/me").json())
        except (NotFound, ValueError, TypeError):
            pass
    raise Refused("there is no door of x402 Instant")


def ask(
    method: str,
    path: str,
    *,
    body: object = None,
    params: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = _SECONDS,
) -> "httpx.Response":
    """Send a request to the chosen door, and return its answer of success.

    Args:
        method: of HTTP.
        path: begins with a slash.
        body: becomes JSON; None: no body.
        params: the query; what is None is left out.
        headers: additional headers.
        seconds: how long the door may be silent.

    Raises:
        InvalidInput: the door names fields.
        NotFound: it has nothing at this path.
        Refused: it refuses otherwise, or cannot be reached.
    """
    import httpx

    login = _door()
    query = {name: str(value) for name, value in (params or {}).items() if value is not None}
    try:
        answer = httpx.request(
            method,
            login.url + path,
            json=body,
            params=query,
            headers={"Authorization": f"Bearer {login.token.reveal()}", **(headers or {})},
            timeout=httpx.Timeout(seconds, connect=10),
        )
    except httpx.TimeoutException:
        sentence = "it does not answer in time; whether it did what was asked is not known"
    except (httpx.HTTPError, httpx.InvalidURL):
        sentence = "it cannot be reached"
    except UnicodeEncodeError:
        sentence = "the token has characters that no token has"
    else:
        if answer.is_success:
            return answer
        raise refusal(answer)
    raise Refused(sentence)


def refusal(answer: "httpx.Response") -> Failure:
    """Read a problem document (RFC 9457), or whatever else was answered instead of a success."""
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "detail" not in problem:
        return Refused(f"it answers {answer.status_code}, and not as a door of x402 Instant")
    fields = problem.get("fields")
    if isinstance(fields, dict) and fields:
        return InvalidInput({str(name): str(sentence) for name, sentence in fields.items()})
    if answer.status_code == 404:
        return NotFound()
    if answer.status_code == 401:
        return Refused("it does not know this token, or not any more; make another one, and log in again")
    cause = f" ({problem['cause']})" if "cause" in problem else ""
    advice = f" {problem['advice']}" if problem.get("advice") else ""
    return Refused(f"{problem['detail']}{cause}{advice}")


def _door() -> Login:
    login = _chosen.get()
    if login is None:
        raise ValueError("no door was chosen")
    return login
