"""Read and write references in the JSON form that AWS publishes (`https://servicereference.us-east-1.amazonaws.com/`).

Additional members hold what AWS's form lacks: `Title`, `Description`, `DependentActions`, `Required`, `OpenResources`,
`OpenConditionKeys`. Readers of AWS's files ignore them; AWS's files can be read without them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from iam_guard.errors import InvalidInput
from iam_guard.model.reference import (
    KEY_TYPES,
    AccessLevel,
    ActionEntry,
    ActionTarget,
    ConditionKey,
    ResourceType,
    ServiceReference,
)

FORM_VERSION = "v1.4"
"""The version of AWS's form that is written."""
_ARRAY = "ArrayOf"
_LEVELS = {
    "IsPermissionManagement": AccessLevel.PERMISSIONS_MANAGEMENT,
    "IsTaggingOnly": AccessLevel.TAGGING,
    "IsWrite": AccessLevel.WRITE,
    "IsList": AccessLevel.LIST,
}
"""Property -> access level; the first that is true counts, since tagging and management also write."""


# --- writing -----------------------------------------------------------------------------------------------------


def reference_json(references: Sequence[ServiceReference]) -> str:
    """Serialize one reference as AWS's file of a service, several as a list."""
    written: Any = [_service(reference) for reference in references]
    return json.dumps(written[0] if len(written) == 1 else written, indent=2, ensure_ascii=False) + "\n"


def _service(reference: ServiceReference) -> dict[str, Any]:
    return {
        "Name": reference.name,
        **_present(Title=reference.title),
        "Actions": [_action(action) for action in reference.actions],
        "ConditionKeys": [
            {"Name": key.name, "Types": [key.type_name] if key.type else [], **_present(Description=key.description)}
            for key in reference.condition_keys
        ],
        "Resources": [
            {
                "Name": resource_type.name,
                "ARNFormats": list(resource_type.arn_formats),
                **_present(ConditionKeys=list(resource_type.condition_keys), Description=resource_type.description),
            }
            for resource_type in reference.resource_types
        ],
        "Version": FORM_VERSION,
    }


def _action(action: ActionEntry) -> dict[str, Any]:
    return {
        "Name": action.name,
        **_present(ActionConditionKeys=list(action.condition_keys)),
        **({} if action.level is None else {"Annotations": {"Properties": _properties(action.level)}}),
        **_present(
            Description=action.description,
            DependentActions=list(action.dependent_actions),
            OpenConditionKeys=action.open_keys,
            OpenResources=action.open_resources,
            Resources=[
                {
                    "Name": resource.name,
                    **_present(Required=resource.required, ConditionKeys=list(resource.condition_keys)),
                }
                for resource in action.resources
            ],
        ),
    }


def _properties(level: AccessLevel) -> dict[str, bool]:
    properties = {name: level is known for name, known in sorted(_LEVELS.items())}
    return properties | {"IsWrite": level not in (AccessLevel.LIST, AccessLevel.READ)}


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


# --- reading -----------------------------------------------------------------------------------------------------


def read_references(text: str, name: str = "reference") -> tuple[ServiceReference, ...]:
    """Parse a file with one service or a list of them. Raises `InvalidInput` with the place."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("expected a service reference as JSON", place=name) from None
    if isinstance(content, list):
        return tuple(_Reader(f"{name}/{index}").service(service) for index, service in enumerate(content))
    return (_Reader(name).service(content),)


class _Reader:
    """Parses one service; `place` names it in errors."""

    def __init__(self, place: str) -> None:
        self.place = place

    def service(self, members: Any) -> ServiceReference:
        service = self.object(members, "a service reference")
        return ServiceReference(
            self.text(service, "Name"),
            tuple(sorted(map(self.action, self.objects(service, "Actions")), key=attrgetter("name"))),
            tuple(sorted(map(self.resource_type, self.objects(service, "Resources")), key=attrgetter("name"))),
            tuple(sorted(map(self.key, self.objects(service, "ConditionKeys")), key=attrgetter("name"))),
            self.text(service, "Title", ""),
        )

    def action(self, members: Mapping[str, Any]) -> ActionEntry:
        annotations = self.object(members.get("Annotations") or {}, "`Annotations` as an object")
        properties = annotations.get("Properties")
        return ActionEntry(
            self.text(members, "Name"),
            self.text(members, "Description", ""),
            None if properties is None else _level(self.object(properties, "`Properties` as an object")),
            tuple(
                ActionTarget(
                    self.text(resource, "Name"), resource.get("Required") is True, self.texts(resource, "ConditionKeys")
                )
                for resource in self.objects(members, "Resources")
            ),
            self.texts(members, "ActionConditionKeys"),
            self.texts(members, "DependentActions"),
            open_resources=members.get("OpenResources") is True,
            open_keys=members.get("OpenConditionKeys") is True,
        )

    def resource_type(self, members: Mapping[str, Any]) -> ResourceType:
        return ResourceType(
            self.text(members, "Name"),
            self.texts(members, "ARNFormats"),
            self.texts(members, "ConditionKeys"),
            self.text(members, "Description", ""),
        )

    def key(self, members: Mapping[str, Any]) -> ConditionKey:
        """Parse a key. An unknown type counts as none, since AWS may add types."""
        written = next(iter(self.texts(members, "Types")), "")
        type = next((known for known in KEY_TYPES if known == written.removeprefix(_ARRAY)), None)
        description = self.text(members, "Description", "")
        return ConditionKey(self.text(members, "Name"), type, written.startswith(_ARRAY), description)

    def object(self, members: Any, what: str) -> Mapping[str, Any]:
        if isinstance(members, dict):
            return members
        raise InvalidInput(f"expected {what}, got `{type(members).__name__}`", place=self.place)

    def objects(self, members: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
        return [self.object(item, f"objects in `{name}`") for item in self.list(members, name)]

    def texts(self, members: Mapping[str, Any], name: str) -> tuple[str, ...]:
        found = self.list(members, name)
        if all(isinstance(item, str) for item in found):
            return tuple(found)
        raise InvalidInput(f"expected strings in `{name}`", place=self.place)

    def list(self, members: Mapping[str, Any], name: str) -> Sequence[Any]:
        found = members.get(name)
        if found is None:
            return ()
        if isinstance(found, list):
            return found
        raise InvalidInput(f"expected `{name}` as a list, got `{type(found).__name__}`", place=self.place)

    def text(self, members: Mapping[str, Any], name: str, default: str | None = None) -> str:
        found = members.get(name, default)
        if isinstance(found, str) and (found or default is not None):
            return found
        raise InvalidInput(f"expected `{name}` as a string", place=self.place)


def _level(properties: Mapping[str, Any]) -> AccessLevel:
    return next((level for name, level in _LEVELS.items() if properties.get(name)), AccessLevel.READ)
