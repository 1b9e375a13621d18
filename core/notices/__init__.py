"""Send notices to creators and the operator, at most one a week about each matter.

`rules` finds the matters in the usage, `messages` writes the texts, `addresses` stores the destinations, and `outbox`
delivers through `sender`. `sender_process` is the process that sends; `egress_guard` keeps it from files and internal
networks.
"""

__all__ = ("addresses", "messages", "outbox", "rules")
