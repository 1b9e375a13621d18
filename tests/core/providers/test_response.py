"""From bytes to an answer: every response is a result of one form or a named failure."""

import base64
import json
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.db.states import Modality
from core.failures import ExecutionFailed
from core.providers import sse
from core.providers import usage as provider_usage
from core.providers.response import ModelAnswer, Reply, Wanted, judge, read_answer
from sandbox.openrouter_answers import drawing, picture, tone
from tests.callers import PROMPT, SECRET, Creator

WORDS = st.sampled_from(
    [
        *("id", "model", "choices", "message", "delta", "content", "images", "image_url", "url", "type", "text"),
        *("refusal", "reasoning", "tool_calls", "annotations", "url_citation", "title", "audio", "transcript"),
        *("error", "code", "http_status", "metadata", "reasons", "availability", "retryable", "retry_after", "reason"),
        *("finish_reason", "usage", "cost", "prompt_tokens", "completion_tokens", "is_byok", "cost_details", "index"),
        *("upstream_inference_cost", "data", "label", "limit_remaining", "is_management_key", "limit_source"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(["stop", "length", "error", "content_filter", "text", "image_url", "https://example.org/"])
    | st.sampled_from([picture(b"abcdef"), drawing("svg"), drawing("page"), tone()])
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=8
)
CHOICES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "message": st.dictionaries(WORDS, TREES),
            "delta": st.dictionaries(WORDS, TREES),
            "finish_reason": SCALARS,
            "error": TREES,
        },
    ),
    max_size=2,
)
ANSWERS = st.fixed_dictionaries(
    {"choices": CHOICES}, optional={"usage": st.dictionaries(WORDS, SCALARS), "id": SCALARS, "model": SCALARS}
)
DOCUMENTS = (TREES | ANSWERS).map(json.dumps)
EVENTS = DOCUMENTS.map("data: {}".format) | st.sampled_from(["data: [DONE]", ": OPENROUTER PROCESSING", "event: x", ""])
STREAMS = st.lists(EVENTS, max_size=4).flatmap(
    lambda events: st.sampled_from(["\n\n", "\r\n\r\n", "\r"]).map(lambda end: end.join([*events, ""]))
)
BODIES = st.binary() | DOCUMENTS.map(str.encode) | STREAMS.map(str.encode)
MODALITIES = st.sampled_from(["text", "json", "image"])


@given(BODIES, MODALITIES)
def test_any_body_is_a_reply_or_a_failure(body: bytes, modality: Modality) -> None:
    """Any body of status 200 is read into a storable answer or refused with one of our codes."""
    answer = read_answer(body, modality)
    assert answer.usage.cost_usd is None or 0 <= answer.usage.cost_usd <= 200_000
    if isinstance(answer.reply, ExecutionFailed):
        assert answer.reply.detail.startswith("provider_")
        assert answer.reply.__context__ is None
    else:
        assert_sellable(answer.reply, modality)


def assert_sellable(reply: Reply, modality: Modality) -> None:
    """Check the published rule: text is not blank, json parses, an image is one."""
    assert reply.response.encode() is not None
    assert all(cited["url"].startswith("http") for cited in reply.citations)
    if modality == "image":
        assert reply.images
        for image in reply.images:
            assert image.startswith("https://") if isinstance(image, str) else image.kind.startswith("image/")
    else:
        assert reply.response.strip()
        assert reply.images == ()
    if modality == "json":
        json.loads(reply.response)


@given(BODIES)
def test_any_key_answer_is_facts_or_a_failure(body: bytes) -> None:
    """The same for `GET /key`."""
    try:
        facts = provider_usage.read_key(body)
    except ExecutionFailed:
        return
    assert facts.limit_remaining_usd is None or facts.limit_remaining_usd.is_finite()


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 100_000, '{"choices":' * 50_000, "1e999999999999999999999", "9" * 5_000, "\ufeff{}", ": a comment", ""),
        *("data: [DONE]\n\n", "data: " + "[" * 100_000 + "\n\n", "data: 7\n\n", ":" * 100_000 + "data:\n\n"),
    ],
)
def test_hostile_documents_are_malformed(text: str) -> None:
    """Nesting and numbers that make parsers raise unusual exceptions."""
    assert failure_of(read_answer(text.encode(), "text")).detail == "provider_malformed"


def answer_of(message: dict[str, Any], usage: str = "{}", reason: str = "stop") -> bytes:
    document = json.dumps({"choices": [{"finish_reason": reason, "message": message}]})
    return f'{document[:-1]}, "usage": {usage}}}'.encode()


