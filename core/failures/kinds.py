"""Define every failure that we raise, as a small tree of codes.

Failure(code)                     str() is the code and nothing else, so it is safe in any log
  ├─ InvalidInput(fields)         the buyer's request, refused before any payment    -> 400
  ├─ NotFound                     no such resource or execution                      -> 404
  ├─ PaymentRequired              no payment, or one that we cannot accept           -> 402
  ├─ PaymentMalformed             a payment header that is not a payment             -> 400
  ├─ PaymentConflict              this payment already bought something else         -> 409
  ├─ Unavailable                  we cannot sell this now; nothing was charged       -> 503
  ├─ UnsupportedBody              a body that is not JSON, and says so               -> 415
  ├─ TooLarge                     a body or a header above its limit                 -> 413, 431
  ├─ TooManyRequests              one address or one wallet asks too often           -> 429
  │    └─ TooManyFailures         a wallet's calls of one product failed too often   -> 429
  ├─ TooManyUndecided             one wallet has too many undecided payments         -> 429
  ├─ SlugTaken(slug)              the creator has a resource with that slug          -> 409
  ├─ KeyReused                    an Idempotency-Key that named another request      -> 409
  ├─ Changed                      a resource was changed since it was read           -> 412
  ├─ PreconditionRequired         a change that does not say what it was made from   -> 428
  ├─ SwitchFailed(detail)         the owner's test on another model gave no answer    -> 409
  ├─ OwnTestRefused(detail)       the owner's test of a prompt cannot run now          -> 409
  ├─ Unauthorized                 a missing or wrong token                           -> 401
  ├─ Forbidden(scopes)            a token that may not do this                       -> 403
  ├─ Denied(code)                 a sign-in or session that may not do this          -> 403
  ├─ AccountBusy(...)             an account with calls that are not at rest         -> 409
  ├─ Unreadable                   a sealed value that no configured master key opens
  ├─ ExecutionFailed(code, fault) one execution failed: recorded in its row, never raised for its batch
  └─ Misconfigured(sentence)      the operator must change something before we start -> exit 2

`api/problems.py` maps failures to HTTP statuses and to sentences for buyers. A Failure never carries foreign text,
a value or a cause. The text of any other exception may quote a secret, so logs get `place_of` it and nothing else.
"""

from collections.abc import Sequence
from typing import Literal

Fault = Literal["buyer", "creator", "provider", "ours"]
# What a buyer is told about an execution without an answer; its creator gets the precise cause.
OutcomeCode = Literal["content_filtered", "generation_timeout", "resource_unavailable", "internal_error"]
DenialCode = Literal["cross_site", "identity_unknown", "sign_in_needed", "wallet_unknown"]
ConflictCode = Literal["other_request", "identifier_reused", "not_yours_to_read"]


class Failure(Exception):
    """Base of all failures that we raise.

    Args:
        code: a word of ours, in lower_snake_case.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class InvalidInput(Failure):
    """The buyer's inputs do not fit; `fields` maps each field to one sentence about it."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("invalid_input")
        self.fields = fields


class NotFound(Failure):
    """There is nothing at this address."""

    def __init__(self) -> None:
        super().__init__("not_found")


class PaymentRequired(Failure):
    """No payment, or one that was refused with certainty: the buyer may sign another."""


class PaymentMalformed(Failure):
    """The payment header cannot be read as an x402 payment; `member` names the one that is missing or malformed."""

    def __init__(self, member: str | None = None) -> None:
        super().__init__("payment_malformed")
        self.member = member


class PaymentConflict(Failure):
    """The payment was used for another request, or its bearer did not prove to be the sender."""

    def __init__(self, code: ConflictCode) -> None:
        super().__init__(code)
        self.code: ConflictCode = code


class Unavailable(Failure):
    """Not sellable now. The code is for our logs; buyers get one sentence."""


class UnsupportedBody(Failure):
    """The body is of another media type or charset than we read, or it is compressed."""

    def __init__(self) -> None:
        super().__init__("unsupported_media_type")


class TooLarge(Failure):
    """`body_too_large` or `header_too_large`; `limit` in bytes."""

    def __init__(self, code: Literal["body_too_large", "header_too_large"], limit: int) -> None:
        super().__init__(code)
        self.limit = limit


