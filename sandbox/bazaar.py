"""The practice facilitator's list of services: what offers tell of themselves, read as x402's own SDK reads it."""

from collections import OrderedDict

from x402.extensions.bazaar import BAZAAR, DiscoveredResource, extract_discovery_info
from x402.schemas import PaymentPayload, PaymentRequirements

_MOST = 10_000

KEY = BAZAAR.key


class Listing:
    """Services by their address, the last settled ones last. It ends with the process."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, DiscoveredResource] = OrderedDict()
        self._rejected = 0

    def note(self, payload: PaymentPayload, requirements: PaymentRequirements) -> None:
        """List what was just paid for, if its offer tells lists of it; a block that is invalid counts as rejected."""
        if not payload.extensions or KEY not in payload.extensions:
            return
        known = self._found.get(payload.resource.url) if payload.resource else None
        if known and known.extensions == payload.extensions:
            return
        found = extract_discovery_info(payload, requirements)
        if found is None:
            self._rejected += 1
            return
        self._found[found.resource_url] = found
        while len(self._found) > _MOST:
            self._found.popitem(last=False)

    def page(self) -> dict[str, object]:
        """The list, and how many blocks were rejected."""
        items = [
            {
                "resource": url,
                "method": found.method,
                "description": found.description,
                "serviceName": found.service_name,
                "tags": found.tags,
                "iconUrl": found.icon_url,
                "info": found.discovery_info.model_dump(by_alias=True, exclude_none=True),
            }
            for url, found in self._found.items()
        ]
        return {"items": items, "rejected": self._rejected}
