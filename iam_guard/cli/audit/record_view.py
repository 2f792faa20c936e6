"""One audit record as one readable line, with colours on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iam_guard.audit.consumer.record_filter import action_of, member, principal_of, requester_of, resource_of
from iam_guard.audit.record.call_kinds import RESULT_KINDS
from iam_guard.audit.record.list_record import FILTERED
from iam_guard.audit.record.permission_query_record import ASKED
from iam_guard.cli.kit.terminal import terminal_safe
from iam_guard.imports import requires_extra

with requires_extra("server", "`audit tail` without `--json`"):
    from rich.console import Console
    from rich.text import Text

STYLES = {"Allowed": "green", "ImplicitlyDenied": "yellow", "ExplicitlyDenied": "red"}
OWN = "magenta"
"""The style of records of the trail about itself, such as gaps."""


def printer() -> Callable[[dict[str, Any]], None]:
    """Return the function that prints a record."""
    console = Console(soft_wrap=True, highlight=False)
    return lambda record: console.print(record_line(record))


def record_line(record: dict[str, Any]) -> Text:
    """Format a record: time, outcome, principal, action, resource, reason."""
    outcome = member(record, "iamGuard.outcome") or _without_outcome(record)
    text = Text(terminal_safe(member(record, "eventTime")), style="dim")
    text.append(f" {terminal_safe(outcome):17}", STYLES.get(outcome) or _style(record))
    text.append(f" {terminal_safe(principal_of(record))}", "bold")
    if caller := requester_of(record):
        text.append(f" for {terminal_safe(caller)}")
    text.append(f" {terminal_safe(action_of(record))}")
    if resource := resource_of(record):
        text.append(f" {terminal_safe(resource)}", "cyan")
    if reason := member(record, "iamGuard.reason") or _failure(record):
        text.append(f" {terminal_safe(reason)}", "dim")
    if source := member(record, "sourceIPAddress"):
        text.append(f" from {terminal_safe(source)}", "dim")
    return text


def _failure(record: dict[str, Any]) -> str:
    """Return the error code of a call that was allowed and failed."""
    return member(record, "errorCode") if member(record, "iamGuard.kind") in RESULT_KINDS else ""


def _style(record: dict[str, Any]) -> str:
    """Return the style of a record without a decision."""
    if member(record, "iamGuard.kind") in RESULT_KINDS:
        return "red" if member(record, "errorCode") else "green"
    if member(record, "iamGuard.kind") in (ASKED, FILTERED):
        return "dim"  # neither refuses a request
    return OWN if member(record, "eventType") != "AwsApiCall" else "red"


def _without_outcome(record: dict[str, Any]) -> str:
    return "Refused" if member(record, "iamGuard.kind") == "authentication" else member(record, "iamGuard.kind")
