"""Reading one row of OpenRouter's list."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model_lists import any_price, priced, read

CHARGED = ("prompt", "completion", "request", "image_output", "internal_reasoning", "input_cache_write")


def test_a_row_is_read() -> None:
    """The columns come from the documented places, and the row is kept whole with what we do not know."""
    model = read(request_limits={"new": [1, None]})

    assert model.model_dump(exclude={"raw"}) == {
        "id": "maker/model",
        "name": "Maker: Model",
        "modality": "text",
        "capabilities": (),
        "alias_target": None,
        "released_at": None,
        "expires_on": None,
        "context_length": 8192,
        "max_completion_tokens": 4096,
        "input_modalities": ("text",),
        "output_modalities": ("text",),
        "supported_parameters": ("temperature",),
        "prompt_usd": Decimal("0.000001"),
        "completion_usd": Decimal("0.000002"),
        "request_usd": Decimal(0),
        "image_output_usd": None,
        "cache_usd": None,
        "search_usd": None,
        "picture_usd": None,
        "price_tiers": (),
        "prices": {"prompt": Decimal("0.000001"), "completion": Decimal("0.000002")},
        "not_sellable": None,
        "curated": False,
        "modality_override": None,
        "disabled": False,
        "missing_since": None,
        "logged_picture_tokens": None,
        "successor": None,
    }
    assert model.raw["request_limits"] == {"new": [1, None]}


@pytest.mark.parametrize(
    ("model_id", "reason"),
    [
        ("maker/model", None),
        ("maker/model:thinking", None),
        ("maker/model:extended", None),
        ("maker/model:free", "free_variant"),
        ("maker/model:batch", "batch_only"),
        ("maker/model:online", "variant"),
        ("maker/model:nitro", "variant"),
        ("maker/model:any_value-new", "variant"),
        ("~maker/model-latest", "alias"),
        ("openrouter/auto", "router"),
        ("@preset/mine", "router"),
        ("maker/model@preset/mine", "router"),
    ],
)
def test_forms_of_ids(model_id: str, reason: str | None) -> None:
    """Forms that change cost or behaviour are not sellable; variants are allow-listed, not deny-listed."""
    assert read(id=model_id).not_sellable == reason


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        (["text"], None),
        (["image"], "images_endpoint"),
        (["image", "text"], None),
        (["embeddings"], "unsupported_modality"),
        (["audio"], "unsupported_modality"),
        (["text", "audio"], "unsupported_modality"),
        ([], "unsupported_modality"),
        (None, "unsupported_modality"),
        ("text", "unsupported_modality"),
    ],
)
def test_modalities(outputs: object, reason: str | None) -> None:
    """Only models whose whole output we deliver and price are sellable."""
    assert read(architecture={"output_modalities": outputs}).not_sellable == reason


@pytest.mark.parametrize(
    "price", ["-1", "-0.1", "", "free", "NaN", "Infinity", "1_0", " 1", "١", "1.", ".5", 0.1, True, [], "1e999", "1e6"]
)
@pytest.mark.parametrize("key", CHARGED)
def test_an_unknown_price_is_not_sellable(key: str, price: object) -> None:
    """A price that is negative or no decimal string makes the model not sellable, and never free."""
    model = priced(**{key: price})

    assert model.not_sellable == "unknown_price"
    assert model.prompt_usd is model.completion_usd is model.request_usd is None


@pytest.mark.parametrize(
    "pricing",
    [
        None,
        {},
        [],
        {"prompt": "1"},
        {"completion": "1"},
        {"prompt": "1", "completion": "1", "overrides": {"prompt": "2"}},
        {"prompt": "1", "completion": "1", "overrides": ["2"]},
        {"prompt": "1", "completion": "1", "overrides": [{"completion": "-1"}]},
    ],
)
def test_an_incomplete_price_is_not_sellable(pricing: object) -> None:
    """Missing prices, and overrides that cannot be read, are unknown prices."""
    assert read(pricing=pricing).not_sellable == "unknown_price"


@pytest.mark.parametrize(
    ("inputs", "outputs", "kind"),
    [
        (["text"], ["text"], "text"),
        (["text", "file"], ["text"], "text"),
        (["text", "image"], ["text"], "multimodal"),
        (["audio"], ["text"], "multimodal"),
        (["text"], ["image", "text"], "image"),
        (["text", "image"], ["video"], "video"),
        (["text"], ["text", "audio"], "audio"),
        (["text"], ["speech"], "audio"),
        (["text"], ["embeddings"], "embedding"),
        (["text"], ["rerank"], "embedding"),
        (["audio"], ["transcription"], "other"),
        (["text"], ["text", "file"], "other"),
        (["text", "image"], ["3d"], "other"),
        ([], [], "other"),
    ],
)
def test_the_kind_of_a_model(inputs: list[str], outputs: list[str], kind: str) -> None:
    """What a model makes says what it is; one that makes text is multimodal if it takes more than that."""
    assert read(architecture={"input_modalities": inputs, "output_modalities": outputs}).modality == kind


def test_capabilities_are_facts() -> None:
    """A badge needs a listed fact; a name that promises everything earns none."""
    name = {"id": "openai/gpt-4o-vision-search-tools-reasoning", "name": "Vision Search Tools", "description": "tools"}
    everything = read(
        architecture={"input_modalities": ["text", "image", "audio", "file"], "output_modalities": ["text", "image"]},
        supported_parameters=["tools", "response_format", "structured_outputs", "reasoning"],
        pricing={"prompt": "1", "completion": "1", "web_search": "0.01", "input_cache_read": "0"},
        top_provider={"is_moderated": True},
    )

    assert read(**name).capabilities == ()
    assert " ".join(everything.capabilities) == (
        "vision audio_input files image_output tools json structured_outputs reasoning web_search prompt_caching"
        " moderated"
    )
    assert priced(web_search="0").capabilities == priced(web_search="-1").capabilities == ()


@pytest.mark.parametrize(
    ("fields", "column", "value"),
    [
        ({"expiration_date": "2026-12-15"}, "expires_on", date(2026, 12, 15)),
        ({"expiration_date": "2098-12-31"}, "expires_on", None),
        ({"expiration_date": "2027-01-05T23:30:00Z"}, "expires_on", date(2027, 1, 5)),
        ({"expiration_date": "2027-01-05T23:30:00-02:00"}, "expires_on", date(2027, 1, 6)),
        ({"expiration_date": 1799107200}, "expires_on", date(2027, 1, 5)),
        ({"expiration_date": "1799107200"}, "expires_on", date(2027, 1, 5)),
        ({"expiration_date": "0001-01-01T00:00:00+14:00"}, "expires_on", None),
        ({"expiration_date": "soon"}, "expires_on", None),
        ({"expiration_date": 20261215}, "expires_on", None),
        ({"created": 1746611317}, "released_at", datetime(2025, 5, 7, 9, 48, 37, tzinfo=UTC)),
        ({"created": 1746611317.0}, "released_at", datetime(2025, 5, 7, 9, 48, 37, tzinfo=UTC)),
        ({"created": "1746611317"}, "released_at", datetime(2025, 5, 7, 9, 48, 37, tzinfo=UTC)),
        ({"created": -1}, "released_at", None),
        ({"context_length": 128000.0}, "context_length", 128_000),
        ({"context_length": "128000"}, "context_length", 128_000),
        ({"context_length": 128000.5}, "context_length", None),
        ({"context_length": "128k"}, "context_length", None),
        ({"created": 10**20}, "released_at", None),
        ({"created": True}, "released_at", None),
        ({"alias_target": {"name": "A", "slug": "maker/a"}}, "alias_target", "maker/a"),
        ({"alias_target": {"slug": "a b"}}, "alias_target", None),
        ({"alias_target": "maker/a"}, "alias_target", None),
    ],
)
def test_what_else_a_row_says(fields: dict[str, Any], column: str, value: object) -> None:
    """Ends, births, aliases and descriptions are read where they are what they should be."""
    assert getattr(read(**fields), column) == value


def test_an_end_that_cannot_be_read_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It reads like no end, so somebody must hear of it; the absence of one is nothing to tell."""
    read(expiration_date=None)
    read(expiration_date="2098-12-31")
    assert caplog.messages == []
    read(expiration_date="soon")
    assert caplog.messages == ["catalog: the end of maker/model cannot be read"]


