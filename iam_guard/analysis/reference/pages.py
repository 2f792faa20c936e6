"""References as readable pages: Markdown, and self-contained HTML.

Both have the tables of AWS's own pages: actions, resource types, condition keys. The output is deterministic.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from iam_guard.model.reference import ActionEntry, ServiceReference


class _Table(NamedTuple):
    """A titled table. Cells are in a small Markdown: backticks mark code, `<br>` breaks a line."""

    title: str
    about: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


_ACTIONS_HEAD = (
    "Action",
    "Description",
    "Access level",
    "Resource types (*required)",
    "Condition keys",
    "Dependent actions",
)


def markdown(references: Iterable[ServiceReference], *, level: int = 1) -> str:
    """Format references as Markdown; `level` is that of the first heading."""
    return "\n".join(_markdown(reference, level) for reference in references)


def html_page(references: Sequence[ServiceReference]) -> str:
    """Format references as one HTML page."""
    names = ", ".join(_name(reference) for reference in references)
    body = "\n".join(_html(reference) for reference in references)
    contents = "".join(
        f'<li><a href="#{html.escape(reference.name)}">{html.escape(_name(reference))}</a></li>'
        for reference in references
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Actions, resource types and condition keys: {html.escape(names)}</title>\n"
        f"<style>\n{_STYLE}</style>\n</head>\n<body>\n<nav><ul>{contents}</ul></nav>\n<main>\n{body}\n</main>\n</body>\n"
        "</html>\n"
    )


# --- the tables, independent of the format ---------------------------------------------------------------------------


def _name(reference: ServiceReference) -> str:
    return reference.title or reference.name


def _opening(reference: ServiceReference) -> str:
    return f"The service prefix is `{reference.name}`: its actions are written `{reference.name}:…` in policies."


def _tables(reference: ServiceReference) -> Iterator[_Table]:
    actions = [_action_row(action) for action in reference.actions]
    yield _Table("Actions", "Actions without a resource type require `*` as the resource.", _ACTIONS_HEAD, actions)
    if reference.resource_types:
        head, rows = ["Resource type", "ARN", "Condition keys"], []
        are_described = any(resource_type.description for resource_type in reference.resource_types)
        if are_described:
            head.insert(1, "Description")
        for resource_type in reference.resource_types:
            description = [resource_type.description] if are_described else []
            formats, keys = _codes(resource_type.arn_formats), _codes(resource_type.condition_keys)
            rows.append([_code(resource_type.name), *description, formats, keys])
        yield _Table("Resource types", "", head, rows)
    if reference.condition_keys:
        about = "Global keys, such as `aws:CurrentTime`, are available in every request and not listed here."
        described = [(_code(key.name), key.description, key.type_name) for key in reference.condition_keys]
        yield _Table("Condition keys", about, ("Condition key", "Description", "Type"), described)


def _action_row(action: ActionEntry) -> Sequence[str]:
    targets = [f"{_code(target.name)}{'*' if target.required else ''}" for target in action.resources]
    if action.open_resources:
        targets.append("found for each request")
    keys_of_targets = {key for target in action.resources for key in target.condition_keys}
    keys = [_code(key) for key in sorted({*action.condition_keys, *keys_of_targets})]
    if action.open_keys:
        keys.append("more, found for each request")
    return (
        _code(action.name),
        action.description,
        action.level or "",
        "<br>".join(targets),
        "<br>".join(keys),
        _codes(action.dependent_actions),
    )


def _code(text: str) -> str:
    return f"`{text}`"


def _codes(texts: Iterable[str]) -> str:
    return "<br>".join(_code(text) for text in texts)


# --- Markdown ----------------------------------------------------------------------------------------------------


def _markdown(reference: ServiceReference, level: int) -> str:
    parts = [f"{'#' * level} {_escaped(_name(reference))}\n\n{_opening(reference)}\n"]
    for table in _tables(reference):
        about = f"{table.about}\n\n" if table.about else ""
        lines = [table.head, ["---"] * len(table.head), *table.rows]
        rows = "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)
        parts.append(f"{'#' * (level + 1)} {table.title}\n\n{about}{rows}")
    return "\n".join(parts)


def _cell(text: str) -> str:
    """Escape everything in a cell except code and line breaks."""
    pieces = re.split(r"(`[^`]*`|<br>)", " ".join(text.split()))
    written = [piece if index % 2 else _escaped(piece) for index, piece in enumerate(pieces)]
    return "".join(written).replace("|", "\\|")


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_\[\]])", r"\\\1", html.escape(text, quote=False))


# --- HTML --------------------------------------------------------------------------------------------------------


def _html(reference: ServiceReference) -> str:
    parts = [f'<h1 id="{html.escape(reference.name)}">{html.escape(_name(reference))}</h1>']
    parts.append(f"<p>{_inline(_opening(reference))}</p>")
    for table in _tables(reference):
        parts.append(f"<h2>{table.title}</h2>")
        if table.about:
            parts.append(f"<p>{_inline(table.about)}</p>")
        head = "".join(f'<th scope="col">{_inline(title)}</th>' for title in table.head)
        rows = "\n".join(_html_row(row) for row in table.rows)
        parts.append(f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>")
    return "\n".join(parts)


def _html_row(row: Sequence[str]) -> str:
    first, *others = map(_inline, row)
    return f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{other}</td>" for other in others) + "</tr>"


def _inline(text: str) -> str:
    pieces = re.split(r"`([^`]*)`|(<br>)", text)
    written: list[str] = []
    for index, piece in enumerate(pieces):
        if piece:
            kinds = (html.escape(piece), f"<code>{html.escape(piece)}</code>", piece)
            written.append(kinds[index % 3])
    return "".join(written)


_STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:1400px;padding:1rem 2rem}
body{color:#1c2350;background:#fff}
nav ul{list-style:none;padding:0;display:flex;gap:1rem}
table{border-collapse:collapse;width:100%}
th,td{border:1px solid #c9cfe8;padding:.35rem .5rem;text-align:left;vertical-align:top}
thead th{background:#eef1fb;position:sticky;top:0}tbody th{font-weight:400}
code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
tbody th code{overflow-wrap:normal}
@media(prefers-color-scheme:dark){body{color:#dfe3f5;background:#14172b}th,td{border-color:#3a4170}}
@media(prefers-color-scheme:dark){thead th{background:#242a4d}a{color:#9db0ff}}
"""
