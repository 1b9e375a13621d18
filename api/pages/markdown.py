"""Show a model's text as Markdown without HTML of its own, and without loading anything that it names."""

from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

# Longer texts are shown as they are: a page that long is read elsewhere.
_MOST_CHARACTERS = 200_000
_LINK = {"rel": "noopener nofollow ugc", "target": "_blank"}


class _Renderer(RendererHTML):
    """Links tell nobody where they come from and stand for no opinion of ours; a picture is a link, unopened."""

    def link_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        """Open a link."""
        tokens[index].attrs.update(_LINK)
        return self.renderToken(tokens, index, options, env)

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        """Name a picture by its text."""
        token = tokens[index]
        text = self.renderInlineAsText(token.children or [], options, env) or "picture"
        return str(outside_link(str(token.attrs.get("src", "")), text))


_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}, renderer_cls=_Renderer).enable(
    ["table", "strikethrough"]
)


def rendered(text: str) -> Markup:
    """Render Markdown: CommonMark with tables and every line break, and HTML in it as text."""
    if len(text) > _MOST_CHARACTERS:
        return Markup('<pre class="wrap">{}</pre>').format(text)
    return Markup(_markdown.render(text))  # noqa: S704 - HTML in the text is escaped: `html` is off


def outside_link(url: str, text: str) -> Markup:
    """Link an address that a model named; one of another scheme than http or https stays text."""
    if not url.lower().startswith(("https://", "http://")):
        return escape(text)
    return Markup('<a href="{}" rel="noopener nofollow ugc" target="_blank">{}</a>').format(url, text)