def test_prices_that_no_call_of_ours_is_charged() -> None:
    """An odd price for something we never ask for does not stop the sale."""
    assert priced(web_search="-1", audio=None, input_cache_write_1h="?", image="?").not_sellable is None


def test_exact_prices() -> None:
    """The longest price seen in a real catalog survives digit by digit; exponents and integers are prices too."""
    assert priced(prompt="0.0000000416666666666667").prompt_usd == Decimal("0.0000000416666666666667")
    assert priced(prompt="4e-7").prompt_usd == Decimal("0.0000004")
    assert priced(prompt=0).prompt_usd == 0


def test_a_discount_is_not_counted_on() -> None:
    """A discount may end at any time, so the worst case leaves it out."""
    assert priced(discount=0.5).prompt_usd == Decimal("0.000001")


@pytest.mark.parametrize("surcharge", [-0.5, "-0.5", -1])
def test_a_surcharge_is_no_discount(surcharge: object) -> None:
    """What a negative discount adds to a call is in no price, so the price is unknown."""
    assert priced(discount=surcharge).not_sellable == "unknown_price"
    assert priced(overrides=[{"min_prompt_tokens": 9, "discount": surcharge}]).not_sellable == "unknown_price"


def test_reasoning_that_costs_more_than_answers() -> None:
    """Reasoning tokens count as answer tokens, so the dearer of the two is the price of an answer token."""
    assert priced(internal_reasoning="0.000009").completion_usd == Decimal("0.000009")
    assert priced(internal_reasoning="0").completion_usd == Decimal("0.000002")


def test_a_key_that_is_null_is_not_listed() -> None:
    """Lists have absent keys in that form too; the two prices that every model has must be there."""
    assert priced(request=None, image_output=None, internal_reasoning=None, new_key=None).not_sellable is None
    assert priced(prompt=None).not_sellable == priced(completion=None).not_sellable == "unknown_price"


