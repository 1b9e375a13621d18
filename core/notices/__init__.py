"""Tell creators and the operator what they should know: rules over the usage, at most weekly, sent where they want it.

`rules` finds what is worth a notice, `messages` words it, `addresses` holds where it goes, and `outbox` delivers it
through `sender`. The sending process is `sender_process`; `egress_guard` keeps it from files and inner networks.
"""

__all__ = ("addresses", "messages", "outbox", "rules")
