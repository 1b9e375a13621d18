"""Seeded, bounded fault drills against the real product; each ends with one line of JSON and is ok or not.

The drills or the practice servers inject the faults, never the product's own code.
"""