class TooManyRequests(Failure):
    """Too many requests; `until` is the unix time (UTC, seconds) from which the next one is accepted."""

    def __init__(self, until: float) -> None:
        super().__init__("too_many_requests")
        self.until = until


class TooManyFailures(TooManyRequests):
    """Too many calls of one product that a wallet paid for failed at its creator's cost; `until` as above."""

    def __init__(self, until: float) -> None:
        super().__init__(until)
        self.code = "too_many_failures"


class TooManyUndecided(Failure):
    """A wallet has `payments` undecided payments, which is the limit; the first may be decided in `seconds`."""

    def __init__(self, payments: int, seconds: float) -> None:
        super().__init__("too_many_undecided")
        self.payments = payments
        self.seconds = seconds


class SwitchFailed(Failure):
    """The owner's test on another model gave no answer, so what is on sale did not change.

    Args:
        detail: the precise cause, a code of ours such as `provider_404`.
        advice: a sentence that says what the creator can do.
    """

    def __init__(self, detail: str, advice: str) -> None:
        super().__init__("test_failed")
        self.detail, self.advice = detail, advice

    def __str__(self) -> str:
        return f"the test gave no answer ({self.detail}), so nothing was changed. {self.advice}"


class SlugTaken(Failure):
    """A creator's slug is never given to another resource, not even after archiving; the code is x402.jobs' own."""

    def __init__(self, slug: str) -> None:
        super().__init__("SLUG_TAKEN")
        self.slug = slug


class KeyReused(Failure):
    """An Idempotency-Key came back with another request."""

    def __init__(self) -> None:
        super().__init__("idempotency_key_reused")


class Changed(Failure):
    """A resource was changed since the revision that its creator saw (RFC 9110, 13.1.1)."""

    def __init__(self) -> None:
        super().__init__("changed_meanwhile")


class PreconditionRequired(Failure):
    """A change that could undo another says nothing of what it was made from (RFC 6585, 3)."""

    def __init__(self) -> None:
        super().__init__("precondition_required")


class OwnTestRefused(Failure):
    """The owner's test of a prompt cannot run now; `detail` is the cause, and `advice` a sentence about what to do."""

    def __init__(self, detail: str, advice: str) -> None:
        super().__init__("test_refused")
        self.detail, self.advice = detail, advice


class Unauthorized(Failure):
    """The bearer token, operator token or status token is missing or wrong."""

    def __init__(self) -> None:
        super().__init__("unauthorized")


class Forbidden(Failure):
    """The token is good, and may not do this: it lacks these `scopes`."""

    def __init__(self, scopes: Sequence[str]) -> None:
        super().__init__("scope_missing")
        self.scopes = tuple(scopes)


class Denied(Failure):
    """A sign-in or a session may not do this, for the reason that the code names."""

    def __init__(self, code: DenialCode) -> None:
        super().__init__(code)
        self.code: DenialCode = code


class AccountBusy(Failure):
    """An account cannot be closed: so many calls run, are owed, or have payments that may still land."""

    def __init__(self, running: int, owed: int, undecided: int) -> None:
        super().__init__("account_busy")
        self.running, self.owed, self.undecided = running, owed, undecided


class Unreadable(Failure):
    """A sealed value was altered, moved to another row, or sealed under a master key that is not configured."""

    def __init__(self) -> None:
        super().__init__("sealed_value_unreadable")


class ExecutionFailed(Failure):
    """One execution ended without an answer.

    Args:
        code: the code for the buyer.
        fault: the party that caused it.
        detail: the precise cause for the creator, a code of ours such as `provider_401`.
        resend: whether the same request may be sent once more.
        retry_after: seconds that the provider asked us to wait before that.
    """

    def __init__(
        self,
        code: OutcomeCode,
        fault: Fault,
        detail: str,
        *,
        resend: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code)
        self.code: OutcomeCode = code
        self.fault: Fault = fault
        self.detail = detail
        self.resend = resend
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code} ({self.detail})"

    def __reduce__(self) -> tuple[type["ExecutionFailed"], tuple[OutcomeCode, Fault, str]]:
        return type(self), (self.code, self.fault, self.detail)


class Misconfigured(Failure):
    """The settings or the environment are wrong; the sentence says what to do."""
