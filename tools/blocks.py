"""Code blocks of a Markdown page: the `python` blocks of one page are one program.

A block right below the comment `<!-- no-run -->` is skipped. A block with a title (`yaml title="iam.yaml"`) is a file.
"""

from __future__ import annotations

import re

FENCE = re.compile(
    r'^(?P<skipped><!-- no-run -->\n\n?)?```(?P<language>\w*)(?: +title="(?P<title>[^"/]+)")?[^\n]*\n'
    r"(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def blocks_of(text: str) -> list[re.Match[str]]:
    """Return the matches of all blocks of a page."""
    return list(FENCE.finditer(text))


def program_of(text: str) -> str:
    """Join the blocks that run; each line keeps its line number, so that a traceback points at the page."""
    lines = [""] * (text.count("\n") + 1)
    for block in blocks_of(text):
        if block["language"] == "python" and not block["skipped"]:
            first = text.count("\n", 0, block.start("body"))
            for number, line in enumerate(block["body"].splitlines(), start=first):
                lines[number] = line
    return "\n".join(lines)


def files_of(text: str) -> dict[str, str]:
    """Return the titled blocks: file name -> content."""
    return {block["title"]: block["body"] for block in blocks_of(text) if block["title"]}
