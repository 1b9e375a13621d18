"""Every obstacle to a sale is explained to its creator."""

import re

from core.resources import readiness
from core.resources.obstacles import ADVICE


def test_every_obstacle_has_an_advice() -> None:
    """The codes are those that `readiness` promises, and what was never published."""
    promised = re.search(r"first obstacle \((.+?)\)", readiness.readiness.__doc__ or "", re.DOTALL)

    assert promised is not None
    assert {*re.split(r",\s+", promised.group(1)), "draft"} == ADVICE.keys()
