"""What lists of other people say about this service: its name, whom to ask, and a picture."""

import re
from typing import Annotated

from pydantic import AfterValidator

from core.settings import urls

NAME_LIMIT = 32
"""Most characters of a service's name (x402 specs/extensions/bazaar.md, "Service Metadata")."""

_NAME = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")


def checked_name(name: str) -> str:
    """Check the name of the service.

    Raises:
        ValueError: lists would drop it.
    """
    if not _NAME.fullmatch(name) or len(name) > NAME_LIMIT:
        raise ValueError(f"must be 1 to {NAME_LIMIT} characters of printable ASCII, without spaces around them")
    return name


def checked_contact(contact: str) -> str:
    """Check an e-mail address, or the URL of a page.

    Raises:
        ValueError: it is neither.
    """
    if _EMAIL.fullmatch(contact) and urls.is_host(contact.rpartition("@")[2]):
        return contact
    if "://" not in contact:
        raise ValueError("must be an e-mail address, or the URL of a page that begins with https://")
    return urls.checked(contact)


def checked_icon(url: str) -> str:
    """Check the address of a picture: lists fetch it.

    Raises:
        ValueError: it is none on the public internet.
    """
    if not urls.checked(url).startswith("https://"):
        raise ValueError("must begin with https://")
    if urls.is_address(urls.host_of(url)) or urls.leads_to_loopback(url):
        raise ValueError("must name a host of the public internet, by its name")
    return url


Name = Annotated[str, AfterValidator(checked_name)]
Contact = Annotated[str, AfterValidator(checked_contact)] | None
Icon = Annotated[str, AfterValidator(checked_icon)] | None
