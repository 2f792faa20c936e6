"""Keep data out of the records by the operator's rules: drop members, mask them, or replace them by pseudonyms.

The settings `audit_drop`, `audit_mask` and `audit_pseudonyms` are JSON pointers; a segment `*` matches any member or
element. They apply to a whole record before it is serialized (`redaction`) and hashed. Masking or pseudonymising an
object or list applies to every value in it. If several rules match, dropping has priority over masking, and masking
over pseudonyms. `iamGuard.dropped`, `.redacted` and `.pseudonymised` list what was done.

Members required for verifying, replaying and consuming records cannot be selected (`REQUIRED_MEMBERS`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from iam_guard.audit.record.pseudonyms import OTHER, PseudonymKeys
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

    def __init__(self, pointers: Mapping[Treatment, Iterable[str]], keys: PseudonymKeys | None = None) -> None:
        """Take the pointers by treatment. Raises `ConfigurationError` for an invalid or required member."""
        self._root = _Node()
        self._keys = keys
        for treatment, selected in sorted(pointers.items()):
            for pointer in selected:
                self._add(pointer, treatment)
        if keys is None and pointers.get(Treatment.PSEUDONYMS):
            message = "expected a file of pseudonym keys, set `IAM_GUARD_AUDIT_PSEUDONYM_KEY_FILE`"
            raise ConfigurationError(message, place="audit_pseudonym_key_file")

    def apply(self, record: Mapping[str, Any]) -> dict[str, object]:
        application = _RuleApplication(self._keys, _account_of(record))
        clean: dict[str, object] = application.members(record, [self._root], "", None)
        return with_marks(clean, {mark: application.places[treatment] for treatment, mark in _MARKS.items()})

    def _add(self, pointer: str, treatment: Treatment) -> None:
        place = f"audit_{treatment.name.lower()}"
        segments = _segments(pointer, place)
        if required := next((member for member in sorted(REQUIRED_MEMBERS) if _overlaps(segments, member)), None):
            message = f"expected a member that is not required, got `{pointer}`, which selects `{required}`"
            raise ConfigurationError(message, place=place)
        if treatment is Treatment.DROP and (segments[-1] == ANY or segments[-1].isdigit()):
            message = f"expected a member name at the end because elements cannot be dropped, got `{pointer}`"
            raise ConfigurationError(message, place=place)
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
    identity = record.get("userIdentity")
    caller = identity.get("accountId") if isinstance(identity, Mapping) else None
    for account in (caller, record.get("recipientAccountId")):
        if isinstance(account, str) and is_account_id(account):
            return account
    return OTHER


class _RuleApplication:
    """Apply the rules to one record and collect the affected pointers."""

    def __init__(self, keys: PseudonymKeys | None, account: str) -> None:
        self._keys = keys
        self._account = account
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
        """Replace a value by its pseudonym, or by the mask if there is no key."""
        pseudonym = None
        if treatment is Treatment.PSEUDONYMS and self._keys is not None:
            pseudonym = self._keys.pseudonym(self._account, value if isinstance(value, str) else str(value))
        self.places[Treatment.MASK if pseudonym is None else treatment].append(pointer)
        return MASK if pseudonym is None else pseudonym


def _follow(nodes: list[_Node], name: str, treatment: Treatment | None) -> tuple[list[_Node], Treatment | None]:
    """Return the nodes below for one segment, and the treatment that applies there."""
    children = [child for node in nodes for segment in (name, ANY) if (child := node.children.get(segment)) is not None]
    treatments = [node.treatment for node in children if node.treatment is not None]
    return children, max([*treatments, *([] if treatment is None else [treatment])], default=None)
