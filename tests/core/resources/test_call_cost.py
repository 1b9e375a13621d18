"""What a call costs at most and at least, against bills of a reader of prices that shares nothing with ours."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.failures import InvalidInput
from core.resources import call_cost
from core.resources import draft as drafts
from core.settings import settings
from tests.model_lists import read
from tests.selling import content

TIERED: dict[str, Any] = {
    "prompt": "0.000005",
    "completion": "0.00003",
    "overrides": [{"min_prompt_tokens": 272_000, "prompt": "0.00001", "completion": "0.000045"}],
}


def written(**changes: object) -> drafts.Draft:
    return drafts.read(content(parameters=[], template="Say hello.", max_output_tokens=200) | changes)


def searching(model_id: str, fee: str) -> Any:
    return read(
        id=model_id,
        pricing={"prompt": "0.000001", "completion": "0.000001", "web_search": fee},
        supported_parameters=["web_search_options"],
    )


def picturing(model_id: str = "maker/pictures", **pricing: str) -> Any:
    return read(
        id=model_id,
        architecture={"input_modalities": ["text"], "output_modalities": ["image", "text"]},
        pricing={"prompt": "0.000002", "completion": "0.000012"} | pricing,
    )


def test_a_search_that_nobody_asked_for_is_paid() -> None:
    """A model that searches once costs that at least; one that researches, as often as the setting says."""
    once, often = searching("perplexity/sonar", "0.005"), searching("perplexity/sonar-deep-research", "0.005")

    assert call_cost.least_cost_usd(written(), once) > Decimal("0.005")
    assert Decimal("0.005") < call_cost.worst_cost_usd(written(), once) < Decimal("0.01")
    assert call_cost.worst_cost_usd(written(), often) > settings().search_limit * Decimal("0.005")
    with pytest.raises(InvalidInput):
        call_cost.refuse_certain_loss(written(price_usdc="0.003"), once)


@pytest.mark.parametrize("tokens", [16, 4096])
def test_a_picture_is_the_least_of_an_image_prompt(tokens: int) -> None:
    """However few tokens are allowed, it costs a picture; no advice says that fewer would help."""
    model = picturing("google/gemini-3-pro-image", image_output="0.00012")
    wanted = written(modality="image", price_usdc="0.05", max_output_tokens=tokens)

    assert call_cost.least_cost_usd(wanted, model) > Decimal("0.134")
    assert call_cost.worst_cost_usd(wanted, model) > Decimal("0.24")
    assert call_cost.is_certain_loss(wanted, model)
    (warning,) = call_cost.warnings(wanted, model)
    assert "does not bound a picture" in warning
    assert call_cost.least_cost_usd(written(), model) < Decimal("0.001")


def test_a_picture_with_a_price_of_its_own_costs_that() -> None:
    """It is in the most besides the tokens of a picture, and in the least if those cost nothing."""
    wanted, only = written(modality="image"), {"prompt": "0", "completion": "0"}
    plain, both = picturing(image_output="0.00001"), picturing(image_output="0.00001", image="0.04")

    fee = Decimal("0.04")
    assert call_cost.worst_cost_usd(wanted, both) - call_cost.worst_cost_usd(wanted, plain) == fee
    assert call_cost.least_cost_usd(wanted, both) == call_cost.least_cost_usd(wanted, plain)
    assert call_cost.least_cost_usd(wanted, picturing(**only, image="0.04")) == fee


def test_tokens_of_a_picture_come_from_our_log() -> None:
    """What a model's pictures had counts at least; at most never less than the default."""
    unknown = picturing(image_output="0.0001")
    seen = [unknown.model_copy(update={"logged_picture_tokens": tokens}) for tokens in ((300, 500), (5_000, 9_000))]
    wanted = written(modality="image")

    least = [call_cost.least_cost_usd(wanted, model) for model in (seen[0], unknown, seen[1])]
    assert least == sorted(least)
    assert least[2] - least[0] == (5_000 - 300) * Decimal("0.0001")
    most = [call_cost.worst_cost_usd(wanted, model) for model in (seen[0], unknown, seen[1])]
    assert most[0] == most[1]
    assert most[2] - most[1] == (9_000 - 4_200) * Decimal("0.0001")


