"""Describe to OpenAPI what creators see of their calls, keys and notices; names are spelled as on the wire."""

from typing import Literal

from pydantic import BaseModel, Field


class Execution(BaseModel):
    """A call, for the creator who sold it."""

    id: str
    slug: str
    version: int
    kind: Literal["paid", "test"]
    state: Literal["held", "queued", "running", "succeeded", "failed", "declined", "void"]
    code: str | None = Field(description="what its buyer is told")
    fault: Literal["buyer", "creator", "provider", "ours"] | None
    detail: str | None = Field(description="the precise cause", examples=["provider_402"])
    advice: str | None = Field(description="what you can do about it")
    truncated: bool = Field(description="it succeeded with an answer that was cut off, as your version lets count")
    leak: Literal["canary", "overlap"] | None = Field(
        description="what the delivered answer gives away of your template: our canary, or a long part of it"
    )
    round: int
    sends: int = Field(description="requests to the provider in this round")
    createdAt: str
    finishedAt: str | None
    paidUsdc: str | None = Field(description="US dollars; null when nothing is paid")
    network: str | None
    transaction: str | None
    refund: Literal["due", "recorded", "waived"] | None
    model: str | None = Field(description="which one answered")
    inputTokens: int | None
    outputTokens: int | None
    costUsd: str | None = Field(description="what the provider charged, all rounds together; null if it did not say")


class History(BaseModel):
    """Executions, newest first."""

    executions: list[Execution]
    next: str | None = Field(description="for `after`; null on the last page")


class Figures(BaseModel):
    """Sums over a number of calls. Money is in US dollars; times are in milliseconds and within 9.1 %."""

    subject: str | None = Field(description="the day, the resource … that they have in common")
    calls: int = Field(description="a re-run is a call of its own")
    succeeded: int
    truncated: int = Field(description="of these, with an answer that was cut off, as your version lets count")
    watched: int = Field(description="of these, with an answer that gave your template away")
    withheld: int = Field(description="failed or declined, because the answer gave your template away")
    failed: int
    declined: int = Field(description="by the buyer's own doing; counts as answered")
    success: str | None = Field(description="whole answers, of those that were not declined", examples=["0.9731"])
    faultCreator: int
    faultProvider: int
    faultOurs: int
    charged: int = Field(description="not answered, and charged by the provider all the same, or perhaps")
    inputTokens: int
    outputTokens: int
    revenueUsdc: str
    costUsd: str = Field(description="what the provider said it charged")
    estimatedCostUsd: str | None = Field(
        description="what the tokens that providers counted cost at today's list prices; null if a price is unknown"
    )
    costUnknown: int = Field(description="calls that may have cost something that nobody knows")
    marginUsd: str = Field(description="at least")
    p50Ms: int | None
    p95Ms: int | None
    p99Ms: int | None
    upstreamP95Ms: int | None
    queueP95Ms: int | None
    refunds: int = Field(description="calls that stayed unanswered, and were or are owed back")
    refundedUsdc: str = Field(description="of their price, what was paid back")
    dueUsdc: str = Field(description="of their price, what is still owed")
    failures: dict[str, int] = Field(
        description="calls by their three commonest codes of failure; only by resource, version, creator and model",
        examples=[{"provider_503": 4}],
    )


class Cause(BaseModel):
    """A cause of failed calls, and what you can do about it."""

    detail: str
    fault: Literal["buyer", "creator", "provider", "ours"]
    calls: int
    charged: int
    advice: str | None


class UsageReport(BaseModel):
    """Sales of whole days (UTC), from `since` to the day before `until`."""

    since: str
    until: str
    completeUntil: str = Field(description="when this was read; every call that was at rest then is counted")
    inProgress: int = Field(description="paid calls that are not at rest yet, and are counted when they are")
    rows: list[Figures]
    total: Figures | None
    causes: list[Cause]


class Key(BaseModel):
    """A provider key that is stored sealed."""

    label: str = Field(description="its masked form", examples=["sk-or-v1-0e6...1c96"])
    enabled: bool = Field(description="your own switch")
    rejectedAt: str | None = Field(description="since when its provider refuses it; nothing is sold on it then")
    checkedAt: str = Field(description="when its provider last confirmed it")
    limitRemainingUsd: str | None = Field(description="US dollars left under its own limit then; null without a limit")
    expiresAt: str | None = Field(description="when it stops working (UTC); null if never")
    obstacle: str | None = Field(description="why nothing is sold on it now, as a code; null when something can be")
    advice: str | None = Field(description="what to do about that")


class NewKey(BaseModel):
    """A key to store, a switch for the stored one, or both."""

    key: str | None = Field(default=None, examples=["sk-or-v1-…"])
    enabled: bool | None = None


class Forgotten(BaseModel):
    """The effect of deleting a key."""

    affectedResources: int = Field(description="how many of your prompts cannot be bought now")