def reply_of(answer: ModelAnswer) -> Reply:
    assert isinstance(answer.reply, Reply), answer.reply
    return answer.reply


def failure_of(answer: ModelAnswer) -> ExecutionFailed:
    assert isinstance(answer.reply, ExecutionFailed), answer.reply
    return answer.reply


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ('{"cost": 0.0000000416666666666667}', Decimal("0.0000000416666666666667")),
        ('{"cost": 1.1e-7}', Decimal("0.00000011")),
        ('{"cost": 0}', Decimal(0)),
        ('{"cost": 0.5, "cost_details": {"upstream_inference_cost": 0.5}}', Decimal("0.5")),
        ('{"cost": 0.1, "is_byok": true, "cost_details": {"upstream_inference_cost": 2.0}}', Decimal("2.1")),
        ('{"cost": 0.1, "is_byok": true}', None),
        ('{"cost": -1}', None),
        ('{"cost": NaN}', None),
        ('{"cost": true}', None),
        ('{"cost": "0.1"}', None),
        ('{"cost": 1e-5000}', None),
        ("null", None),
    ],
)
def test_cost_is_exact_or_unknown(usage: str, cost: Decimal | None) -> None:
    """It is never rounded, never 0 when unknown, and not counted twice when the upstream's share is repeated."""
    assert read_answer(answer_of({"content": "hello"}, usage), "text").usage.cost_usd == cost


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('{"a": 1', None),
        ("{'a': 1,}", '{"a": 1}'),
        ('Here you are: {"a": "é"}', None),
        ('Here you are:\n```json\n{"a": "é"}\n```\nAnything else?', '{"a": "é"}'),
        ("Sure! Here it is.", None),
        ("<html>", None),
    ],
)
def test_a_json_answer_is_json(content: str, read: str | None) -> None:
    """A code fence is removed, and broken JSON is repaired once; prose is the provider's failure."""
    answer = read_answer(answer_of({"content": content}), "json")
    if read is None:
        assert failure_of(answer).detail == "provider_malformed_json"
    else:
        assert reply_of(answer).response == read


def test_line_separators_in_an_answer_survive() -> None:
    """U+2028 is a plain character in JSON and in events, but a line end to Python."""
    text = "a\u2028b\x85c"
    body = json.dumps(
        {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}, ensure_ascii=False
    ).encode()
    assert reply_of(read_answer(b"\n \n: keep-alive\n\n" + body, "text")).response == text
    chunk = json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}, ensure_ascii=False)
    assert reply_of(read_answer(f"data: {chunk}\n\ndata: [DONE]\n\n".encode(), "text")).response == text


