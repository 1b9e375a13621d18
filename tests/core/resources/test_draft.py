"""Drafts: prices without floats, refusals without quotations, and true worst cases."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import amounts
from core.failures import InvalidInput
from core.resources import call_cost, template
from core.resources import draft as drafts
from core.resources.parameters import Parameter
from core.settings import settings
from tests.selling import content, model

prices = st.decimals(min_value=0, max_value=1, places=24).map(abs)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


@given(st.integers(min_value=1000, max_value=9_999_999_999_999))
def test_a_price_survives_being_written_and_read(atomic: int) -> None:
    """Every price is read back exactly."""
    assert atomic == amounts.atomic_usdc(amounts.usdc(atomic))


@given(st.one_of(st.text(max_size=20), st.from_regex(r"[0-9]{1,9}(\.[0-9]{0,8})?", fullmatch=True)))
def test_a_price_is_exact_or_refused(text: str) -> None:
    """An accepted price means exactly its digits."""
    try:
        atomic = amounts.atomic_usdc(text)
    except ValueError:
        return

    assert atomic == Decimal(text) * 1_000_000


@pytest.mark.parametrize("price", ["2.01", "0.001", 1, "1", "0.010000"])
def test_prices_that_floats_get_wrong(price: object) -> None:
    """2.01 is 2010000, not 2009999."""
    assert Decimal(str(price)) * 1_000_000 == drafts.read(content(price_usdc=price)).price_atomic


@pytest.mark.parametrize(
    "price",
    [
        0.01,
        2.01,
        True,
        None,
        "0.0009",
        "0",
        "-1",
        "+1",
        "1e-2",
        "NaN",
        "Infinity",
        "",
        " 0.01",
        "0.0000001",
        "١",
        "1_0",
    ],
)
def test_what_is_no_price(price: object) -> None:
    """Floats, signs, exponents, blanks and anything below 0.001 are refused by name."""
    with pytest.raises(InvalidInput) as caught:
        drafts.read(content(price_usdc=price))

    assert list(caught.value.fields) == ["price_usdc"]


@pytest.mark.parametrize("changes", [{"truncated_from_characters": 99}, {"modality": "json"}, {"modality": "image"}])
def test_what_may_be_cut_off(changes: dict[str, object]) -> None:
    """Only text, and never less than a hundred characters."""
    assert drafts.read(content(truncated_from_characters=100)).truncated_from_characters == 100
    with pytest.raises(InvalidInput) as caught:
        drafts.read(content(**{"truncated_from_characters": 100} | changes))

    assert "truncated_from_characters" in str(caught.value.fields)


def test_what_is_wrong_is_named_without_being_quoted() -> None:
    """Each wrong field has its sentence, and no sentence repeats the template."""
    with pytest.raises(InvalidInput) as caught:
        drafts.read(
            content(slug="No", template="canary" * 20_000, timeout_seconds=1, temperature=3, title="\0", extra="canary")
        )

    assert {"slug", "template", "timeout_seconds", "temperature", "title", "extra"} == set(caught.value.fields)
    assert "canary" not in str(caught.value.fields)


def test_blank_lines_and_words_for_flags_are_refused() -> None:
    """A title of spaces is empty, spaces around one are no part of it, and only true and false are flags."""
    with pytest.raises(InvalidInput) as caught:
        drafts.read(content(title=" \t", zdr="true", listed=1))

    assert caught.value.fields == {
        "title": "must not be empty",
        "zdr": "must be true or false",
        "listed": "must be true or false",
    }
    assert drafts.read(content(title=" Haiku ")).title == "Haiku"


@given(
    first=st.tuples(prices, prices, prices, st.integers(0, 100), st.integers(16, 1000), st.booleans()),
    more=st.tuples(prices, prices, prices, st.integers(0, 100), st.integers(0, 1000), st.booleans()),
)
def test_the_worst_case_never_falls_when_anything_grows(first: Any, more: Any) -> None:
    """More template, more output, more inputs or a higher price never make the worst case smaller, and none of it
    is rounded."""

    def worst(prompt: Decimal, completion: Decimal, request: Decimal, size: int, output: int, message: bool) -> Decimal:
        wanted = content(template="x" * (size + 1), max_output_tokens=output, allows_user_message=message)
        prices = {"prompt_usd": prompt, "completion_usd": completion, "request_usd": request}
        return call_cost.worst_cost_usd(drafts.read(wanted | {"parameters": []}), model(**prices))

    grown = tuple(a or b if isinstance(a, bool) else a + b for a, b in zip(first, more, strict=True))

    assert worst(*first) <= worst(*grown)
    assert worst(*first[:3], *grown[3:]) <= worst(*grown)


@given(
    pieces=st.lists(st.one_of(texts, st.sampled_from(["{a}{/a}", "{b}{/b}"])), min_size=1, max_size=12),
    values=st.tuples(texts, texts, texts),
    default=texts,
    message=st.booleans(),
)
def test_the_worst_case_bounds_every_prompt(
    pieces: list[str], values: tuple[str, str, str], default: str, message: bool
) -> None:
    """No valid inputs make a prompt of more bytes than the worst case counts as tokens."""
    parameters = (
        Parameter(name="a", required=False, default=default),
        Parameter(name="b", max_length=len(values[1]) or None),
    )
    wanted = drafts.read(
        content(template="".join(pieces) or "x", allows_user_message=message) | {"parameters": parameters}
    )
    inputs = {"a": values[0], "b": values[1]} | ({"user_message": values[2]} if message else {})
    sent = template.messages(wanted.template, parameters, inputs)
    a_dollar_a_token = model(prompt_usd=Decimal(1), completion_usd=Decimal(0), context_length=None)

    assert sum(len(turn["content"].encode()) for turn in sent) <= call_cost.worst_cost_usd(wanted, a_dollar_a_token)


def test_an_input_is_paid_for_up_to_its_own_length() -> None:
    """What no buyer can send is not in the worst case: four bytes a character, as often as the template has it."""
    a_dollar_a_token = model(prompt_usd=Decimal(1), completion_usd=Decimal(0), context_length=None)

    def worst(**limits: object) -> Decimal:
        wanted = content(template="{topic}{/topic}" * 2, parameters=[{"name": "topic"} | limits])
        return call_cost.worst_cost_usd(drafts.read(wanted), a_dollar_a_token)

    assert worst(max_length=10) - worst(max_length=1) == 9 * 4 * 2
    assert worst() == worst(max_length=settings().value_limit)
    assert worst(max_length="10") == worst(max_length=10), "as a YAML file gives it"


@pytest.mark.parametrize(
    "limits",
    [{"max_length": 0}, {"max_length": 20_001}, {"max_length": "five"}, {"max_length": 5, "default": "longer"}],
)
def test_a_length_that_cannot_be_held_is_refused(limits: dict[str, object]) -> None:
    """At least one character, at most what any value may have, and room for the default."""
    with pytest.raises(InvalidInput) as caught:
        drafts.read(content(parameters=[{"name": "topic"} | limits]))

    assert all(field.startswith("parameters") for field in caught.value.fields)


def test_a_template_that_repeats_an_input_pays_for_each_time() -> None:
    """One value in three places is sent three times."""
    a_dollar_a_token = model(prompt_usd=Decimal(1), completion_usd=Decimal(0), context_length=None)
    once, thrice = (
        call_cost.worst_cost_usd(drafts.read(content(template="{topic}{/topic}" * times)), a_dollar_a_token)
        for times in (1, 3)
    )

    assert thrice - once >= 2 * 4 * settings().value_limit


def test_the_worst_case_stops_at_the_models_window_and_takes_the_dearest_output() -> None:
    """More than the context length cannot be sent, and image tokens count where they cost more."""
    narrow = model(
        prompt_usd=Decimal("0.001"),
        completion_usd=Decimal("0.002"),
        image_output_usd=Decimal("0.003"),
        request_usd=Decimal("0.5"),
        context_length=100,
    )

    assert Decimal("0.001") * 100 + Decimal("0.003") * 4096 + Decimal("0.5") == call_cost.worst_cost_usd(
        drafts.read(content()), narrow
    )
