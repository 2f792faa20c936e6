"""Keep data out of the records by the operator's rules: drop members, mask them, or replace them by pseudonyms.

The settings `audit_drop`, `audit_mask` and `audit_pseudonyms` are JSON pointers; a segment `*` matches any member or
element. They apply to a whole record before it is serialized (`redaction`) and hashed. Masking or pseudonymising an
object or list applies to every value in it. If several rules match, dropping has priority over masking, and masking
over pseudonyms. `iamGuard.dropped`, `.redacted` and `.pseudonymised` list what was done.

Members required for verifying, replaying and consuming records cannot be selected (`REQUIRED_MEMBERS`).

Pseudonyms of values that may identify a person need salts. Applying the rules uses those that are cached; a value
without one is masked, and `lacks_salts` reports it. `complete` waits for missing ones, so it is for the writer thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from iam_guard.audit.record.identity import mapping
from iam_guard.audit.record.personal_values import may_be_personal
from iam_guard.audit.record.pseudonyms import OTHER, PseudonymKeys, SaltSource, pseudonym, salt_subject
from iam_guard.errors import ConfigurationError
from iam_guard.model.arn import is_account_id

MASK = "[redacted]"
ANY = "*"

REQUIRED_MEMBERS = frozenset(
    [
        *(
            "/eventVersion /eventTime /eventSource /eventName /eventID /eventType /eventCategory /requestID /readOnly"
            " /managementEvent /recipientAccountId /errorCode /userIdentity/type /userIdentity/accountId"
        ).split(),
        *(
            f"/iamGuard/{name}"
            for name in "version kind outcome reason changed document policySet epoch stale enforced shard"
            " sequence dropped redacted truncated pseudonymised".split()
        ),
    ]
)
"""Members that rules cannot select, including everything below them."""


_IDENTITY = "userIdentity"
_CALLER = ("iamGuard", "caller")
"""The path of a second identity, with the same members: rules for the first one apply to both."""


class Treatment(IntEnum):
    """What is done to a member; the highest applies. The names are those of the settings, after `audit_`."""

    PSEUDONYMS = 1
    MASK = 2
    DROP = 3


_MARKS = {
    Treatment.PSEUDONYMS: "pseudonymised",
    Treatment.MASK: "redacted",
    Treatment.DROP: "dropped",
}


@dataclass(slots=True)
class _Node:
    """A node of the rule tree, one per pointer segment."""

    treatment: Treatment | None = None
    children: dict[str, _Node] = field(default_factory=dict)


class PrivacyRules:
    """The privacy rules of one guard. Safe to share between threads."""

    def __init__(
        self,
        pointers: Mapping[Treatment, Iterable[str]],
        keys: PseudonymKeys | None = None,
        salts: SaltSource | None = None,
    ) -> None:
        """Take the pointers by treatment. Without `salts`, all pseudonyms depend on the keys alone.

        Raises `ConfigurationError` for an invalid or required member.
        """
        self._root = _Node()
        self._keys = keys
        self._salts = salts
        self._thread = threading.local()
        for treatment, selected in sorted(pointers.items()):
            for pointer in selected:
                self._add(pointer, treatment)
        if keys is None and pointers.get(Treatment.PSEUDONYMS):
            message = "expected a file of pseudonym keys, set `IAM_GUARD_AUDIT_PSEUDONYM_KEY_FILE`"
            raise ConfigurationError(message, place="audit_pseudonym_key_file")

    def apply(self, record: Mapping[str, Any]) -> dict[str, object]:
        account = _account_of(record)
        key = None if self._keys is None else self._keys.key(account)
        salts = None
        if self._salts is not None and account != OTHER and key is not None:
            salts = self._salts.cached(account)
        application = _RuleApplication(key, salts)
        clean = application.members(record, [self._root], "", None)
        if application.missing and self._salts is not None and getattr(self._thread, "may_wait", False):
            loaded = self._salts.load(account, application.missing, creates=_has_known_caller(record))
            application = _RuleApplication(key, {**(salts or {}), **loaded})
            clean = application.members(record, [self._root], "", None)
        self._thread.lacks_salts = bool(application.missing)
        return with_marks(clean, {mark: application.places[treatment] for treatment, mark in _MARKS.items()})

    def lacks_salts(self) -> bool:
        """Return whether the last record of this thread has masked values that `complete` may give a pseudonym."""
        return bool(getattr(self._thread, "lacks_salts", False))

    def complete(self, make: Callable[[], bytes]) -> bytes:
        """Make a line, and wait for the salts that it lacks. What has none then stays masked."""
        self._thread.may_wait = True
        try:
            return make()
        finally:
            self._thread.may_wait = False

    def _add(self, pointer: str, treatment: Treatment) -> None:
        place = f"audit_{treatment.name.lower()}"
        segments = _segments(pointer, place)
        if required := next((member for member in sorted(REQUIRED_MEMBERS) if _overlaps(segments, member)), None):
            message = f"expected a member that is not required, got `{pointer}`, which selects `{required}`"
            raise ConfigurationError(message, place=place)
        if treatment is Treatment.DROP and (segments[-1] == ANY or segments[-1].isdigit()):
            message = f"expected a member name at the end because elements cannot be dropped, got `{pointer}`"
            raise ConfigurationError(message, place=place)
        self._select(segments, treatment)
        if segments[0] in (_IDENTITY, ANY) and len(segments) > 1:
            self._select((*_CALLER, *segments[1:]), treatment)

    def _select(self, segments: Iterable[str], treatment: Treatment) -> None:
        node = self._root
        for segment in segments:
            node = node.children.setdefault(segment, _Node())
        node.treatment = treatment  # in ascending order, so the highest wins


def with_marks(record: dict[str, object], marks: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """Return the record with the pointers to changed members added to the lists in `iamGuard`."""
    extension = record.get("iamGuard")
    members = extension if isinstance(extension, dict) else {}
    extended = {name: [*members.get(name, ()), *places] for name, places in marks.items() if places}
    return record | {"iamGuard": members | extended} if extended else record


def _segments(pointer: str, place: str) -> tuple[str, ...]:
    if not pointer.startswith("/") or "//" in pointer or pointer.endswith("/"):
        message = f"expected a JSON pointer such as `/userIdentity/userName`, got `{pointer}`"
        raise ConfigurationError(message, place=place)
    return tuple(segment.replace("~1", "/").replace("~0", "~") for segment in pointer[1:].split("/"))


def _overlaps(segments: tuple[str, ...], required: str) -> bool:
    """Return whether a pointer selects a required member, one that contains it, or one inside it."""
    return all(one in (ANY, other) for one, other in zip(segments, required[1:].split("/"), strict=False))


def _account_of(record: Mapping[str, Any]) -> str:
    """Return the account whose key makes a record's pseudonyms: the caller's, else the resource's."""
    identities = (record.get(_IDENTITY), mapping(record.get(_CALLER[0])).get(_CALLER[1]))
    callers = [mapping(identity).get("accountId") for identity in identities]
    for account in (*callers, record.get("recipientAccountId")):
        if isinstance(account, str) and is_account_id(account):
            return account
    return OTHER


