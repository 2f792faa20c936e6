"""The built-in references of our own services.

`docs/generate.py` writes them into this folder from the services' tables of operations, so that loading them needs
neither the tables nor a service model; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from iam_guard.analysis.reference.json_form import read_references
from iam_guard.model.own_services import SERVED
from iam_guard.model.reference import ServiceReference


@cache
def own_references() -> tuple[ServiceReference, ...]:
    """Return the references of our own services."""
    folder = files("iam_guard.analysis.reference")
    texts = [(folder / f"{name}.json").read_text(encoding="utf-8") for name in SERVED]
    return tuple(reference for text in texts for reference in read_references(text))


def with_own_references(references: Sequence[ServiceReference]) -> tuple[ServiceReference, ...]:
    """Return the references, and the built-in ones of services that they don't describe."""
    names = {reference.name for reference in references}
    return (*references, *(own for own in own_references() if own.name not in names))
