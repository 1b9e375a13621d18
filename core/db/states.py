"""The words that the schema allows in a column. Written by `make queries`; do not edit."""

from typing import Literal

from core.failures import Fault, OutcomeCode
from core.settings import Mode

__all__ = [
    "AttemptReason",
    "DeliveryState",
    "ExecutionKind",
    "ExecutionState",
    "Fault",
    "InputsIn",
    "KeyActor",
    "KeyEvent",
    "Leak",
    "Modality",
    "Mode",
    "ModelModality",
    "NoticeRule",
    "Outcome",
    "OutcomeCode",
    "PaymentState",
    "PromptShield",
    "ReasoningEffort",
    "RefundState",
    "Span",
    "Streamed",
    "SyncOutcome",
    "Tier",
    "TransferState",
    "Verification",
    "WebhookEvent",
    "WorkerKind",
]

PaymentState = Literal["settling", "paid", "failed", "unknown"]
Verification = Literal["not_asked", "pending", "agrees", "transfer_missing", "transfer_differs"]
ExecutionState = Literal["held", "queued", "running", "succeeded", "failed", "declined", "void"]
ExecutionKind = Literal["paid", "test"]
Leak = Literal["canary", "overlap"]
AttemptReason = Literal["first", "resend", "rerun", "takeover"]
RefundState = Literal["due", "recorded", "waived"]
TransferState = Literal["sending", "paid", "void"]
Outcome = Literal["succeeded", "failed", "declined"]
Span = Literal["hour", "day", "month"]
Modality = Literal["text", "json", "image"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
PromptShield = Literal["off", "watch", "block"]
Streamed = Literal["progress", "text"]
InputsIn = Literal["template", "user"]
ModelModality = Literal["text", "image", "video", "audio", "embedding", "multimodal", "other"]
Tier = Literal["budget", "free", "premium", "standard", "unknown"]
SyncOutcome = Literal["applied", "not_modified", "refused"]
WorkerKind = Literal["door", "executor", "run", "recovery", "schedule"]
NoticeRule = Literal[
    "call_too_dear",
    "calls_unusual",
    "cap_reached",
    "chain_differs",
    "cost_unusual",
    "failures_charged",
    "key_failing",
    "key_low",
    "key_old",
    "listing_differs",
    "model_leaving",
    "payer_unusual",
    "payout_changing",
    "prompt_leaking",
    "refunds_repeated",
    "refunds_unpaid",
    "refused_often",
    "sold_below_cost",
    "spend_unusual",
    "success_low",
    "webhook_disabled",
    "weekly_digest",
]
KeyEvent = Literal["set", "connected", "imported", "enabled", "disabled", "rejected", "deleted"]
KeyActor = Literal["creator", "operator", "provider"]
DeliveryState = Literal["waiting", "sending", "sent", "failed"]
WebhookEvent = Literal["call.sold", "call.failed", "product.paused", "key.trouble"]
