"""Draw the sign of a product: its first letter, in a colour of its own. Icons of sellers lie on other servers."""

import hashlib

from markupsafe import Markup


def badge(handle: str, slug: str, *, large: bool = False) -> Markup:
    """Return an inline SVG. Its colour follows from the address, and white is legible on it."""
    hue = int.from_bytes(hashlib.sha256(f"{handle}/{slug}".encode()).digest()[:2], "big") % 360
    letter = next((character.upper() for character in slug if character.isalnum()), "·")
    return Markup(
        '<svg class="badge{size}" viewBox="0 0 40 40" aria-hidden="true" focusable="false">'
        '<rect width="40" height="40" rx="11" fill="hsl({hue} 38% 36%)"/>'
        '<text x="20" y="27" text-anchor="middle" font-size="20" font-weight="600" fill="#fff">{letter}</text></svg>'
    ).format(size=" large" if large else "", hue=hue, letter=letter)
