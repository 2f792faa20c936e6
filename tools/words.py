"""Find private vocabulary: `python -m tools.words` reports words that only insiders would understand.

Code, comments, docstrings and documentation use the field's standard terms. This check keeps out the words that the
project once had instead: vague actors (who is `nobody`?), metaphors for parts of the code, and weak verbs at the start
of docstrings. `make check` runs it.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BANNED = {
    "anybody": "name the actor: any caller, any client",
    "nobody": "name the actor, or say that there is none",
    "somebody": "name the actor: a caller, an administrator",
    "whoever": "name the actor: the caller that",
    "whomever": "name the actor",
    "stranger": "unauthenticated client, outside principal",
    "inhabitant": "stored principal",
    "scribe": "trail writer",
    "hinge": "guard",
    "doors": "authenticators",
    "told": "reported, returned, recorded",
    "furnished": "filled",
    "speakers": "matching statements",
}
"""Word in lower case -> what to write; plurals and possessives count too."""
PHRASES = {"at hand": "in the cache", "let go of": "release", "stands in": "is in"}
VERBS = frozenset({"Give", "Gives", "Tell", "Tells", "Say", "Says", "Note", "Notes", "Ask", "Asks", "Look", "Looks"})
"""First words of docstrings; the standard ones are Return, Report, Record, Query, Read."""
SKIPPED = ("CHANGELOG.md", "docs/reference/changes-", "tools/words.py")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


class Found(NamedTuple):
    """One place with a word that is not to be used."""

    file: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: `{self.word}`: {self.instead}"


def find(root: Path = ROOT) -> list[Found]:
    """Return all places in the files that Git tracks."""
    names = subprocess.run(["git", "ls-files", "*.py", "*.md"], cwd=root, capture_output=True, text=True, check=True)
    return [
        found
        for name in names.stdout.split("\n")
        if name and not name.startswith(SKIPPED) and (root / name).exists()
        for found in find_in(name, (root / name).read_text(encoding="utf-8"))
    ]


def find_in(name: str, text: str) -> Iterator[Found]:
    """Report the places in one file; in code, strings that are neither docstring nor comment are data."""
    if name.endswith(".md"):
        for number, line in enumerate(text.splitlines(), 1):
            yield from _in_prose(name, number, line)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield from _in_prose(name, token.start[0], token.string)
        elif token.type == tokenize.NAME:
            yield from _in_words(name, token.start[0], token.string)
            if re.match(r"_?MOST_|_?MOST$", token.string):
                yield Found(name, token.start[0], token.string, "limits are MAX_ or MIN_")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.For | ast.AsyncFor) and isinstance(node.target, ast.Name) and node.target.id == "each":
            yield Found(name, node.lineno, "for each in", "name the thing")
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            first = node.value.value.split(None, 1)[:1]
            if first and first[0] in VERBS:
                yield Found(name, node.lineno, first[0], "begin with a standard verb: return, report, record, query")
            for number, line in enumerate(node.value.value.splitlines(), node.lineno):
                yield from _in_prose(name, number, line)


def _in_prose(name: str, number: int, line: str) -> Iterator[Found]:
    yield from _in_words(name, number, line)
    for phrase, instead in PHRASES.items():
        if re.search(rf"\b{phrase}\b", line, re.IGNORECASE):
            yield Found(name, number, phrase, instead)


def _in_words(name: str, number: int, text: str) -> Iterator[Found]:
    for word in _WORD.findall(text):
        plain = word.lower()
        instead = BANNED.get(plain) or BANNED.get(plain.removesuffix("s"))
        if instead is not None:
            yield Found(name, number, word, instead)


if __name__ == "__main__":
    places = find()
    for place in places:
        print(place)
    sys.exit(1 if places else 0)
