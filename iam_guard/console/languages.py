"""The languages of the pages: no page has a sentence of its own, all are in `texts/LANGUAGE.txt`, by key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

LANGUAGES: Final = ("en", "de")


@cache
def texts(language: str) -> Mapping[str, str]:
    """Return the texts of a language by key."""
    written = (resources.files("iam_guard.console") / "texts" / f"{language}.txt").read_text(encoding="utf-8")
    return dict(line.split(" = ", 1) for line in written.splitlines())


def choose_language(accepted: str, preferred: str = "") -> str:
    """Return the language of a page: the setting's, else the first of an `Accept-Language` header that there is."""
    if preferred in LANGUAGES:
        return preferred
    weighted = []
    for number, part in enumerate(accepted[:1024].split(",")):
        tag, _, parameters = part.strip().partition(";")
        try:
            weight = float(parameters.strip().removeprefix("q=") or 1)
        except ValueError:
            weight = 0.0
        weighted.append((-weight, number, tag.partition("-")[0].lower()))
    found = [language for weight, _, language in sorted(weighted) if language in LANGUAGES and weight < 0]
    return found[0] if found else LANGUAGES[0]
