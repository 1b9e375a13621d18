"""Pages for people, at the addresses that programs use: server-rendered, and without a build step.

`negotiation` decides who gets a page, `rendering` makes one of a template, `assets` serves what pages load, `errors`
turns problem documents into pages, `forms` reads what is typed. The other modules each serve the pages of one kind;
`desk` those of creators, `operator` the operator's.
"""

__all__ = (
    "assets",
    "desk",
    "errors",
    "executions",
    "forms",
    "negotiation",
    "operator",
    "products",
    "rendering",
    "shop",
)
