"""The provider's error table, row by row, in the exact form in which it travels, against the practice OpenRouter."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import problems
from core.providers import errors as provider_errors
from core.providers.errors import PROVIDER_ERRORS, provider_failure
from core.providers.finish import REASONS, finish_of
from core.providers.openrouter_errors import read_error, read_refusal
from tests.callers import PROMPT, Creator
from tests.core.providers.test_response import BODIES

# fault -> name of the failure, whether the provider has charged, whether it may be sent again
TABLE = {
    "status:400": ("provider_400", "no", False),
    "status:400;error_type=invalid_prompt": ("provider_400", "no", False),
    "status:400;error_type=content_policy_violation": ("provider_400_policy", "no", False),
    "status:400;error_type=refusal": ("provider_400_policy", "no", False),
    "status:400;error_type=context_length_exceeded": ("provider_400_too_long", "no", False),
    "status:400;availability=model_not_found": ("provider_400_gone", "no", False),
    "status:400;availability=wrong_endpoint;form=new": ("provider_400_gone", "no", False),
    "status:401": ("provider_401", "no", False),
    "status:402": ("provider_402", "no", False),
    "status:402;limit_source=openrouter_credits": ("provider_402", "no", False),
    "status:402;limit_source=openrouter_credits;reason=weight_exceeds_budget": ("provider_402_too_dear", "no", False),
    "status:402;limit_source=openrouter_in_flight_budget;reason=in_flight_budget_exhausted;retry_after=1": (
        "provider_402_in_flight",
        "no",
        True,
    ),
    "status:402;limit_source=openrouter_in_flight_budget": ("provider_402_in_flight", "no", True),
    "status:402;limit_source=openrouter_key_limit": ("provider_402_key_limit", "no", False),
    "status:402;limit_source=openrouter_workspace_budget": ("provider_402_budget", "no", False),
    "status:403": ("provider_403", "no", False),
    "status:403;error_type=content_policy_violation": ("provider_403", "no", False),
    "status:403;error_type=permission_denied": ("provider_403_denied", "no", False),
    "status:403;patterns=1": ("provider_403_guardrail", "no", False),
    "status:403;limit_source=openrouter_key_limit": ("provider_403_key_limit", "no", False),
    "status:403;limit_source=openrouter_workspace_budget": ("provider_403_budget", "no", False),
    "status:403;limit_source=openrouter_guardrail_budget": ("provider_403_budget", "no", False),
    "status:403;availability=region_restricted": ("provider_403_filtered", "no", False),
    "status:404": ("provider_404", "no", False),
    "status:404;availability=no_endpoints;form=new": ("provider_404", "no", False),
    "status:404;availability=temporarily_unavailable": ("provider_404", "no", True),
    "status:404;availability=model_deprecated": ("provider_404_gone", "no", False),
    "status:404;availability=model_unavailable_upstream": ("provider_404_gone", "no", False),
    "status:404;availability=free_variant_ended": ("provider_404_gone", "no", False),
    "status:404;availability=privacy_restricted": ("provider_404_filtered", "no", False),
    "status:404;availability=constraint_filtered": ("provider_404_filtered", "no", False),
    "status:408": ("provider_408", "perhaps", True),
    "status:409": ("provider_409", "no", False),
    "status:412": ("provider_412", "no", False),
    "status:413": ("provider_413", "no", False),
    "status:422": ("provider_422", "no", False),
    "status:429": ("provider_429", "no", True),
    "status:429;availability=capacity_exhausted;retry_after=1": ("provider_429", "no", True),
    "status:499": ("provider_499", "perhaps", True),
    "status:500": ("provider_500", "no", True),
    "status:500;body=none": ("provider_500", "no", True),
    "status:502": ("provider_502", "no", True),
    "status:502;body=html": ("provider_502", "no", True),
    "status:503": ("provider_503", "no", True),
    "status:503;availability=temporarily_unavailable;form=new": ("provider_503", "no", True),
    "status:503;availability=model_deprecated": ("provider_503", "no", False),
    "status:504": ("provider_504", "perhaps", True),
    "status:524;body=html": ("provider_524", "perhaps", True),
    "status:529": ("provider_529", "no", True),
    "status:520;body=html": ("provider_520", "perhaps", True),
    "status:521;body=html": ("provider_521", "no", True),
    "status:522;body=html": ("provider_522", "perhaps", True),
    "status:523;body=html": ("provider_523", "no", True),
    "status:525;body=html": ("provider_525", "no", True),
    "status:526;body=html": ("provider_526", "no", True),
    "status:527;body=html": ("provider_527", "perhaps", True),
    "status:530;body=html": ("provider_530", "no", True),
    "status:307": ("provider_307", "perhaps", False),
    "error_200": ("provider_502", "no", True),
    "error_200;code=401": ("provider_401", "no", False),
    "error_200;code=403": ("provider_403", "no", False),
    "error_200;code=504": ("provider_504", "perhaps", True),
    "error_200;code=429;form=new": ("provider_429", "no", True),
    "error_chunk": ("provider_502", "no", True),
    "error_chunk;code=429": ("provider_429", "no", True),
    "error_chunk;code=504;form=new": ("provider_504", "perhaps", True),
    "error_chunk;code=503;availability=model_deprecated": ("provider_503", "no", False),
    "finish_error": ("provider_502", "no", True),
    "finish_error;code=429": ("provider_429", "no", True),
    "no_choices": ("provider_malformed", "perhaps", True),
    "empty_choices": ("provider_malformed", "perhaps", True),
    "null_content": ("provider_empty", "yes", False),
    "empty": ("provider_empty", "yes", False),
    "truncated": ("provider_truncated", "yes", False),
    "reasoning_only": ("provider_reasoning_only", "yes", False),
    "tool_call": ("provider_tool_call", "yes", False),
    "filtered": ("provider_content_filter", "yes", False),
    "refusal": ("provider_refused", "yes", False),
    "html": ("provider_malformed", "perhaps", True),
    "cut": ("provider_cut", "perhaps", True),
}

# The provider's own kinds of error, each with its status, and our classification.
KINDS = {
    "provider_400": ("invalid_request", "invalid_prompt"),
    "provider_400_media": (
        *("invalid_image", "image_too_large", "image_too_small"),
        *("unsupported_image_format", "image_download_failed"),
    ),
    "provider_400_policy": ("content_policy_violation", "refusal"),
    "provider_400_too_long": (
        "context_length_exceeded",
        "max_tokens_exceeded",
        "token_limit_exceeded",
        "string_too_long",
    ),
    "provider_401": ("authentication",),
    "provider_402": ("payment_required",),
    "provider_403_denied": ("permission_denied",),
    "provider_404": ("not_found",),
    "provider_404_media": ("image_not_found",),
    "provider_412": ("precondition_failed",),
    "provider_413": ("payload_too_large",),
    "provider_422": ("unprocessable",),
    "provider_429": ("rate_limit_exceeded",),
    "provider_500": ("server", "unmapped"),
    "provider_502": ("provider_unavailable",),
    "provider_503": ("provider_overloaded",),
    "provider_504": ("timeout",),
}


@pytest.mark.parametrize("fault", TABLE)
async def test_each_row_has_one_name_and_one_send(creator: Creator, fault: str) -> None:
    """Each has its name, fault, possible cost and whether to send again; nothing is sent twice and no secret leaks."""
    name, charged, resend = TABLE[fault]
    await creator.order(f"{fault}*always")
    failure = await creator.fail()

    assert (failure.detail, provider_errors.charge_of(failure.detail), failure.resend) == (name, charged, resend)
    assert len((await creator.seen())["requests"]) == 1


@pytest.mark.parametrize("form", ["old", "new"])
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for name, kinds in KINDS.items() for kind in kinds])
async def test_each_kind_of_error_has_a_name(creator: Creator, kind: str, name: str, form: str) -> None:
    """The kind is in the metadata beside a code, or beside `http_status`."""
    await creator.order(f"status:{name.split('_')[1]};error_type={kind};form={form}")

    assert (await creator.fail()).detail == name


@pytest.mark.parametrize("fault", ["no_choices", "empty", "refusal", "truncated", "finish_error", "cut"])
async def test_what_comes_as_a_document_has_the_same_name(creator: Creator, fault: str) -> None:
    """A provider that ignores `stream` and answers with a document is read in the same way."""
    await creator.order(fault, f"{fault};plain=1")

    assert (await creator.fail()).detail == (await creator.fail()).detail


async def test_the_wait_that_the_provider_asks_for_is_kept(creator: Creator) -> None:
    """Retry-After is in seconds, also longer than the SDK would wait, or a date; availability may contain it too."""
    await creator.order("status:429;retry_after=900")
    assert (await creator.fail()).retry_after == 900
    await creator.order("status:429;retry_after=7", "status:503;availability=temporarily_unavailable;retry_after=2.5")
    assert (await creator.fail()).retry_after == 7
    assert (await creator.fail()).retry_after == 2.5
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    await creator.order(f"status:503;retry_after={date}")
    wait = (await creator.fail()).retry_after
    assert wait is not None
    assert 80 < wait <= 90


async def test_an_unknown_model_and_a_revoked_key_are_the_creators_trouble(creator: Creator) -> None:
    """Both arrive as real error envelopes, without a scripted fault."""
    unknown = await creator.fail(replace(PROMPT, model="no/such-model"))
    assert (unknown.fault, unknown.detail) == ("creator", "provider_400")
    await creator.order(revoked=True)
    revoked = await creator.fail()
    assert (revoked.fault, revoked.detail, revoked.resend) == ("creator", "provider_401", False)


@given(BODIES, st.integers(300, 599), st.text() | st.from_regex(r"\w{3}, \d\d \w{3} \d{4,6} \d\d:\d\d:\d\d [+-]?\w*"))
def test_any_refusal_is_a_failure(body: bytes, status: int, retry_after: str) -> None:
    """Errors of any shape are classified, and never ask for more than a day of patience."""
    failure = read_refusal(status, {"retry-after": retry_after}, body)
    assert failure.detail.startswith(f"provider_{status}")
    assert failure.retry_after is None or 0 <= failure.retry_after <= 86_400


def test_new_style_errors_without_code_are_read() -> None:
    """Availability errors were documented with `http_status` instead of `code`."""
    failure = read_error({"http_status": 429, "availability": {"retryable": True, "retry_after": 3}}, 502)
    assert (failure.detail, failure.resend, failure.retry_after) == ("provider_429", True, 3)


@pytest.mark.parametrize("name", PROVIDER_ERRORS)
def test_each_name_has_one_sentence_for_each_side(name: str) -> None:
    """The creator's sentence gives advice and is in the documentation; buyers get one of three sentences."""
    known = PROVIDER_ERRORS[name]
    advice = known.advice
    row = f"| `{name}` | {known.fault} | {known.charged} | {'yes' if known.resend else 'no'} | {advice} |"
    assert row in (Path(__file__).parents[3] / "docs" / "failures.md").read_text().splitlines()
    told = problems.of_failure(provider_failure(name)).body.decode()
    is_withheld = name == "withheld_canary"
    assert ("declined this input" in told) == (known.fault == "buyer" and not is_withheld)
    assert ("private instructions" in told) == is_withheld
    assert name not in told
    assert advice not in told


def test_every_finish_reason_is_documented() -> None:
    """The page names each known reason, and each is read without case."""
    page = (Path(__file__).parents[3] / "docs" / "failures.md").read_text()

    for reason, meaning in REASONS.items():
        assert f"`{reason}`" in page
        assert finish_of({"finish_reason": reason.upper()}) is meaning
