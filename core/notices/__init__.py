"""Send notices to creators and the operator, at most one a week about each matter.

`rules` finds the matters in the usage, `messages` writes the texts, `addresses` and `webhooks` store the destinations,
for people and for programs, and `outbox` and `posting` deliver through `sender`. `sender_process` and `post_process`
are the processes that send; `egress_guard` keeps them from files and internal networks.
"""

__all__ = ("addresses", "messages", "outbox", "posting", "rules", "webhooks")
