"""Read what a model's row says about reasoning: the tokens that a model spends before it answers, and that are paid.

The field `reasoning` of OpenRouter's `GET /models` is {mandatory, default_enabled?, default_effort?,
supported_efforts?}; `supported_efforts` is null or absent where every effort is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from core.catalog.model import Model
from core.db.states import ReasoningEffort

EFFORTS: tuple[ReasoningEffort, ...] = get_args(ReasoningEffort)
"""All efforts, the least first."""

_USUAL: ReasoningEffort = "medium"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How a model reasons.

    Attributes:
        mandatory: whether it cannot be switched off.
        default_effort: how hard it reasons unless it is asked otherwise; `none` if it does not.
        efforts: the efforts that it may be asked for, the least first; none if it cannot be asked.
    """

    mandatory: bool
    default_effort: ReasoningEffort
    efforts: tuple[ReasoningEffort, ...]


def reasoning_of(model: Model) -> Reasoning:
    """Read how a model reasons. Fields of unexpected types count as missing."""
    listed = model.raw.get("reasoning")
    row: Mapping[str, object] = listed if isinstance(listed, dict) else {}
    mandatory = row.get("mandatory") is True
    reasons = mandatory or row.get("default_enabled") is True
    usual = next((effort for effort in EFFORTS if effort == row.get("default_effort")), _USUAL)
    supported = row.get("supported_efforts")
    named: tuple[object, ...] = (*supported, "none") if isinstance(supported, list) else EFFORTS
    can_be_asked = "reasoning" in model.supported_parameters
    efforts = tuple(effort for effort in EFFORTS if effort in named and not (mandatory and effort == "none"))
    return Reasoning(mandatory, usual if reasons else "none", efforts if can_be_asked else ())