class KeyCard(BaseModel):
    """Your key at one provider, or the place for one. The key itself is never shown."""

    provider: str = Field(examples=["openrouter"])
    title: str = Field(examples=["OpenRouter"])
    health: Literal["sound", "missing", "disabled", "rejected", "expired", "spent"]
    obstacle: str | None = Field(description="why nothing is sold on it now, as a code; null when something can be")
    advice: str | None = Field(description="what to do about that")
    label: str | None = Field(description="its masked form; null without a key", examples=["sk-or-v1-0e6...1c96"])
    enabled: bool | None = Field(description="your own switch")
    setAt: str | None = Field(description="since when it is stored (UTC)")
    checkedAt: str | None = Field(description="when its provider last confirmed it")
    rejectedAt: str | None = Field(description="since when its provider refuses it")
    expiresAt: str | None = Field(description="when it stops working (UTC); null if never")
    lastUsedAt: str | None = Field(description="when a call last used your key there")
    limitUsd: str | None = Field(description="US dollars of its own limit; null without one")
    limitReset: str | None = Field(description="how often that limit starts anew", examples=["monthly"])
    limitRemainingUsd: str | None = Field(description="US dollars left under that limit when it was last checked")
    products: list[str] = Field(description="your prompts on sale that need it")
    keysUrl: str | None = Field(description="where you make, limit and delete keys")
    creditUrl: str | None = Field(description="where you buy credit and see your limits")


class ChangedKey(BaseModel):
    """A card after a change, and what the change did."""

    card: KeyCard | None = Field(description="null if there is no such provider any more")
    stops: list[str] = Field(description="your prompts that were sold before, and are not now")
    revives: list[str] = Field(description="your prompts that were not sold before, and are now")


class KeyToSet(BaseModel):
    """A key, as its provider wrote it."""

    key: str = Field(examples=["sk-or-v1-…"])


class KeySwitch(BaseModel):
    """Your switch of the stored key."""

    enabled: bool


class Connection(BaseModel):
    """A connection to OpenRouter that waits for you to agree."""

    authorizationUrl: str = Field(description="OpenRouter's page; open it in a browser")
    expiresAt: str = Field(description="until when it can be finished (UTC)")


class KeyLimits(BaseModel):
    """What the new key may do; without any of these it has no limit."""

    limitUsd: str | None = Field(default=None, description="US dollars that it may spend", examples=["20.00"])
    limitReset: Literal["daily", "weekly", "monthly"] | None = Field(
        default=None, description="how often that limit starts anew; without it, never"
    )
    expiresAt: str | None = Field(default=None, description="when it stops working", examples=["2031-01-31T00:00:00Z"])


class ConnectionCode(BaseModel):
    """What is in the address that the browser came back to."""

    state: str
    code: str


class KeyChange(BaseModel):
    """A change of your key."""

    at: str
    event: Literal["set", "connected", "imported", "enabled", "disabled", "rejected", "deleted"]
    by: Literal["creator", "operator", "provider"]
    label: str = Field(description="the masked key")


class KeyUse(BaseModel):
    """The calls of one day (UTC) that one key was opened for."""

    day: str
    label: str = Field(description="the masked key")
    calls: int
    lastUsedAt: str


class KeyLog(BaseModel):
    """The last 100 changes and the uses of the last 90 days, newest first, also of keys that are deleted."""

    changes: list[KeyChange]
    uses: list[KeyUse]


class NoticeAddress(BaseModel):
    """An address that notices are sent to. Its URL is not shown again."""

    id: str
    name: str
    scheme: str = Field(examples=["ntfys"])
    createdAt: str


class NewNoticeAddress(BaseModel):
    """An apprise URL and its name."""

    url: str = Field(
        pattern=r"^[a-z][a-z0-9]{1,19}://[\x21-\x7e]{1,1000}$", examples=["ntfys://ntfy.example.org/a-topic"]
    )
    name: str = Field(default="", max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")


class Delivery(BaseModel):
    """The delivery of a notice to one address."""

    name: str
    state: Literal["waiting", "sending", "sent", "failed"]
    tries: int
    reason: str | None
    triedAt: str | None


class Notice(BaseModel):
    """Something you should know, and what to do about it."""

    id: str
    foundAt: str
    rule: str = Field(examples=["success_low"])
    slug: str | None
    title: str
    body: str
    facts: dict[str, object] = Field(description="what `title` and `body` say, for programs")
    sent: list[Delivery]


def _body(model: type[BaseModel]) -> dict[str, object]:
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


NEW_NOTICE_ADDRESS = _body(NewNoticeAddress)
NEW_KEY = _body(NewKey)
KEY_TO_SET = _body(KeyToSet)
KEY_SWITCH = _body(KeySwitch)
CONNECTION_CODE = _body(ConnectionCode)
KEY_LIMITS = _body(KeyLimits)
