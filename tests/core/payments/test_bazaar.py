"""What offers tell lists of services: true, accepted by x402's own validators, and within the limit of a header."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st
from x402.extensions.bazaar import extract_discovery_info, validate_and_extract, validate_discovery_extension_spec
from x402.extensions.bazaar.v1 import extract_discovery_info_v1
from x402.http.utils import decode_payment_required_header

from api import offers as offered
from core.payments import bazaar, offers
from core.payments.facilitator_payload import outgoing
from core.resources import product
from core.resources.draft import Example
from core.resources.parameters import Parameter
from core.resources.versions import Version
from tests.core.payments.test_matching import PAYOUTS, paid, version

quick = settings(max_examples=60, deadline=None)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=500)
WORD = st.from_regex(r"[a-z]{1,10}(-[a-z]{1,10})?", fullmatch=True)
NAME = st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True)


@st.composite
def parameters(draw: st.DrawFn) -> tuple[Parameter, ...]:
    """Parameters of all types, up to the most that a prompt may have."""
    names = draw(st.lists(NAME, unique=True, max_size=64))
    made = []
    for name in names:
        kind = draw(st.sampled_from(["text", "enum", "integer", "number", "boolean", "image", "file"]))
        values = draw(st.lists(TEXT.filter(bool), min_size=1, max_size=5, unique=True)) if kind == "enum" else None
        made.append(
            Parameter(name=name, type=kind, values=values, description=draw(TEXT), required=draw(st.booleans()))
        )
    return tuple(made)


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of answers, with references to their own definitions."""
    leaf = st.sampled_from([{"type": "string"}, {"type": "integer"}, {"$ref": "#/$defs/a"}, {"enum": ["x", "y"]}])
    nested = st.recursive(
        leaf,
        lambda inner: st.dictionaries(TEXT, inner, max_size=6).map(lambda p: {"type": "object", "properties": p}),
        max_leaves=30,
    )
    return nested.map(lambda schema: {**schema, "type": "object", "$defs": {"a": {"type": "string"}}})


@st.composite
def products(draw: st.DrawFn) -> Version:
    """A version as it may be published, however long its words."""
    is_json = draw(st.booleans())
    sold = version(
        title=draw(TEXT.filter(bool))[:100],
        description=draw(TEXT),
        parameters=draw(parameters()),
        allows_user_message=draw(st.booleans()),
        modality="json" if is_json else draw(st.sampled_from(["text", "image"])),
        price_atomic=draw(st.integers(1_000, 10**12)),
        answer_schema=json.dumps(draw(schemas())) if is_json else None,
        tags=tuple(draw(st.lists(WORD, unique=True, max_size=8))),
        icon=draw(st.sampled_from([None, "https://example.com/" + "i" * 480])),
    )
    if draw(st.booleans()):
        texts = {p.name: draw(TEXT.filter(bool)) for p in sold.parameters if p.type == "text"}
        sold = replace(sold, example=Example(inputs=texts, answer=draw(TEXT.filter(bool)) * 20))
    return sold


def offer_of(sold: Version) -> Any:
    """The offer as a client reads it: (v2 document of the header, length of the header, body)."""
    shown = offered.preview(sold, PAYOUTS)
    headers = shown["headers"]
    assert isinstance(headers, dict)
    header = headers["PAYMENT-REQUIRED"]
    return decode_payment_required_header(header), len(header), shown["body"]


@quick
@given(products())
def test_every_offer_is_listable_and_short(sold: Version) -> None:
    """The header is within its limit, x402's own validators accept the block, and the example request fits it."""
    required, _, _ = offer_of(sold)
    whole = offers.payment_required(sold, PAYOUTS, "Payment required", "q" * 200)
    assert bazaar.header_length(whole) <= bazaar.HEADER_LIMIT

    block = required.extensions["bazaar"]
    assert validate_and_extract(block).valid, validate_and_extract(block).errors
    assert validate_discovery_extension_spec(block).valid
    payload = {
        "x402Version": 2,
        "resource": required.resource.model_dump(by_alias=True),
        "extensions": {"bazaar": block},
    }
    found = extract_discovery_info(payload, required.accepts[0])
    assert found is not None
    assert (found.resource_url, found.method) == (offers.url_of(sold), "POST")
    assert found.service_name == "x402 Instant"
    assert (found.tags or []) == (required.resource.tags or [])
    assert len(required.resource.description) <= 500
    # The prober of the directories reads these two.
    assert isinstance(block["schema"]["properties"]["input"]["properties"]["body"], dict)
    assert isinstance(block["schema"]["properties"]["output"]["properties"]["example"], dict)


@quick
@given(products())
def test_schemas_and_samples_agree(sold: Version) -> None:
    """The sample is a request that the schema and the door take; references in a moved schema lead somewhere."""
    schema, sample = product.inputs_schema(sold), product.sample_inputs(sold)
    jsonschema.Draft202012Validator(schema).validate(sample)
    result = {"a": {"~": product.result_schema(sold, "/a/~0")}}
    for reference in references(result):
        node: Any = result
        for step in reference.removeprefix("#/").split("/"):
            node = node[step.replace("~1", "/").replace("~0", "~")]
        assert isinstance(node, dict)


