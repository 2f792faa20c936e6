"""The export formats of a record, each a single line; `record` is the line of the trail, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from iam_guard.audit.export.ocsf import ocsf_event
from iam_guard.audit.export.otel_event import otlp_line
from iam_guard.audit.record.redaction import write

Form = Callable[[Mapping[str, Any]], str]

FORMS: Mapping[str, Form] = {
    "record": lambda record: write(dict(record)),
    "ocsf": lambda record: write(ocsf_event(record)),
    "otel": otlp_line,
}
