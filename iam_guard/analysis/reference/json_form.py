"""References in the JSON form that AWS publishes (`https://servicereference.us-east-1.amazonaws.com/`), both ways.

What AWS's form has no member for stands in members of its own, which readers of AWS's files pass over: `Title`,
`Description`, `DependentActions`, `Required`, `OpenResources`, `OpenConditionKeys`. Reading takes AWS's files as they
are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
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


# --- writing -----------------------------------------------------------------------------------------------------


def reference_json(references: Sequence[ServiceReference]) -> str:
    """Write one reference as AWS's file of a service, several as a list of them."""
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
    writes = (AccessLevel.WRITE, AccessLevel.PERMISSIONS_MANAGEMENT, AccessLevel.TAGGING)
    return {
        "IsList": level is AccessLevel.LIST,
        "IsPermissionManagement": level is AccessLevel.PERMISSIONS_MANAGEMENT,
        "IsTaggingOnly": level is AccessLevel.TAGGING,
        "IsWrite": level in writes,
    }


def _present(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


# --- reading -----------------------------------------------------------------------------------------------------


def read_references(text: str, name: str = "reference") -> tuple[ServiceReference, ...]:
    """Read a file of one service or a list of them. Raises `InvalidInput` that names the place."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("expected a service reference as JSON", place=name) from None
    if isinstance(given, list):
        return tuple(_Reading(f"{name}/{index}").service(each) for index, each in enumerate(given))
    return (_Reading(name).service(given),)


class _Reading:
    """The reading of one service; `place` is how it is called in errors."""

    def __init__(self, place: str) -> None:
        self.place = place

    def service(self, given: Any) -> ServiceReference:
        service = self.object(given, "a service reference")
        return ServiceReference(
            self.text(service, "Name"),
            tuple(sorted((self.action(each) for each in self.objects(service, "Actions")), key=_by_name)),
            tuple(sorted((self.resource_type(each) for each in self.objects(service, "Resources")), key=_by_name)),
            tuple(sorted((self.key(each) for each in self.objects(service, "ConditionKeys")), key=_by_name)),
            self.text(service, "Title", ""),
        )

    def action(self, given: Mapping[str, Any]) -> ActionEntry:
        annotations = self.object(given.get("Annotations") or {}, "`Annotations` as an object")
        properties = annotations.get("Properties")
        return ActionEntry(
            self.text(given, "Name"),
            self.text(given, "Description", ""),
            None if properties is None else _level(self.object(properties, "`Properties` as an object")),
            tuple(
                ActionTarget(self.text(each, "Name"), each.get("Required") is True, self.texts(each, "ConditionKeys"))
                for each in self.objects(given, "Resources")
            ),
            self.texts(given, "ActionConditionKeys"),
            self.texts(given, "DependentActions"),
            open_resources=given.get("OpenResources") is True,
            open_keys=given.get("OpenConditionKeys") is True,
        )

    def resource_type(self, given: Mapping[str, Any]) -> ResourceType:
        return ResourceType(
            self.text(given, "Name"),
            self.texts(given, "ARNFormats"),
            self.texts(given, "ConditionKeys"),
            self.text(given, "Description", ""),
        )

    def key(self, given: Mapping[str, Any]) -> ConditionKey:
        """Read a key; a type that nobody here knows is no type, since the form may grow."""
        written = next(iter(self.texts(given, "Types")), "")
        type = next((each for each in KEY_TYPES if each == written.removeprefix(_ARRAY)), None)
        description = self.text(given, "Description", "")
        return ConditionKey(self.text(given, "Name"), type, written.startswith(_ARRAY), description)

    def object(self, given: Any, what: str) -> Mapping[str, Any]:
        if isinstance(given, dict):
            return given
        raise InvalidInput(f"expected {what}, got `{type(given).__name__}`", place=self.place)

    def objects(self, given: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
        return [self.object(each, f"objects in `{name}`") for each in self.list(given, name)]

    def texts(self, given: Mapping[str, Any], name: str) -> tuple[str, ...]:
        found = self.list(given, name)
        if all(isinstance(each, str) for each in found):
            return tuple(found)
        raise InvalidInput(f"expected texts in `{name}`", place=self.place)

    def list(self, given: Mapping[str, Any], name: str) -> Sequence[Any]:
        found = given.get(name)
        if found is None:
            return ()
        if isinstance(found, list):
            return found
        raise InvalidInput(f"expected `{name}` as a list, got `{type(found).__name__}`", place=self.place)

    def text(self, given: Mapping[str, Any], name: str, otherwise: str | None = None) -> str:
        found = given.get(name, otherwise)
        if isinstance(found, str) and (found or otherwise is not None):
            return found
        raise InvalidInput(f"expected `{name}` as a text", place=self.place)


def _by_name(each: ActionEntry | ResourceType | ConditionKey) -> str:
    return each.name


def _level(properties: Mapping[str, Any]) -> AccessLevel:
    if properties.get("IsPermissionManagement"):
        return AccessLevel.PERMISSIONS_MANAGEMENT
    if properties.get("IsTaggingOnly"):
        return AccessLevel.TAGGING
    if properties.get("IsWrite"):
        return AccessLevel.WRITE
    return AccessLevel.LIST if properties.get("IsList") else AccessLevel.READ
