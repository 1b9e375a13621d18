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
    "Modality",
    "Mode",
    "ModelModality",
    "NoticeRule",
    "Outcome",
    "OutcomeCode",
    "PaymentState",
    "ReasoningEffort",
    "RefundState",
    "Span",
    "SyncOutcome",
    "Tier",
    "Verification",
    "WorkerKind",
]

PaymentState = Literal["settling", "paid", "failed", "unknown"]
Verification = Literal["not_asked", "pending", "agrees", "transfer_missing", "transfer_differs"]
ExecutionState = Literal["held", "queued", "running", "succeeded", "failed", "declined", "void"]
ExecutionKind = Literal["paid", "test"]
AttemptReason = Literal["first", "resend", "rerun", "takeover"]
RefundState = Literal["due", "recorded", "waived"]
Outcome = Literal["succeeded", "failed", "declined"]
Span = Literal["hour", "day", "month"]
Modality = Literal["text", "json", "image"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
ModelModality = Literal["text", "image", "video", "audio", "embedding", "multimodal", "other"]
Tier = Literal["budget", "free", "premium", "standard", "unknown"]
SyncOutcome = Literal["applied", "not_modified", "refused"]
WorkerKind = Literal["door", "executor", "run", "recovery", "schedule"]
NoticeRule = Literal[
    "success_low",
    "failures_charged",
    "cost_unusual",
    "calls_unusual",
    "key_failing",
    "key_low",
    "chain_differs",
    "refunds_repeated",
    "model_leaving",
    "payout_changing",
]
DeliveryState = Literal["waiting", "sending", "sent", "failed"]