def _has_known_caller(record: Mapping[str, Any]) -> bool:
    """Return whether the caller is known, so that its values get a salt: other clients could fill the store."""
    identity = record.get(_IDENTITY)
    return isinstance(identity, Mapping) and identity.get("type") not in ("Unknown", "AWSAccount")


class _RuleApplication:
    """Apply the rules to one record and collect the affected pointers.

    `key` makes its pseudonyms. `salts` are those of what may be personal, by subject; None if such values get none.
    """

    def __init__(self, key: bytes | None, salts: Mapping[str, bytes] | None) -> None:
        self._key = key
        self._salts = salts
        self.missing: set[str] = set()
        self.places: dict[Treatment, list[str]] = {treatment: [] for treatment in Treatment}

    def members(
        self, members: Mapping[str, Any], nodes: list[_Node], pointer: str, treatment: Treatment | None
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in members.items():
            place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            children, chosen = _follow(nodes, name, treatment)
            if chosen is Treatment.DROP:
                self.places[chosen].append(place)
            else:
                result[name] = self._value(value, children, place, chosen)
        return result

    def _value(self, value: Any, nodes: list[_Node], pointer: str, treatment: Treatment | None) -> Any:
        if value is None or (treatment is None and not nodes):
            return value
        match value:
            case Mapping():
                return self.members(value, nodes, pointer, treatment)
            case list() | tuple():
                return [
                    self._value(element, children, f"{pointer}/{index}", chosen)
                    for index, element in enumerate(value)
                    for children, chosen in [_follow(nodes, str(index), treatment)]
                ]
            case _:
                return value if treatment is None else self._treat(value, pointer, treatment)

    def _treat(self, value: object, pointer: str, treatment: Treatment) -> str:
        """Replace a value by its pseudonym, or by the mask if it has no key or no salt."""
        made = self._pseudonym(value, pointer) if treatment is Treatment.PSEUDONYMS else None
        self.places[Treatment.MASK if made is None else treatment].append(pointer)
        return MASK if made is None else made

    def _pseudonym(self, value: object, pointer: str) -> str | None:
        if self._key is None:
            return None
        text = value if isinstance(value, str) else str(value)
        if self._salts is None or not may_be_personal(pointer, value):
            return pseudonym(self._key, text)
        subject = salt_subject(self._key, text)
        salt = self._salts.get(subject)
        if salt is None:
            self.missing.add(subject)
            return None
        return pseudonym(self._key, text, salt)


def _follow(nodes: list[_Node], name: str, treatment: Treatment | None) -> tuple[list[_Node], Treatment | None]:
    """Return the nodes below for one segment, and the treatment that applies there."""
    children = [child for node in nodes for segment in (name, ANY) if (child := node.children.get(segment)) is not None]
    treatments = [node.treatment for node in children if node.treatment is not None]
    return children, max([*treatments, *([] if treatment is None else [treatment])], default=None)
