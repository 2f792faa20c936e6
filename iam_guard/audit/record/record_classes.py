"""What kinds of records there are, and what becomes of a request whose record the trail cannot take: one table.

Only where `audit` names a folder. A file and standard output have no classes: there an Allow that cannot be written is
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
    """What becomes of the request."""

    REFUSE = "503, nothing is done"
    GO_ON = "goes on; a gap is counted"
    STAY_DENIED = "stays denied; a gap is counted"
    TELL = "503, though it is done; the record is written when it can be, else a gap is counted"


@dataclass(frozen=True, slots=True)
class RecordClass:
    """One row. `waits` says for what the answer waits, `on_failure` what follows when that does not come in time."""

    name: str
    holds: str
    is_durable: bool
    on_failure: OnFailure

    @property
    def waits(self) -> str:
        return "the disk, `audit_durable_wait`" if self.is_durable else "a place in its lane, `audit_wait`"


ADMIN = RecordClass(
    "admin",
    "allowed calls of our own services, reading or not: administration, policy changes, session issue",
    is_durable=True,
    on_failure=OnFailure.REFUSE,
)
WRITE = RecordClass(
    "write",
    "allowed actions of the application that change something, and all whose name does not say",
    is_durable=False,
    on_failure=OnFailure.REFUSE,
)
READ = RecordClass(
    "read",
    "allowed actions of the application whose name says that they only read, and what was only asked about",
    is_durable=False,
    on_failure=OnFailure.GO_ON,
)
CHANGE = RecordClass(
    "change",
    "what a call of our own services, or the application or its operator, changed or issued, once it is done",
    is_durable=True,
    on_failure=OnFailure.TELL,
)
DENIAL = RecordClass(
    "denial",
    "denials, refused credentials, requests that were refused before a decision, calls of our own services that failed"
    " or changed nothing",
    is_durable=False,
    on_failure=OnFailure.STAY_DENIED,
)

CLASSES = (ADMIN, WRITE, READ, CHANGE, DENIAL)
TO_CHOOSE = frozenset({WRITE.name, READ.name})
"""Classes of which the setting `audit_fail_open` says whether their requests go on."""


@lru_cache(maxsize=4096)
def class_of_allow(action: str) -> RecordClass:
    """Return the class of an Allow by the name of the action; what a name does not say is taken for a change."""
    if action.partition(":")[0].lower() in PREFIXES:
        return ADMIN
    return READ if action_facts(action).read_only else WRITE


def lane_of(row: RecordClass, *, is_signed_in: bool) -> Lane:
    """Return the lane of a record: by its class, and whether its caller is signed in."""
    if row.is_durable:
        return DURABLE
    if not is_signed_in:
        return UNAUTHENTICATED
    return DENIED if row is DENIAL else ALLOWED


def classes_that_refuse(fail_open: Iterable[str]) -> frozenset[str]:
    """Name the classes whose requests are refused. Raises `ConfigurationError` for a name that is none to choose."""
    open_ones = frozenset(fail_open)
    if strange := open_ones - TO_CHOOSE:
        message = f"expected classes of {', '.join(sorted(TO_CHOOSE))}, got `{min(strange)}`"
        raise ConfigurationError(message, place="audit_fail_open")
    return frozenset({ADMIN.name, CHANGE.name}) | (TO_CHOOSE - open_ones)
