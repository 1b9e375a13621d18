"""Telling people what they should know without asking: rules over the usage, at most weekly, sent where they want it.

`rules` finds what is worth a notice, `words` says it, `address` holds where it goes, `delivery` brings it there by
`courier`, a process of its own that `guard` keeps from files and inner networks.
"""
