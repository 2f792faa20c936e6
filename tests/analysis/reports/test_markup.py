"""Elements of HTML and SVG: nothing but `Markup` is written as it is."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from iam_guard.analysis.reports.markup import Markup, joined, link, tag
from iam_guard.policy.grammar import shown
from tests.tables import table


@table(
    "element, written",
    [
        (tag("p", "a < b & c"), "<p>a &lt; b &amp; c</p>"),
        (tag("p", tag("b", "1"), " of <2>"), "<p><b>1</b> of &lt;2&gt;</p>"),
        (
            tag("td", class_="x", aria_label="\"'", colspan=2, rowspan=None),
            '<td class="x" aria-label="&quot;&#x27;" colspan="2"></td>',
        ),
        (tag("meta", name="viewport", http_equiv="refresh"), '<meta name="viewport" http-equiv="refresh">'),
        (tag("p", "tab\there, \u202eturned"), "<p>tab\\u0009here, \\u202eturned</p>"),
        (joined(["<", tag("br"), ">"], ", "), "&lt;, <br>, &gt;"),
        (tag("p", tag("b", "1") + "<i>"), "<p>&lt;b&gt;1&lt;/b&gt;&lt;i&gt;</p>"),
        (link("javascript:alert(1)", "x"), '<a href="#javascript:alert(1)">x</a>'),
    ],
)
def test_text_is_escaped_and_elements_are_not(element: Markup, written: str) -> None:
    assert element == written


class Reader(HTMLParser):
    """Collects what a browser would see of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(), st.text())
def test_parser_reads_the_same_texts_again(content: str, value: str) -> None:
    reader = Reader()
    reader.feed(tag("p", content, title=value))
    reader.close()
    assert (reader.tags, reader.attributes, reader.text) == (["p"], [("title", shown(value))], shown(content))
