"""Check how cells of tables are mended when the site is built."""

from __future__ import annotations

from docs.hooks import on_page_content, on_page_markdown

SENTENCE = "Maximum difference in seconds between a signature's time and the server's clock."


def test_comment_before_the_title_is_left_out() -> None:
    """MkDocs takes a title only from a heading that comes first."""
    assert on_page_markdown("<!-- generated -->\n\n# Errors\n\n<!-- no-run -->\n") == "# Errors\n\n<!-- no-run -->\n"


def test_cell_with_a_sentence_is_prose() -> None:
    assert on_page_content(f"<td>{SENTENCE}</td>") == f"<td class=prose>{SENTENCE}</td>"


def test_cell_with_some_words_is_a_phrase() -> None:
    assert on_page_content("<td>in your process, or in two</td>") == "<td class=phrase>in your process, or in two</td>"


def test_cell_with_a_name_stays() -> None:
    assert on_page_content("<td><code>clock_skew</code></td>") == "<td><code class=short>clock_skew</code></td>"


def test_long_code_may_wrap_between_its_parts() -> None:
    name = "test_published_vector_with_flipped_bit_is_refused"
    marked = f'<td style="x"><code class=long>authn/<wbr>test_vectors.py::<wbr>{name}</code></td>'
    assert on_page_content(f'<td style="x"><code>authn/test_vectors.py::{name}</code></td>') == marked


def test_escaped_pipe_in_code_loses_its_backslash() -> None:
    assert (
        on_page_content(r"<td><code>get ARN \| list</code></td>") == "<td><code class=short>get ARN | list</code></td>"
    )


def test_text_outside_of_tables_stays() -> None:
    page = f"<p>{SENTENCE}</p><pre><span></span><code>a \\| b</code></pre>"
    assert on_page_content(page) == page


def test_short_code_in_a_text_is_not_broken() -> None:
    assert on_page_content("<p><code>--format</code></p>") == "<p><code class=short>--format</code></p>"
