"""The OCSF schema of the exported classes, to validate events against.

The compiled schema of version 1.8.0 comes with the package `ocsf-json-schema`, which makes JSON Schema of it: required
attributes, types, enumerations, constraints, and no attributes beyond those of the class, its objects and the event's
profiles. The additions of version 1.9.0 that we use are applied here: from ocsf/ocsf-schema,
`events/iam/authorize_session.json`, `objects/iam_role.json`, and its `CHANGELOG.md` on `actor`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

Json = dict[str, Any]

OTHER = 99


@cache
def schema() -> Json:
    """Return the compiled schema."""
    compiled: Json = get_ocsf_schema(version="1.8.0")
    classes, objects = compiled["classes"], compiled["objects"]
    identifying = {name: objects["group"]["attributes"][name] for name in ("name", "uid", "privileges")}
    ownership = {name: objects["user"]["attributes"][name] for name in ("account", "uid_alt")}
    objects["iam_role"] = {
        "name": "iam_role",
        "caption": "IAM Role",
        "attributes": identifying | ownership,
        "constraints": {"at_least_one": ["name", "uid"]},
    }
    role = {"caption": "IAM Role", "type": "object_t", "object_type": "iam_role", "requirement": "optional"}
    actor, session = objects["actor"], classes["authorize_session"]
    actor["attributes"]["iam_role"] = role
    actor["constraints"]["at_least_one"].append("iam_role")
    session["attributes"]["iam_roles"] = {**role, "is_array": True}
    session["attributes"]["groups"] = {**session["attributes"]["group"], "is_array": True}
    session["attributes"]["activity_id"]["enum"]["3"] = {"caption": "Assign Roles"}
    session["attributes"]["type_uid"]["enum"]["300303"] = {"caption": "Authorize Session: Assign Roles"}
    session["constraints"] = {"at_least_one": ["privileges", "groups", "iam_roles"]}
    return compiled


@cache
def _validator(class_uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    factory = OcsfJsonSchemaEmbedded(schema())
    class_schema = factory.get_class_schema(factory.lookup_class_name_from_uid(class_uid), list(profiles))
    Draft202012Validator.check_schema(class_schema)
    return Draft202012Validator(class_schema)


def problems(event: Json) -> list[str]:
    """Return the errors of an event: pointer and message."""
    validator = _validator(event["class_uid"], tuple(event["metadata"]["profiles"]))
    found = [f"/{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(event)]
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("/type_uid: expected the value of class and activity")
    factory = OcsfJsonSchemaEmbedded(schema())
    attributes = schema()["classes"][factory.lookup_class_name_from_uid(event["class_uid"])]["attributes"]
    return found + list(_missing_siblings(event, attributes, ""))


def _missing_siblings(value: Json, attributes: Json, place: str) -> Iterator[str]:
    """Yield the enumerations with the value `Other` whose sibling attribute, the name, is missing."""
    for name, member in value.items():
        attribute = attributes.get(name, {})
        sibling = attribute.get("sibling")
        if member == OTHER and sibling is not None and sibling not in value:
            yield f"{place}/{name}: expected a sibling `{sibling}`"
        inner = schema()["objects"].get(attribute.get("object_type"), {}).get("attributes", {})
        for part in member if isinstance(member, list) else [member]:
            if isinstance(part, dict):
                yield from _missing_siblings(part, inner, f"{place}/{name}")
