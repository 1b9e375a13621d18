"""Read the forms of pages, and say what is wrong with them in place.

A form needs no token against other sites: the cookie that opens a page is not sent by requests that another site makes
(SameSite), and `api.authentication` refuses a form that does not come from a page of ours (Origin, Sec-Fetch-Site).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

from fastapi import Request

from api.bodies import read_body
from core.failures import InvalidInput, UnsupportedBody
from core.settings import settings

_KIND: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 2_000
ONCE: Final = "once"
"""The field with the id of what a form makes."""


@dataclass(frozen=True, slots=True)
class Form:
    """What somebody typed.

    Attributes:
        values: all values of each field, in the order of the form.
    """

    values: Mapping[str, list[str]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return the value of a field without spaces around it; empty if it is missing."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """Return the value of a field as it was typed; empty if it is missing."""
        return self.values.get(name, [""])[-1]

    def once(self) -> UUID:
        """Return the id of what the form makes. The page with the form chose it, so a reload makes nothing more."""
        try:
            return UUID(self.text(ONCE))
        except ValueError:
            return uuid4()

    def chosen(self, name: str) -> bool:
        """Whether a box is ticked."""
        return name in self.values

    def list(self, name: str) -> list[str]:
        """Return all values of a field."""
        return self.values.get(name, [])


async def read_form(request: Request, limit: int | None = None) -> Form:
    """Read the form of a request. Its line ends are those that its author typed, and not those that HTML sends.

    Args:
        request: the request.
        limit: the most bytes of its body; None: as many as any body may have that holds no pictures or files.

    Raises:
        TooLarge: the body is above the limit.
        UnsupportedBody: it is no form, or is compressed.
        InvalidInput: it has too many fields, or is not UTF-8.
    """
    body = await read_body(request, settings().body_limit if limit is None else limit)
    if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != _KIND:
        raise UnsupportedBody
    values: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        pairs = None
    if pairs is None:
        raise InvalidInput({"form": f"must have at most {_MOST_FIELDS} fields, in UTF-8"})
    for name, value in pairs:
        values.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return Form(values)
