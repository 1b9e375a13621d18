"""Spell addresses as wallets and facilitators expect them."""

from functools import lru_cache

from eth_utils.address import to_checksum_address


@lru_cache(maxsize=4096)
def checksummed(address: str) -> str:
    """Return an address in EIP-55's mixed case. It is kept: to hash it takes 50 us, and one sale needs seven of few.

    Raises:
        ValueError: it is no address.
    """
    return to_checksum_address(address)
