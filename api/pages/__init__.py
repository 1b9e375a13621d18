"""Pages for people, at the addresses that programs use: server-rendered, and without a build step.

`negotiation` decides who gets a page, `rendering` makes one of a template, `assets` serves what pages load, `errors`
turns problem documents into pages. The other modules each serve the pages of one kind.
"""

__all__ = ["assets", "errors", "executions", "negotiation", "products", "rendering", "shop"]