def test_a_draft_is_priced_at_the_tier_that_it_can_reach() -> None:
    """A long template below the tier is not refused for a price that never applies to it; one above it is priced so."""
    model = read(context_length=1_000_000, pricing=TIERED)
    below, above = (
        written(template="x" * 95_000, price_usdc="0.1"),
        written(allows_user_message=True, template="x" * 99_000 + "{a}{/a}" * 9, parameters=[{"name": "a"}]),
    )

    call_cost.refuse_certain_loss(below, model)
    assert call_cost.worst_cost_usd(below, model) < Decimal("0.49")
    always = read(context_length=1_000_000, pricing=TIERED["overrides"][0] | {"min_prompt_tokens": None})
    assert call_cost.worst_cost_usd(above, model) == call_cost.worst_cost_usd(above, always)


def test_tokens_that_are_cached_cost_what_that_costs() -> None:
    """A provider that caches by itself bills it dearer than the prompt, and any prompt may be cached whole."""
    plain, cached = (
        read(pricing={"prompt": "0.000001", "completion": "0", **more})
        for more in ({}, {"input_cache_write": "0.00000125", "input_cache_read": "0.0000001"})
    )
    worst = [call_cost.worst_cost_usd(written(), model) for model in (plain, cached)]

    assert worst[1] == worst[0] * Decimal("1.25")


@pytest.mark.usefixtures("credit")
def test_credit_costs_its_fee() -> None:
    """What OpenRouter bills was bought with 5.5 percent on top; other providers have settings of their own."""
    ours = read(pricing=TIERED)
    least, worst = call_cost.least_cost_usd(written(), ours), call_cost.worst_cost_usd(written(), ours)
    elsewhere = ours.model_copy(update={"id": "anthropic:claude-sonnet-4-5"})

    assert least == call_cost.least_cost_usd(written(), elsewhere) * Decimal("1.055")
    assert worst == call_cost.worst_cost_usd(written(), elsewhere) * Decimal("1.055")


def test_a_picture_in_the_prompt_has_its_price() -> None:
    """Its own price and its tokens are in the most; its own price is in the least, if buyers must send it."""
    reader = {"input_modalities": ["text", "image", "file"], "output_modalities": ["text"]}
    plain = {"prompt": "0.000001", "completion": "0.000001"}
    wide, model = (
        read(architecture=reader, pricing=plain, context_length=10**6),
        read(architecture=reader, pricing=plain),
    )
    photo, paper = {"name": "photo", "type": "image"}, {"name": "paper", "type": "file"}
    none, one, two = (written(parameters=parameters) for parameters in ([], [photo], [photo, photo | {"name": "b"}]))
    fee = read(architecture=reader, pricing=plain | {"image": "0.003", "image_token": "0.000004"}, context_length=10**6)

    worst = [call_cost.worst_cost_usd(draft, wide) for draft in (none, one, two)]
    assert worst[1] - worst[0] > 16_384 * Decimal("0.000001")
    assert worst[2] - worst[1] > 16_384 * Decimal("0.000001")
    # A file fills the context, and nothing is longer than that.
    assert call_cost.worst_cost_usd(written(parameters=[paper]), model) == Decimal("0.000001") * (8_192 + 200)
    assert call_cost.worst_cost_usd(one, fee) - worst[1] == Decimal("0.003") + 16_384 * Decimal("0.000003")
    assert call_cost.least_cost_usd(one, fee) - call_cost.least_cost_usd(none, fee) == Decimal("0.003")
    assert call_cost.least_cost_usd(written(parameters=[photo | {"required": False}]), fee) < Decimal("0.003")
    with pytest.raises(InvalidInput):
        call_cost.refuse_certain_loss(written(parameters=[photo], price_usdc="0.002"), fee)


