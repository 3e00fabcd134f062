"""A guideline as HTML: CommonMark with tables, in which nothing runs and nothing is fetched.

HTML in the text stays text, an image becomes a link to it, and a link leads only to http or https, in a tab of its
own that knows nothing of this one. What stands in the page is made by markdown-it alone.
"""

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

# Beneath the heading of the section that holds the text.
_LOWERED = 2
_LOWEST = 6
_LINK = {"rel": "noopener noreferrer nofollow", "target": "_blank"}


def _is_link(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme.lower() in {"http", "https"} and bool(parts.netloc)


class _Renderer(RendererHTML):
    """What differs from markdown-it's own: where links go, how deep headings stand, that images are none."""

    def link_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        for name, value in _LINK.items():
            tokens[at].attrSet(name, value)
        return self.renderToken(tokens, at, options, env)

    def heading_open(self, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType) -> str:
        tokens[at].tag = f"h{min(int(tokens[at].tag[1:]) + _LOWERED, _LOWEST)}"
        return self.renderToken(tokens, at, options, env)

    heading_close = heading_open


@lru_cache
def _parser() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table").disable("image")
    made.validateLink = _is_link  # type: ignore[assignment]
    return made


@lru_cache(32)
def draw(text: str) -> Markup:
    """Markdown as HTML: `draw("Read *twice*.")` → `<p>Read <em>twice</em>.</p>`."""
    return Markup(_parser().render(text))  # noqa: S704  HTML is off: every character of the text is escaped
