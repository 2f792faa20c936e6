"""The record classes, and what happens to a request whose record cannot be written: one table.

Applies only if `audit` names a folder. A file and standard output have no classes: an Allow that cannot be written is
refused. `docs/explanation/audit-failures.md` has the same table, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from iam_guard.audit.record.lanes import ALLOWED, DENIED, DURABLE, UNAUTHENTICATED, Lane
from iam_guard.audit.record.record import action_facts
from iam_guard.errors import ConfigurationError
from iam_guard.model.own_services import PREFIXES


class OnFailure(Enum):
    """What happens to the request."""

    REFUSE = "503; the request is not carried out"
    CONTINUE = "proceeds; a gap is counted"
    STAY_DENIED = "stays denied; a gap is counted"
    REPORT = "503, although the call was carried out; the record is written later, or a gap is counted"


@dataclass(frozen=True, slots=True)
class RecordClass:
    """One row: `waits` is what the response waits for, `on_failure` what happens if it times out."""

    name: str
    description: str
    is_durable: bool
    on_failure: OnFailure

    @property
    def waits(self) -> str:
        return "the disk, `audit_durable_wait`" if self.is_durable else "a place in its lane, `audit_wait`"


ADMIN = RecordClass(
    "admin",
    "allowed calls of the IAM and STS API, read-only or not",
    is_durable=True,
    on_failure=OnFailure.REFUSE,
)
WRITE = RecordClass(
    "write",
    "allowed actions of the application whose name is not read-only, and lists filtered by one",
    is_durable=False,
    on_failure=OnFailure.REFUSE,
)
READ = RecordClass(
    "read",
    "allowed actions of the application with a read-only name, lists filtered by one, and permission queries",
    is_durable=False,
    on_failure=OnFailure.CONTINUE,
)
CHANGE = RecordClass(
    "change",
    "completed changes and issued sessions, by the API, the application or its operator",
    is_durable=True,
    on_failure=OnFailure.REPORT,
)
DENIAL = RecordClass(
    "denial",
    "denials, rejected credentials, requests that were rejected before a decision, and API calls that failed or "
    "changed nothing",
    is_durable=False,
    on_failure=OnFailure.STAY_DENIED,
)

CLASSES = (ADMIN, WRITE, READ, CHANGE, DENIAL)
CONFIGURABLE = frozenset({WRITE.name, READ.name})
"""Classes for which the setting `audit_fail_open` can be set."""


@lru_cache(maxsize=4096)
def class_of_allow(action: str) -> RecordClass:
    """Return the class of an Allow by the name of its action; an unrecognized name counts as a change."""
    if action.partition(":")[0].lower() in PREFIXES:
        return ADMIN
    return READ if action_facts(action).read_only else WRITE


def lane_of(record_class: RecordClass, *, is_signed_in: bool) -> Lane:
    """Return the lane of a record by its class and whether its caller is authenticated."""
    if record_class.is_durable:
        return DURABLE
    if not is_signed_in:
        return UNAUTHENTICATED
    return DENIED if record_class is DENIAL else ALLOWED


def refusing_classes(fail_open: Iterable[str]) -> frozenset[str]:
    """Return the names of the classes whose requests are refused. Raises `ConfigurationError` for an unknown name."""
    names = frozenset(fail_open)
    if unknown := names - CONFIGURABLE:
        message = f"expected classes of {', '.join(sorted(CONFIGURABLE))}, got `{min(unknown)}`"
        raise ConfigurationError(message, place="audit_fail_open")
    return frozenset({ADMIN.name, CHANGE.name}) | (CONFIGURABLE - names)
