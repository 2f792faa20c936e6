"""What the schema of OCSF says of the classes that we export, for validating events against it.

The compiled schema of version 1.8.0 comes with the package `ocsf-json-schema`, which makes JSON Schema of it: required
attributes, types, enumerations, constraints, and no attribute that a class or object does not have with the profiles of
the event. What version 1.9.0 added, as far as we use it, is laid over it here: from ocsf/ocsf-schema,
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
    made: Json = get_ocsf_schema(version="1.8.0")
    classes, objects = made["classes"], made["objects"]
    named = {name: objects["group"]["attributes"][name] for name in ("name", "uid", "privileges")}
    owned = {name: objects["user"]["attributes"][name] for name in ("account", "uid_alt")}
    objects["iam_role"] = {
        "name": "iam_role",
        "caption": "IAM Role",
        "attributes": named | owned,
        "constraints": {"at_least_one": ["name", "uid"]},
    }
    a_role = {"caption": "IAM Role", "type": "object_t", "object_type": "iam_role", "requirement": "optional"}
    actor, session = objects["actor"], classes["authorize_session"]
    actor["attributes"]["iam_role"] = a_role
    actor["constraints"]["at_least_one"].append("iam_role")
    session["attributes"]["iam_roles"] = {**a_role, "is_array": True}
    session["attributes"]["groups"] = {**session["attributes"]["group"], "is_array": True}
    session["attributes"]["activity_id"]["enum"]["3"] = {"caption": "Assign Roles"}
    session["attributes"]["type_uid"]["enum"]["300303"] = {"caption": "Authorize Session: Assign Roles"}
    session["constraints"] = {"at_least_one": ["privileges", "groups", "iam_roles"]}
    return made


@cache
def _validator(class_uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    making = OcsfJsonSchemaEmbedded(schema())
    made = making.get_class_schema(making.lookup_class_name_from_uid(class_uid), list(profiles))
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def problems(event: Json) -> list[str]:
    """Return what is wrong with an event: the place and what the schema says."""
    validator = _validator(event["class_uid"], tuple(event["metadata"]["profiles"]))
    found = [
        f"/{'/'.join(map(str, iter_error.absolute_path))}: {iter_error.message}"
        for iter_error in validator.iter_errors(event)
    ]
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("/type_uid: it is not that of the class and the activity")
    making = OcsfJsonSchemaEmbedded(schema())
    attributes = schema()["classes"][making.lookup_class_name_from_uid(event["class_uid"])]["attributes"]
    return found + list(_without_words(event, attributes, ""))


def _without_words(value: Json, attributes: Json, place: str) -> Iterator[str]:
    """Find where something is of another kind than the schema knows, and is not said in words beside it."""
    for name, each in value.items():
        attribute = attributes.get(name, {})
        sibling = attribute.get("sibling")
        if each == OTHER and sibling is not None and sibling not in value:
            yield f"{place}/{name}: expected `{sibling}` beside it"
        inner = schema()["objects"].get(attribute.get("object_type"), {}).get("attributes", {})
        for part in each if isinstance(each, list) else [each]:
            if isinstance(part, dict):
                yield from _without_words(part, inner, f"{place}/{name}")
