"""Lookups in the service references: the actions that a pattern matches, and the type of a condition key.

Names are compared case-insensitively (rules M-3, C-3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from iam_guard.errors import InvalidInput
from iam_guard.evaluation.matching.condition_keys import KEYS, row_of
from iam_guard.evaluation.matching.pattern import Pattern, compile_glob
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern, overlaps
from iam_guard.model.reference import ActionEntry, KeyType, ServiceReference
from iam_guard.policy.grammar import WILDCARD, quoted

_PARAMETER = re.compile(r"\$\{[^{}]*\}")
_TYPES: dict[str, KeyType] = {
    "String": "String",
    "Bool": "Bool",
    "Numeric": "Numeric",
    "Date": "Date",
    "Arn": "ARN",
    "Ip": "IPAddress",
}
"""Kind of a global key -> its type."""


class KnownAction(NamedTuple):
    """An action with its service."""

    service: ServiceReference
    entry: ActionEntry

    def __str__(self) -> str:
        return f"{self.service.name}:{self.entry.name}"

    def arn_formats(self) -> Iterator[str]:
        """Return the ARN formats of its resource types; none for an action that takes only `*`."""
        names = {resource.name for resource in self.entry.resources}
        for resource_type in self.service.resource_types:
            if resource_type.name in names:
                yield from resource_type.arn_formats


class KnownKey(NamedTuple):
    """What is known about a condition key. `type` is None if undeclared. `is_free`: callers choose its values."""

    type: KeyType | None
    multivalued: bool
    is_free: bool = False


class ReferenceIndex:
    """The references of one run. `is_all`: there are no services besides these."""

    def __init__(self, references: Iterable[ServiceReference], *, is_all: bool) -> None:
        self.services = {reference.name.lower(): reference for reference in references}
        self.is_all = is_all
        self._matching: dict[str, tuple[KnownAction, ...]] = {}
        self._keys = {
            name: {_folded(key.name): key for key in service.condition_keys} for name, service in self.services.items()
        }
        self._supplied: dict[tuple[str, str], frozenset[str]] = {}
        self._arns: dict[tuple[str, str], tuple[Pattern, ...]] = {}

    # --- actions -------------------------------------------------------------------------------------------------

    def matching_actions(self, action: str) -> tuple[KnownAction, ...] | None:
        """Return the actions that a policy's action matches; None if it may match unknown ones."""
        folded = action.lower()
        prefix, colon, name = folded.partition(":")
        service = self.services.get(prefix)
        if not colon or service is None:
            return None
        if folded not in self._matching:
            matches = compile_glob(name)
            found = tuple(KnownAction(service, entry) for entry in service.actions if matches(entry.name.lower()))
            self._matching[folded] = found
        return self._matching[folded]

    def check_action(self, action: str) -> None:
        """Raise `InvalidInput` for an action that its service doesn't have.

        An unknown service is an error only if all services are known.
        """
        prefix, _, name = action.partition(":")
        service = self.services.get(prefix.lower())
        if service is not None and not self.matching_actions(action):
            hint = self.suggest_action(service, name)
            raise InvalidInput(f"the service {quoted(service.name)} has no action {quoted(name)}{hint}", place="action")
        if service is None and self.is_all:
            raise InvalidInput(f"unknown service {quoted(prefix)}{self.suggest_service(prefix)}", place="action")

    def suggest_service(self, prefix: str) -> str:
        """Suggest the service with the most similar prefix."""
        return _suggestion(prefix, {name: name for name in self.services}, 0.6)

    def suggest_action(self, service: ServiceReference, name: str) -> str:
        """Suggest the action of the service with the most similar name."""
        names = {action.name.lower(): f"{service.name}:{action.name}" for action in service.actions}
        return _suggestion(WILDCARD.sub("", name), names, 0.75)

    def arns_of(self, action: KnownAction) -> tuple[Pattern, ...]:
        """Return the patterns of an action's ARN formats."""
        key = action.service.name, action.entry.name
        if key not in self._arns:
            self._arns[key] = tuple(arn_pattern(_PARAMETER.sub("*", arn)) for arn in action.arn_formats())
        return self._arns[key]

    def may_take(self, action: KnownAction, pattern: Pattern) -> bool:
        """Return whether an action may support a resource that the pattern matches."""
        return action.entry.open_resources or any(overlaps(pattern, arn) for arn in self.arns_of(action))

    # --- condition keys ------------------------------------------------------------------------------------------

    def supplies(self, action: KnownAction, key: str) -> bool:
        """Return whether an action supplies a condition key, or a resource type that its loader may return does."""
        mine = (action.service.name, action.entry.name)
        if mine not in self._supplied:
            keys = {*action.service.keys_of(action.entry)}
            if action.entry.open_resources:
                keys.update(*(resource_type.condition_keys for resource_type in action.service.resource_types))
            self._supplied[mine] = frozenset(map(_folded, keys))
        folded = key.lower()
        return folded in self._supplied[mine] or _family(folded) in self._supplied[mine]

    def key(self, key: str) -> KnownKey | None:
        """Return what is known about a condition key; None for an unknown key."""
        folded = key.lower()
        keys = self._keys.get(folded.partition(":")[0], {})
        found = keys.get(folded) or keys.get(_family(folded))
        row = row_of(key)
        if row is not None:
            return KnownKey(_TYPES[row.kind], row.multivalued, row.name.endswith("/"))
        return None if found is None else KnownKey(found.type, found.multivalued, found.name.endswith("}"))

    def suggest_key(self, key: str) -> str:
        """Suggest the most similar condition key."""
        names = {row.name.lower(): row.name for row in KEYS if not row.name.startswith("<")}
        for service in self.services.values():
            names |= {_folded(known.name): known.name for known in service.condition_keys}
        return _suggestion(key, names, 0.8)


def _suggestion(name: str, names: Mapping[str, str], cutoff: float) -> str:
    """Return the end of a message that suggests the most similar name; empty if none is similar enough."""
    close = get_close_matches(name.lower(), names, 1, cutoff)
    return f", did you mean {quoted(names[close[0]])}?" if close else ""


def _folded(name: str) -> str:
    return _PARAMETER.sub("${}", name).lower()


def _family(folded: str) -> str:
    before, slash, _ = folded.partition("/")
    return f"{before}/${{}}" if slash else folded