def references(node: object) -> Iterator[str]:
    """Every `$ref` in a schema."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for part in node.values():
            yield from references(part)


def test_what_fits_is_not_cut() -> None:
    """An ordinary product's schemas are in its header in full, with its example."""
    sold = version(
        modality="json",
        parameters=(Parameter(name="topic", description="what it is about", max_length=200),),
        answer_schema='{"type":"object","properties":{"lines":{"type":"array","items":{"type":"string"}}}}',
        example=Example(inputs={"topic": "sea"}, answer='{"lines": ["a", "b"]}'),
        tags=("poetry",),
    )
    required, _, body = offer_of(sold)
    block = required.extensions["bazaar"]

    assert block["info"]["input"] == {"type": "http", "method": "POST", "bodyType": "json", "body": {"topic": "sea"}}
    assert block["info"]["output"]["example"] == {"response": '{"lines": ["a", "b"]}'}
    assert block["schema"]["properties"]["input"]["properties"]["body"] == body["inputs"]
    told = block["schema"]["properties"]["output"]["properties"]["example"]["properties"]["response"]["contentSchema"]
    assert told == body["answer"]
    assert required.resource.tags == ["poetry"]


def test_the_cuts_come_in_their_order() -> None:
    """First the example's answer is shortened, then the answer's schema goes, then words, then limits, then names."""
    long = "schöne Worte " * 30

    def block_of(**changes: object) -> dict[str, Any]:
        extensions: dict[str, Any] = offer_of(version(**changes))[0].extensions
        return dict(extensions["bazaar"])

    def body_of(block: dict[str, Any]) -> dict[str, Any]:
        return dict(block["schema"]["properties"]["input"]["properties"]["body"])

    answered = block_of(example=Example(inputs={"topic": "sea"}, answer=long * 10))
    assert answered["info"]["output"]["example"]["response"].endswith("…")
    assert "$comment" not in body_of(answered)

    promised = block_of(modality="json", answer_schema=json.dumps({"type": "object", "description": long * 9}))
    assert promised["schema"]["properties"]["output"]["properties"]["example"]["properties"]["response"] == {
        "type": "string"
    }
    assert "$comment" not in body_of(promised)

    wordy = body_of(block_of(parameters=tuple(Parameter(name=f"p{n}", description=long) for n in range(4))))
    assert wordy["properties"]["p0"] == {"type": "string", "maxLength": 20_000}
    assert wordy["$comment"].endswith("/@ada/haiku/openapi.json")

    choosy = body_of(
        block_of(parameters=(Parameter(name="p", type="enum", values=tuple(f"{n}{long}" for n in range(9))),))
    )
    assert choosy["properties"] == {"p": {"type": "string"}}

    many = body_of(block_of(parameters=tuple(Parameter(name=f"parameter_{n}_" + "x" * 40) for n in range(64))))
    assert set(many) == {"type", "$comment"}


def test_what_is_unlisted_says_nothing_to_lists() -> None:
    """No block, no service; and a facilitator is told nothing."""
    sold = version(listed=False)
    required, _, body = offer_of(sold)
    assert set(required.extensions) == {"payment-identifier"}
    assert required.resource.service_name is None
    assert "bazaar" not in json.dumps(body)
    assert offers.told(sold, tuple(PAYOUTS.items())) is None


def test_v1_tells_the_same() -> None:
    """`outputSchema` of v1 is read by x402's own reader."""
    sold = version(parameters=(Parameter(name="topic", description="theme"), Parameter(name="n", type="integer")))
    info: Any = extract_discovery_info_v1({"outputSchema": bazaar.output_schema_v1(sold)})
    assert info.input.method == "POST"
    assert info.input.body["topic"] == {"type": "string", "description": "theme", "maxLength": 20_000, "required": True}
    assert info.output.example["properties"]["response"] == {"type": "string"}


def test_an_echo_is_no_evidence() -> None:
    """A facilitator gets our own words about the product, and none of what the buyer echoed."""
    sold = version(tags=("poetry",))
    payload = paid(sold)
    payload.extensions = {"bazaar": {"info": "evil"}, "other": {}}
    assert payload.resource is not None
    payload.resource.description = "evil"
    told = offers.told(sold, tuple(PAYOUTS.items()))
    sent = outgoing(payload, payload.accepted, told)
    assert "evil" not in sent.model_dump_json()
    assert sent.extensions is not None
    assert list(sent.extensions) == ["bazaar"]
    assert validate_and_extract(sent.extensions["bazaar"]).valid
    assert outgoing(payload, payload.accepted).extensions is None


def test_the_echo_of_a_stock_client_fits() -> None:
    """The largest offer, signed and echoed in full, is far below the limit of a payment header."""
    sold = version(description="ä" * 400, parameters=tuple(Parameter(name=f"p{n}" * 9) for n in range(6)))
    required, length, _ = offer_of(sold)
    payload = paid(sold)
    payload.extensions = required.extensions
    assert 3_000 < length <= bazaar.HEADER_LIMIT
    assert len(payload.model_dump_json(by_alias=True)) * 4 / 3 < 8_192
