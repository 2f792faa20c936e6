"""The references of our own services, IAM and STS, as values.

They are made from the services' tables of operations by `docs/generate.py` and lie beside this file, so that to know
them takes neither the tables nor a service model; a test compares the two.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from iam_guard.analysis.reference.json_form import read_references
from iam_guard.model.own_services import SERVED
from iam_guard.model.reference import ServiceReference


@cache
def own_references() -> tuple[ServiceReference, ...]:
    """Return the references of IAM and STS."""
    folder = files("iam_guard.analysis.reference")
    texts = [(folder / f"{name}.json").read_text(encoding="utf-8") for name in SERVED]
    return tuple(reference for text in texts for reference in read_references(text))
