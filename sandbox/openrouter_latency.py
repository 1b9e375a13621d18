"""Draw the latency of a practice answer, where it varies from call to call."""

import random
from collections.abc import Mapping, Sequence
from math import log, sqrt
from typing import Any

from sandbox.openrouter_answers import text_of

# Standard deviations between the median and either bound.
_NINETY_FIVE = 1.96


def drawn(between: tuple[float, float], messages: Sequence[Mapping[str, Any]]) -> float:
    """Draw seconds from a log-normal distribution; 95 percent fall between the two bounds, and none outside.

    The messages are the seed: the same messages take the same time, whoever sends them.
    """
    fastest, slowest = between
    if fastest == slowest:
        return fastest
    dice = random.Random("\n".join(map(text_of, messages)))  # noqa: S311 - it guards nothing
    seconds = dice.lognormvariate(log(sqrt(fastest * slowest)), log(slowest / fastest) / (2 * _NINETY_FIVE))
    return min(max(seconds, fastest), slowest)