KEYS = (
    *("prompt", "completion", "internal_reasoning", "request", "input_cache_read", "input_cache_write", "image"),
    *("input_cache_write_1h", "image_token", "image_output", "web_search", "audio", "audio_output", "tool_call"),
)
price = st.integers(0, 10**6).map(lambda millionths: f"{millionths}e-6")
prices = st.dictionaries(st.sampled_from(KEYS), price, max_size=len(KEYS))
# Among all keys, those of pictures rarely decide; and a picture costs more than a token.
whole = st.integers(0, 99_999).map(str)
reading = st.fixed_dictionaries({"prompt": price, "image": whole, "image_token": price})
conditions = st.fixed_dictionaries(
    {}, optional={"min_prompt_tokens": st.sampled_from([1, 500, 1_100, 5_000]), "utc_start": st.sampled_from([0, 1200])}
)
overrides = st.lists(st.tuples(conditions, prices).map(lambda pair: pair[1] | pair[0]), max_size=3)
outputs = st.sampled_from([["text"], ["image"], ["image", "text"]])
attachments = st.lists(st.sampled_from(["image", "image", "file"]), max_size=3)


def bill(pricing: dict[str, Any], call: st.DataObject, draft: drafts.Draft, *, images: bool, searches: int) -> Decimal:
    """Bill one call as OpenRouter documents its prices. This reader knows nothing of ours."""

    is_greedy = call.draw(st.booleans())

    def some(most: int) -> int:
        return most if is_greedy else call.draw(st.integers(0, most))

    sent = [parameter.type for parameter in draft.parameters]
    attached = sum(11 + (16_384 if kind == "image" else 8_192) for kind in sent)
    prompt = some(min(8_192, len(draft.template) + 1_024 + attached))
    hour = call.draw(st.sampled_from([0, 1200]))
    now = {key: value for key, value in pricing.items() if key != "overrides"}
    for entry in pricing["overrides"]:
        if prompt > entry.get("min_prompt_tokens", -1) and hour == entry.get("utc_start", hour):
            now |= entry
    usd = {key: Decimal(now[key]) for key in KEYS if key in now}
    pictured = some(min(prompt, 16_384 * sent.count("image")))
    written = some(prompt - pictured)
    cached = some(prompt - pictured - written)
    answer = some(draft.max_output_tokens)
    thought = some(answer)
    drawn = some(answer - thought) if images else 0
    beyond = some(4_200) if images else 0
    image = max(usd.get(key, usd["completion"]) for key in ("image_output", "image_token"))
    owed = {
        "prompt": (prompt - pictured - written - cached) * usd["prompt"],
        "pictured": pictured * usd.get("image_token", usd["prompt"]),
        "sent": sent.count("image") * usd.get("image", Decimal(0)),
        "written": written * usd.get("input_cache_write", usd["prompt"]),
        "cached": cached * usd.get("input_cache_read", usd["prompt"]),
        "answer": (answer - thought - drawn) * usd["completion"],
        "thought": thought * max(usd.get("internal_reasoning", usd["completion"]), usd["completion"]),
        "images": (drawn + beyond) * image,
        "picture": usd.get("image", Decimal(0)) if images else Decimal(0),
        "request": usd.get("request", Decimal(0)),
        "searches": some(searches) * usd.get("web_search", Decimal(0)),
        "unheard of": 1_000 * usd.get("tool_call", Decimal(0)),
    }
    return sum(owed.values(), Decimal(0))


@given(
    call=st.data(),
    base=prices | reading,
    more=overrides,
    makes=outputs,
    sent=attachments,
    searches=st.booleans(),
    size=st.integers(1, 7_000),
)
def test_no_bill_is_above_the_most(
    call: st.DataObject,
    base: dict[str, str],
    more: list[dict[str, Any]],
    makes: list[str],
    sent: list[str],
    searches: bool,
    size: int,
) -> None:
    """Whatever a row lists, its model is not sellable or no call costs more than we say, pictures in it or not."""
    pricing = {"prompt": "0", "completion": "0"} | base | {"overrides": more}
    model = read(
        architecture={"input_modalities": ["text", "image", "file"], "output_modalities": makes},
        pricing=pricing,
        supported_parameters=["web_search_options"] if searches else [],
    )
    if model.not_sellable:
        return
    parameters = [{"name": f"p{number}", "type": kind, "max_bytes": 9} for number, kind in enumerate(sent)]
    draft = written(template="x" * size, modality="image" if "image" in makes else "text", parameters=parameters)

    most = bill(pricing, call, draft, images="image" in makes, searches=settings().search_limit if searches else 0)

    assert most <= call_cost.worst_cost_usd(draft, model)