def test_a_key_that_we_do_not_know_is_never_free() -> None:
    """Nobody can tell what it charges, so nothing is sold; 0 charges nothing."""
    for value in ("0.05", 1, "-1", "?", [], {}, True):
        assert priced(tool_call=value).not_sellable == "unknown_price"
        assert priced(overrides=[{"min_prompt_tokens": 1, "tool_call": value}]).not_sellable == "unknown_price"
    for zero in ("0", "0.000", 0, 0.0):
        assert priced(tool_call=zero).not_sellable is None


@pytest.mark.parametrize("key", ["image", "image_token", "audio", "input_cache_write_1h", "web_search"])
def test_prices_of_0_beside_another_are_not_free(key: str) -> None:
    """What our calls are not charged by must be charged for something, so a model without other prices is not free."""
    model = priced(prompt="0", completion="0", **{key: "0.04"})

    assert (model.not_sellable, model.prompt_usd) == ("unknown_price", None)
    assert priced(prompt="0", completion="0", **{key: "0"}).not_sellable is None


@pytest.mark.parametrize("outputs", [["image"], ["audio"], ["text", "audio"], ["video"], ["3d"]])
def test_pictures_and_sounds_are_not_free(outputs: list[str]) -> None:
    """Where they are made and no price is listed for them, they are billed in some other way."""
    model = read(architecture={"output_modalities": outputs}, pricing={"prompt": "0", "completion": "0"})

    assert model.completion_usd is None
    assert model.not_sellable in ("unknown_price", "unsupported_modality", "images_endpoint")


def test_prices_of_pictures() -> None:
    """The dearer price per token counts, and one per picture, for models that make pictures."""
    pricing = {"prompt": "0", "completion": "0", "image": "0.04", "image_token": "0.00003", "image_output": "0.00001"}
    makes = read(architecture={"output_modalities": ["image"]}, pricing=pricing)
    takes = read(pricing=pricing | {"completion": "0.000002"})

    assert (makes.picture_usd, makes.image_output_usd) == (Decimal("0.04"), Decimal("0.00003"))
    assert (takes.picture_usd, takes.image_output_usd) == (None, Decimal("0.00001"))


def test_searches_count_for_models_that_search_unasked() -> None:
    """All others search only if they are asked to, and we never ask."""
    searches = read(
        pricing={"prompt": "1", "completion": "1", "web_search": "0.005"}, supported_parameters=["web_search_options"]
    )

    assert searches.search_usd == Decimal("0.005")
    assert priced(web_search="0.005").search_usd is None


def test_tiers_are_kept_apart() -> None:
    """Each has all prices that apply above its length; one at the end of the context is never reached."""
    model = read(
        context_length=128_000,
        pricing={
            "prompt": "0.000001",
            "completion": "0.000002",
            "input_cache_read": "0.0000001",
            "overrides": [
                {"min_prompt_tokens": 64_000, "completion": "0.00001"},
                {"min_prompt_tokens": 32_000, "prompt": "0.000004", "input_cache_read": "0.0000002"},
                {"min_prompt_tokens": 128_000, "prompt": "1"},
                {"min_prompt_tokens": 1_000, "utc_start": 0, "utc_end": 100, "prompt": "0.000003"},
                {"utc_start": 0, "utc_end": 100, "completion": "0.000003"},
            ],
        },
    )

    assert (model.prompt_usd, model.completion_usd) == (Decimal("0.000001"), Decimal("0.000003"))
    assert [(tier.above, tier.prompt_usd, tier.completion_usd) for tier in model.price_tiers] == [
        (1_000, Decimal("0.000003"), Decimal("0.000003")),
        (32_000, Decimal("0.000004"), Decimal("0.000003")),
        (64_000, Decimal("0.000004"), Decimal("0.00001")),
    ]
    assert model.price_tiers[-1].prices["input_cache_read"] == Decimal("0.0000002")
    at = {tokens: model.charges_at(tokens).prompt_usd for tokens in (0, 1_000, 1_001, 32_000, 32_001, 10**6)}
    assert [int((price or 0) * 1_000_000) for price in at.values()] == [1, 1, 3, 3, 4, 4]


charged = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("prompt", "completion", "request", "image_output"), any_price)
)


@given(base=charged, overrides=st.lists(charged), hour=st.integers(0, 2359), above=st.sampled_from([0, 1, None, "1"]))
def test_the_worst_price_per_key(
    base: dict[str, str], overrides: list[dict[str, str]], hour: int, above: object
) -> None:
    """Each price is the maximum over the list price and all overrides, in whatever order and on whatever condition."""
    base = {"prompt": "0", "completion": "0"} | base
    conditional = [{"utc_start": hour, "min_prompt_tokens": above} | override for override in overrides]

    model = read(pricing=base | {"overrides": conditional}).charges_at(2)

    for key in ("prompt", "completion", "request", "image_output"):
        worst = max((Decimal(entry[key]) for entry in (base, *overrides) if key in entry), default=None)
        assert getattr(model, f"{key}_usd") == (Decimal(0) if key == "request" and worst is None else worst)
