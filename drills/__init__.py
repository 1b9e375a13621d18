"""Seeded, bounded fault drills against the real thing; each ends with one line of JSON and is ok or not.

Whatever goes wrong in them is made to go wrong here or in the practice servers, never by the product's own code.
"""
