"""A product's page: what it does, costs and promises, the form that buys it, and calls to copy."""

import json
import textwrap
from dataclasses import dataclass
from typing import Final

from fastapi.responses import Response

from api.offers import Offered, rules_of
from api.pages.calls import calls
from api.pages.markdown import rendered
from api.pages.rendering import page
from api.pages.shop import KINDS
from core.failures import NotFound
from core.reporting.record import Record
from core.resources import attachments, product, versions
from core.resources.parameters import Parameter
from core.resources.template import USER_MESSAGE
from core.settings import settings

_SHORT_TEXT: Final = 120


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form.

    Attributes:
        kind: text, enum, integer, number, boolean, image or file.
        default: what counts if it is left empty.
        sample: of the product's example.
        accept: the media types of a picture or file.
        most: characters of a text; bytes of a picture or file.
    """

    name: str
    label: str
    hint: str
    kind: str
    required: bool
    default: str
    sample: str
    values: tuple[str, ...]
    accept: str
    most: int
    is_short: bool

    @property
    def placeholder(self) -> str:
        """Return what stands in the empty field: the default, or what the example has."""
        if self.default:
            return f"{self.default} (default)"
        return f"e.g. {textwrap.shorten(self.sample, 90, placeholder=' …')}" if self.sample else ""


def product_page(offered: Offered, measured: Record, *, is_preview: bool = False) -> Response:
    """Render the page of what is on offer; while it cannot be sold, without the reason, as 503.

    Args:
        offered: the offer, or what stands against it.
        measured: the product's record of 30 days.
        is_preview: it is shown to its creator, and cannot be bought on this page.

    Raises:
        NotFound: it is archived.
    """
    version = offered.version
    if version.archived:
        raise NotFound
    config, payouts = settings(), dict(offered.payouts)
    return page(
        "product.html",
        status=503 if offered.obstacle else 200,
        headers={"Cache-Control": "private, no-cache"} | ({"Retry-After": "5"} if offered.obstacle else {}),
        version=version,
        path=f"/@{version.handle}/{version.slug}",
        is_preview=is_preview,
        for_sale=offered.obstacle is None and not is_preview,
        kinds=KINDS,
        fields=input_fields(version),
        networks=[
            {
                "id": network.id,
                "name": network.label,
                "rpcUrl": network.public_rpc_url,
                "explorerUrl": network.explorer_url,
                "asset": network.asset_name,
            }
            for network in config.networks
            if network.id in payouts
        ],
        example=version.example,
        example_inputs=_in_order(version),
        example_answer=version.example and shown_answer(version.modality, version.example.answer),
        answer_schema=product.answer_schema(version),
        calls=calls(version),
        rules=rules_of(version),
        config=config,
        record=measured,
    )


def shown_answer(modality: str, answer: str) -> dict[str, object]:
    """Prepare an answer for a page: Markdown of text, or JSON with line breaks."""
    if modality == "json":
        return {"json": pretty_json(answer), "markdown": None}
    return {"json": None, "markdown": rendered(answer)}


def pretty_json(text: str) -> str:
    """Break JSON into lines without changing a value; what cannot be so broken stays as it is."""
    try:
        value = json.loads(text)
        broken = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return broken if _has_same_numbers(text, broken) else text


def _has_same_numbers(text: str, broken: str) -> bool:
    """Whether no number was written in another way, as Python writes those that a float cannot hold."""
    return _spelled(text) == _spelled(broken)


def _spelled(text: str) -> object:
    return json.loads(text, parse_float=str, parse_int=str)


def _in_order(version: versions.Version) -> list[tuple[str, str]]:
    """Return the inputs of the example as the form asks for them; the database keeps no order."""
    given = dict(version.example.inputs) if version.example else {}
    names = [parameter.name for parameter in version.parameters if parameter.name in given]
    return [(name, _text(given[name])) for name in [*names, *(given.keys() - set(names))]]


def input_fields(version: versions.Version) -> list[Field]:
    """Return the fields of the form that asks for the inputs of a product."""
    config = settings()
    sample = version.example.inputs if version.example else {}
    fields = [_field(parameter, sample.get(parameter.name)) for parameter in version.parameters]
    if version.allows_user_message:
        most = config.value_limit
        given = _text(sample.get(USER_MESSAGE))
        fields.append(Field(USER_MESSAGE, "Message", "Your own words.", "text", False, "", given, (), "", most, False))
    return fields


def _field(parameter: Parameter, sample: object) -> Field:
    config = settings()
    is_file = attachments.is_kind(parameter.type)
    most = parameter.most_bytes(config.file_limit) if is_file else parameter.most_characters(config.value_limit)
    return Field(
        name=parameter.name,
        label=parameter.name.replace("_", " ").capitalize(),
        hint=parameter.description,
        kind=parameter.type,
        required=parameter.required and parameter.default is None,
        default=parameter.default or "",
        sample=_text(sample),
        values=parameter.values or (("true", "false") if parameter.type == "boolean" else ()),
        accept=",".join(attachments.MEDIA_TYPES[parameter.type]) if attachments.is_kind(parameter.type) else "",
        most=most,
        is_short=parameter.type == "text" and most <= _SHORT_TEXT,
    )


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
