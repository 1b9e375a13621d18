"""Every obstacle to a sale is explained to its creator."""

import re

from core.resources import readiness
from core.resources.obstacles import ADVICE
from core.spend import reservations


def test_every_obstacle_has_an_advice() -> None:
    """The codes are those that `readiness` promises, and what was never published."""
    promised = re.search(r"first obstacle \((.+?)\)", readiness.readiness.__doc__ or "", re.DOTALL)

    assert promised is not None
    named = {code for code in re.split(r",\s+", promised.group(1)) if not code.startswith("a cap of")}
    assert {*named, *reservations.CAPS, "draft"} == ADVICE.keys()
