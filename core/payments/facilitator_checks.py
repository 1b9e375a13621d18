"""Ask each facilitator, before anything is sold, whether it serves our network."""

import asyncio
import logging
from collections.abc import Mapping

from core.failures import Misconfigured
from core.payments.facilitator import Facilitator, Trouble
from core.settings import member

log = logging.getLogger(__name__)

STOPS = frozenset({"redirected", "unauthorised", "not_supported"})
"""What only other settings help against (decision 0019): a door that starts so would sell nothing there."""


_PATIENCE_SECONDS = 3
"""How long a start waits for an answer, which a door asks for again while it runs."""


async def check_facilitators(facilitators: Mapping[str, Facilitator], *, is_selling: bool) -> None:
    """Ask every facilitator what it supports, and log a warning for what may mend by itself.

    Args:
        facilitators: by the id of their network, in the order of INSTANT_NETWORKS.
        is_selling: whether the caller sells. Who only runs what was paid starts in any case.

    Raises:
        Misconfigured: one does not serve our network, or not under this URL or with these credentials. The sentence
            names the member of INSTANT_NETWORKS.
    """
    looks = await asyncio.gather(*map(look, facilitators.values()))
    for position, trouble in enumerate(looks):
        if trouble is None:
            continue
        sentence = f"{member(position, 'facilitator_url')}: /supported {trouble.words}"
        if is_selling and trouble.outcome in STOPS:
            raise Misconfigured(sentence)
        log.warning("%s", sentence)


async def look(facilitator: Facilitator) -> Trouble | None:
    """Ask one what it supports; return what is wrong, also if it takes too long."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await facilitator.look()
    except TimeoutError:
        return facilitator.trouble("timed_out")