@given(st.text(min_size=1), st.lists(st.integers(0, 200), max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_stream_says_what_was_said(text: str, cuts: list[int], end: str) -> None:
    """However a text is split into events, its document has the same text."""
    places = sorted({0, len(text), *(cut % len(text) for cut in cuts)})
    pieces = [text[start:stop] for start, stop in pairwise(places)]
    chunks = [{"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces]
    chunks += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    chunks += [{"id": "gen-1", "choices": [], "usage": {"cost": 1, "prompt_tokens": 2, "completion_tokens": 3}}]
    lines = [": OPENROUTER PROCESSING", *(f"data: {json.dumps(chunk)}" for chunk in chunks), "data: [DONE]"]
    answer = read_answer("".join(f"{line}{end}{end}" for line in lines).encode(), "text")
    assert answer.usage == provider_usage.Usage(2, 3, Decimal(1), None, "gen-1")
    if text.strip():
        assert reply_of(answer).response == text
    else:
        assert failure_of(answer).detail == "provider_empty"


def test_a_stream_without_an_end_is_cut() -> None:
    """Without a finish reason and `[DONE]` the text may be incomplete, whatever it contains."""
    chunk = json.dumps({"choices": [{"delta": {"content": "The answer is"}, "finish_reason": None}]})
    assert failure_of(read_answer(f"data: {chunk}\n\n".encode(), "text")).detail == "provider_cut"


@pytest.mark.parametrize("kind", ["svg", "page", "insecure", "broken"])
def test_what_only_calls_itself_a_picture_is_none(kind: str) -> None:
    """Programs, pages, broken base64, and addresses that must not be opened are no pictures."""
    drawn = {"content": "", "images": [{"type": "image_url", "image_url": {"url": drawing(kind)}}]}
    assert failure_of(read_answer(answer_of(drawn), "image")).detail == "provider_bad_image"


def test_a_picture_has_the_type_of_its_bytes() -> None:
    """A PNG declared as JPEG is a PNG; the same picture twice is one; addresses are passed on."""
    png = picture(b"abcdef")
    items = [png.replace("image/png", "image/jpeg"), png, png, drawing("remote")]
    drawn = {"content": None, "images": [{"image_url": {"url": url}} for url in items]}
    first, second, remote = reply_of(read_answer(answer_of(drawn), "image")).images
    assert [first, second, remote] == [first, first, drawing("remote")]
    assert not isinstance(first, str)
    assert first.data_url == png


def test_bytes_without_a_container_are_no_sound() -> None:
    """Bare samples have no rate; the text is still an answer."""
    spoken = {"content": None, "audio": {"data": base64.b64encode(bytes(64)).decode(), "transcript": "hello"}}
    reply = reply_of(read_answer(answer_of(spoken), "text"))
    assert (reply.response, reply.sound) == ("hello", None)


# fault -> modality, the result's members beside text, or the name of the failure
BEHAVIOURS: dict[str, tuple[Modality, str]] = {
    "none": ("text", ""),
    "draws": ("image", "images"),
    "reasoning": ("text", ""),
    "json": ("json", ""),
    "drip:0.2": ("text", ""),
    "audio": ("text", "sound"),
    "citations": ("text", "citations"),
    "refusal": ("text", "provider_refused"),
    "empty": ("text", "provider_empty"),
    "truncated": ("text", "provider_truncated"),
    "reasoning_only": ("text", "provider_reasoning_only"),
    "tool_call": ("text", "provider_tool_call"),
}


@pytest.mark.parametrize("form", ["events", "document"])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_twelve_behaviours_have_one_shape(creator: Creator, behaviour: str, form: str) -> None:
    """Text, image, reasoning, JSON, slow drip, audio, sources, refusal, empty, cut off, thought, tool call."""
    modality, more = BEHAVIOURS[behaviour]
    fault = "plain" if behaviour in ("none", "draws", "json") else f"{behaviour};plain=1"
    if form == "document":
        await creator.order(fault)
    elif behaviour not in ("none", "draws", "json"):
        await creator.order(behaviour)
    painter = {"model": "google/gemini-2.5-flash-image", "outputs": ("text", "image")} if modality == "image" else {}
    answer = await creator.send(replace(PROMPT, modality=modality, **painter))

    assert answer.usage.cost_usd
    assert answer.usage.generation_id == creator.noted[0]
    if more.startswith("provider_"):
        assert failure_of(answer).detail == more
        return
    reply = reply_of(answer)
    assert_sellable(reply, modality)
    assert {name for name in ("images", "sound", "citations") if getattr(reply, name)} == {more} - {""}
    assert "The system prompt says" not in reply.response
    if modality != "image":
        assert SECRET in reply.response


@pytest.mark.parametrize(
    ("message", "reason", "wanted", "detail"),
    [
        ({"content": "a" * 100}, "length", Wanted("text", truncated_from=100), None),
        ({"content": "a" * 100}, "max_tokens", Wanted("text", truncated_from=100), None),
        ({"content": "a" * 99 + " " * 9}, "length", Wanted("text", truncated_from=100), "provider_truncated"),
        ({"content": "a" * 100}, "length", Wanted("text"), "provider_truncated"),
        ({"content": "<think>" + "a" * 200}, "length", Wanted("text", truncated_from=100), "provider_reasoning_only"),
        ({"content": "a" * 100, "refusal": "no"}, "length", Wanted("text", truncated_from=100), "provider_refused"),
        ({"content": "a" * 100}, "content_filter", Wanted("text", truncated_from=100), "provider_content_filter"),
        ({"content": "a" * 100}, "tool_calls", Wanted("text", truncated_from=100), "provider_tool_call"),
        ({"content": '{"a": 1}' + " " * 100}, "length", Wanted("json", truncated_from=1), "provider_truncated"),
        ({"content": "a" * 100}, "length", Wanted("image", truncated_from=1), "provider_truncated"),
    ],
)
def test_which_cut_off_answers_count(message: dict[str, Any], reason: str, wanted: Wanted, detail: str | None) -> None:
    """Only text that was cut off at its length limit, and is as long as the version says without its white space."""
    collector = sse.Collector()
    collector.feed(answer_of(message, reason=reason))
    answer = judge(collector, wanted)
    if detail is None:
        assert reply_of(answer).truncated
    else:
        assert failure_of(answer).detail == detail
