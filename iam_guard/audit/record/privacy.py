"""What an operator chose to keep out of the records: members that are dropped, masked, or made pseudonyms.

The settings `audit_drop`, `audit_mask` and `audit_pseudonyms` are JSON pointers, in which a segment `*` stands for any
member or any element. They are applied to a whole record before it becomes a line (`redaction`), so before it is
hashed. A mask or a pseudonym of an object or a list is one of all that is in it. Where several fit, dropping goes
before masking, and masking before the pseudonym. What was done is named in `iamGuard.dropped`, `.redacted` and
`.pseudonymised`.

What verifying, replaying and every consumer needs cannot be chosen (`NEEDED`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from iam_guard.audit.record.pseudonyms import OTHER, PseudonymKeys
from iam_guard.errors import ConfigurationError
from iam_guard.model.arn import is_account_id

MASK: Final = "[redacted]"
ANY: Final = "*"

NEEDED: Final = frozenset(
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
"""Members that cannot be chosen, with all that is in them."""


class Treatment(IntEnum):
    """What is done to a member; of several the highest counts. The names are those of the settings, after `audit_`."""

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
    """A place that rules lead to, or through."""

    treatment: Treatment | None = None
    below: dict[str, _Node] = field(default_factory=dict)


class PrivacyRules:
    """The rules of one guard. Safe to share between threads."""

    def __init__(self, chosen: Mapping[Treatment, Iterable[str]], keys: PseudonymKeys | None = None) -> None:
        """Take pointers by treatment. Raises `ConfigurationError` for what is none, or cannot be chosen."""
        self._root = _Node()
        self._keys = keys
        for treatment, pointers in sorted(chosen.items()):
            for pointer in pointers:
                self._add(pointer, treatment)
        if keys is None and chosen.get(Treatment.PSEUDONYMS):
            message = "expected the file of the keys of pseudonyms, set `IAM_GUARD_AUDIT_PSEUDONYM_KEY_FILE`"
            raise ConfigurationError(message, place="audit_pseudonym_key_file")

    def applied(self, record: Mapping[str, Any]) -> dict[str, object]:
        """Return the record as it may be kept."""
        applying = _Applying(self._keys, _account_of(record))
        clean: dict[str, object] = applying.members(record, [self._root], "", None)
        extension = clean.get("iamGuard")
        known: dict[str, Any] = extension if isinstance(extension, dict) else {}
        found = {
            mark: [*known.get(mark, ()), *places]
            for treatment, mark in _MARKS.items()
            if (places := applying.places[treatment])
        }
        return clean | {"iamGuard": known | found} if found else clean

    def _add(self, pointer: str, treatment: Treatment) -> None:
        place = f"audit_{treatment.name.lower()}"
        segments = _segments(pointer, place)
        if needed := next((each for each in sorted(NEEDED) if _reaches(segments, each)), None):
            message = f"expected a member that can be done without, got `{pointer}`, which reaches `{needed}`"
            raise ConfigurationError(message, place=place)
        if treatment is Treatment.DROP and (segments[-1] == ANY or segments[-1].isdigit()):
            message = f"expected the name of a member at the end, for elements are not dropped, got `{pointer}`"
            raise ConfigurationError(message, place=place)
        node = self._root
        for segment in segments:
            node = node.below.setdefault(segment, _Node())
        node.treatment = treatment  # the higher ones come last


def _segments(pointer: str, place: str) -> tuple[str, ...]:
    if not pointer.startswith("/") or "//" in pointer or pointer.endswith("/"):
        message = f"expected a JSON pointer such as `/userIdentity/userName`, got `{pointer}`"
        raise ConfigurationError(message, place=place)
    return tuple(each.replace("~1", "/").replace("~0", "~") for each in pointer[1:].split("/"))


def _reaches(segments: tuple[str, ...], needed: str) -> bool:
    """Return whether a pointer leads to what is needed, to what holds it, or into it."""
    return all(one in (ANY, other) for one, other in zip(segments, needed[1:].split("/"), strict=False))


def _account_of(record: Mapping[str, Any]) -> str:
    """Return the account whose key makes the pseudonyms of a record: the caller's, else the resource's."""
    identity = record.get("userIdentity")
    caller = identity.get("accountId") if isinstance(identity, Mapping) else None
    for account in (caller, record.get("recipientAccountId")):
        if isinstance(account, str) and is_account_id(account):
            return account
    return OTHER


class _Applying:
    """Goes through one record along the rules, and remembers what it did where."""

    def __init__(self, keys: PseudonymKeys | None, account: str) -> None:
        self._keys = keys
        self._account = account
        self.places: dict[Treatment, list[str]] = {each: [] for each in Treatment}

    def members(
        self, members: Mapping[str, Any], nodes: list[_Node], pointer: str, treatment: Treatment | None
    ) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, value in members.items():
            place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            below, chosen = _followed(nodes, name, treatment)
            if chosen is Treatment.DROP:
                self.places[chosen].append(place)
            else:
                kept[name] = self._value(value, below, place, chosen)
        return kept

    def _value(self, value: Any, nodes: list[_Node], pointer: str, treatment: Treatment | None) -> Any:
        if value is None or (treatment is None and not nodes):
            return value
        match value:
            case Mapping():
                return self.members(value, nodes, pointer, treatment)
            case list() | tuple():
                return [
                    self._value(each, below, f"{pointer}/{index}", chosen)
                    for index, each in enumerate(value)
                    for below, chosen in [_followed(nodes, str(index), treatment)]
                ]
            case _:
                return value if treatment is None else self._treated(value, pointer, treatment)

    def _treated(self, value: object, pointer: str, treatment: Treatment) -> str:
        """Put a pseudonym in the place of a value or, for want of a key, the mask."""
        made = None
        if treatment is Treatment.PSEUDONYMS and self._keys is not None:
            made = self._keys.pseudonym(self._account, value if isinstance(value, str) else str(value))
        self.places[Treatment.MASK if made is None else treatment].append(pointer)
        return MASK if made is None else made


def _followed(nodes: list[_Node], name: str, treatment: Treatment | None) -> tuple[list[_Node], Treatment | None]:
    """Follow the rules one step: the nodes below, and what is done there."""
    below = [found for node in nodes for segment in (name, ANY) if (found := node.below.get(segment)) is not None]
    chosen = [each.treatment for each in below if each.treatment is not None]
    return below, max([*chosen, *([] if treatment is None else [treatment])], default=None)
