"""Say in words why a request to another server failed, whichever HTTP library made it."""

import socket
import ssl
from collections.abc import Iterator

_MOST = 20


def why(error: BaseException) -> str:
    """Return the cause, as the rest of a sentence that begins with the server's address.

    HTTP libraries wrap what the system said in errors of their own, so their causes are looked through. The texts of
    errors are not read: they may quote anything.
    """
    causes = list(_causes(error))
    for kinds, words in (
        (
            (ssl.SSLError,),
            "does not speak the TLS that its URL asks for, or its certificate is not trusted here",
        ),
        ((socket.gaierror,), "has a name that no address is known for"),
        ((ConnectionRefusedError,), "has a closed port: nothing listens there"),
        ((TimeoutError,), "does not answer in time"),
    ):
        if any(isinstance(cause, kinds) for cause in causes):
            return words
    return "cannot be reached"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it, also the members of groups."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _MOST:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        waiting += [cause for cause in (one.__cause__, one.__context__, *inner) if cause is not None]
