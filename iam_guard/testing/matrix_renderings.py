"""Render an access matrix: plain text, one HTML page, one SVG picture, all self-contained.

Each outcome is a sign and a word, so colours are never the only information.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from html import escape
from typing import Any

from iam_guard.model.decision import Outcome
from iam_guard.policy.grammar import shown
from iam_guard.testing.matrix import AccessMatrix
from iam_guard.testing.text_table import aligned

SIGNS = {
    Outcome.ALLOWED: ("✓", "allowed"),
    Outcome.IMPLICITLY_DENIED: ("–", "not allowed"),
    Outcome.EXPLICITLY_DENIED: ("✗", "denied"),
}
"""Outcome -> its sign and words."""

_COLOURS = {
    Outcome.ALLOWED: ("#d7f0de", "#14532d"),
    Outcome.IMPLICITLY_DENIED: ("#eeeef2", "#3f3f46"),
    Outcome.EXPLICITLY_DENIED: ("#fbdcd9", "#7f1d1d"),
}
_TITLE = "Who may do what"


def matrix_text(matrix: AccessMatrix) -> str:
    """Return a table for each resource, with actions as rows and principals as columns."""
    blocks = [_text_table(matrix, resource) for resource in matrix.resources]
    legend = ", ".join(f"{sign} {words}" for sign, words in SIGNS.values())
    return "\n\n".join([*blocks, legend])


def _text_table(matrix: AccessMatrix, resource: str) -> str:
    head = [shown(resource), *map(shown, matrix.principals)]
    rows = [
        [f"  {shown(action)}", *(SIGNS[outcome][0] for outcome in matrix.row(resource, action))]
        for action in matrix.actions
    ]
    return "\n".join(aligned([head, *rows]))


def matrix_json(matrix: AccessMatrix) -> dict[str, Any]:
    """Return the matrix as JSON values."""
    return {
        "principals": list(matrix.principals),
        "actions": list(matrix.actions),
        "resources": list(matrix.resources),
        "access": [{**asdict(access), "outcome": outcome.value} for access, outcome in matrix],
    }


# --- HTML --------------------------------------------------------------------------------------------------------


def matrix_html(matrix: AccessMatrix) -> str:
    """Return one HTML page with a table for each resource."""
    style = (
        "body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color:#18181b;background:#fff}"
        "table{border-collapse:collapse;margin:0 0 2rem}caption{font-weight:600;text-align:left;padding:.4rem 0}"
        "th,td{border:1px solid #a1a1aa;padding:.3rem .7rem;text-align:left}th{font-weight:500}"
        + "".join(f".{name.value}{{background:{back};color:{ink}}}" for name, (back, ink) in _COLOURS.items())
    )
    tables = "\n".join(line for resource in matrix.resources for line in _html_table(matrix, resource))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{_TITLE}</title><style>{style}</style></head>'
        f"<body>\n<h1>{_TITLE}</h1>\n{tables}\n</body></html>\n"
    )


def _html_table(matrix: AccessMatrix, resource: str) -> Iterator[str]:
    heads = "".join(f'<th scope="col">{_safe(principal)}</th>' for principal in matrix.principals)
    yield f"<table><caption>{_safe(resource)}</caption>"
    yield f'<thead><tr><th scope="col">Action</th>{heads}</tr></thead><tbody>'
    for action in matrix.actions:
        outcomes = matrix.row(resource, action)
        cells = "".join(f'<td class="{outcome.value}">{" ".join(SIGNS[outcome])}</td>' for outcome in outcomes)
        yield f'<tr><th scope="row">{_safe(action)}</th>{cells}</tr>'
    yield "</tbody></table>"


def _safe(text: str) -> str:
    return escape(shown(text))


# --- SVG ---------------------------------------------------------------------------------------------------------

_ROW, _LETTER, _MARGIN = 30, 8.5, 16


def matrix_svg(matrix: AccessMatrix) -> str:
    """Return one SVG picture with a table for each resource."""
    labels = max(map(len, (*matrix.actions, *matrix.resources)))
    left = int(labels * _LETTER) + 3 * _MARGIN
    words = [" ".join(sign) for sign in SIGNS.values()]
    cell = int(max(map(len, (*matrix.principals, *words))) * _LETTER) + 2 * _MARGIN
    width = left + cell * len(matrix.principals) + _MARGIN
    drawn: list[str] = []
    top = _MARGIN
    for resource in matrix.resources:
        drawn += _svg_table(matrix, resource, top, left, cell)
        top += _ROW * (len(matrix.actions) + 2)
    allowed = sum(outcome is Outcome.ALLOWED for _, outcome in matrix)
    about = f"{len(matrix.outcomes)} cells, {allowed} of them allowed"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}" role="img"'
        f' aria-labelledby="t d">\n<title id="t">{_TITLE}</title><desc id="d">{about}</desc>\n'
        "<style>text{font:14px ui-monospace,monospace;dominant-baseline:central;fill:#18181b}"
        ".head{font-weight:600}</style>\n"
        f'<rect width="{width}" height="{top}" fill="#fff"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _svg_table(matrix: AccessMatrix, resource: str, top: int, left: int, cell: int) -> Iterator[str]:
    middle = top + _ROW // 2
    yield _svg_text(_MARGIN, middle, resource, "head")
    for column, principal in enumerate(matrix.principals):
        yield _svg_text(left + column * cell + 8, middle, principal, "head")
    for row, action in enumerate(matrix.actions, 1):
        y = top + row * _ROW
        line = y + _ROW // 2 - 2  # a cell ends 4 above the next
        yield _svg_text(2 * _MARGIN, line, action)
        for column, (principal, outcome) in enumerate(
            zip(matrix.principals, matrix.row(resource, action), strict=True)
        ):
            back, ink = _COLOURS[outcome]
            x, words = left + column * cell, " ".join(SIGNS[outcome])
            yield (
                f"<g><title>{_safe(f'{principal}, {action}, {resource}: {outcome.value}')}</title>"
                f'<rect x="{x}" y="{y}" width="{cell - 4}" height="{_ROW - 4}" rx="4" fill="{back}"/>'
                f'<text x="{x + 8}" y="{line}" style="fill:{ink}">{words}</text></g>'
            )


def _svg_text(x: int, y: int, text: str, kind: str = "") -> str:
    css_class = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{css_class}>{_safe(text)}</text>'
