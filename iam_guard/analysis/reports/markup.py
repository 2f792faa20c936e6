"""HTML and SVG elements, in which every text is escaped.

Names and policies come from the tenants, so a text is data unless it is `Markup`, which `tag` and `joined` return, or
the style sheet. No attribute holds a script, and no link leaves the page: see `link`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from iam_guard.policy.grammar import shown

_VOID = frozenset({"br", "meta", "wbr"})
"""The elements without an end tag."""


class Markup(str):
    """HTML that is written as it is. An operation on it, such as `+`, returns a `str`, which is escaped again."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | float | None) -> Markup:
    """Return an element; content that is not `Markup` is text.

    `class_` and `aria_label` are the attributes `class` and `aria-label`; None leaves an attribute out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "" if name in _VOID else f"{joined(content)}</{name}>"
    return Markup(f"<{name}{written}>{end}")


def joined(parts: Iterable[str], separator: str = "") -> Markup:
    """Return the parts, one after the other; those that are not `Markup` are text."""
    return Markup(_safe(separator).join(map(_safe, parts)))


def link(anchor: str, *content: str, **attributes: str | None) -> Markup:
    """Return a link to the element of the page with this id."""
    return tag("a", *content, href=f"#{anchor}", **attributes)


def _safe(text: str) -> str:
    return text if isinstance(text, Markup) else _escaped(text)


def _escaped(text: str) -> str:
    """Return the text with control, bidirectional and other invisible characters shown, at most 2048 characters."""
    return escape(shown(text))
