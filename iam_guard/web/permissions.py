"""What the current caller may do here: questions of a front end, answered and not attempted.

A question names an action of the application, and a resource as its decorators do (`document/7`, in the caller's own
account, or a whole ARN); or a resource alone, which stands for all actions that are declared for resources of its kind.
The answers are hints for a page: the request that follows is decided anew. Whoever is nobody is asked to sign in.
Nobody can ask about IAM and STS here, for the simulation operations do that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from iam_guard.errors import InvalidInput
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.model.catalogue import ActionRow
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.settings import Settings
from iam_guard.web.call_context import current_call
from iam_guard.web.refusal import sign_in_for
from iam_guard.web.service import Service

MAX_QUESTIONS: Final = 100
ASK: Final = "iam-guard:AskPermissions"
_HALF = re.compile("[\ud800-\udfff]")
"""Half a character, which JSON may have and no answer can."""
_PARAMETER = re.compile(r"\$?\{[^{}]*\}")


class AskedPermission(NamedTuple):
    """One question: the resource as it was asked about, and what that is."""

    action: str
    resource: str
    arn: str


class PermissionQuestions:
    """Reads questions about the actions of some services."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services = {service.name: service for service in services}

    def read(self, document: Any, caller: Principal, settings: Settings) -> list[AskedPermission]:
        """Read `{"questions": [{"action", "resource"}, …], "resources": [resource, …]}`; either may be left out.

        Raises `InvalidInput` for what cannot be read, an action that is not declared, and too many questions;
        `MissingAuthenticationToken` for a stranger, whatever was asked.
        """
        if caller.type is PrincipalType.ANONYMOUS:
            raise sign_in_for(ASK)
        if not isinstance(document, Mapping) or not document.keys() <= {"questions", "resources"}:
            raise InvalidInput("expected an object with `questions` or `resources`", place="body")
        asked = [self._question(each, caller, settings) for each in _list_of(document, "questions")]
        resources = _list_of(document, "resources")
        forms = self._forms() if resources else []
        for resource in resources:
            asked += _about(_text(resource, "resources"), forms, caller, settings)
            if len(asked) > MAX_QUESTIONS:  # at once: each resource is compared with every action
                raise InvalidInput(f"expected at most {MAX_QUESTIONS} questions, got more", place="body")
        return asked

    def _question(self, given: Any, caller: Principal, settings: Settings) -> AskedPermission:
        if not isinstance(given, Mapping) or not {"action"} <= given.keys() <= {"action", "resource"}:
            raise InvalidInput("expected each question to have `action`, and perhaps `resource`", place="questions")
        action, resource = _text(given["action"], "action"), _text(given.get("resource", "*"), "resource")
        row = self._row(action)
        return AskedPermission(str(row), resource, _arn_of(resource, row.service, caller, settings))

    def _row(self, action: str) -> ActionRow:
        prefix, _, name = action.partition(":")
        service = self._services.get(prefix)
        row = None if service is None else next((each for each in service.catalogue if each.name == name), None)
        if row is None:
            raise InvalidInput(f"expected an action of this application, got `{action[:128]}`", place="action")
        return row

    def _forms(self) -> list[_Forms]:
        """Return each action with what it takes: its templates, and the ARNs of types that it is said to take."""
        found: list[_Forms] = []
        for service in self._services.values():
            types = {
                resource_type.name: resource_type.arn_formats for resource_type in service.reference().resource_types
            }
            for row in service.catalogue:
                said = (form for name in row.types for form in types[name])
                found.append((row, (*row.templates, *said)))
        return found


_Forms: TypeAlias = tuple[ActionRow, tuple[str, ...]]


def _about(resource: str, forms: list[_Forms], caller: Principal, settings: Settings) -> list[AskedPermission]:
    """Ask about each action that is declared for resources like this one."""
    asked: list[AskedPermission] = []
    for row, taken in forms:
        arn = _arn_of(resource, row.service, caller, settings)
        if any(_is_like(arn, each, row.service) for each in taken):
            asked.append(AskedPermission(str(row), resource, arn))
    if not asked:
        raise InvalidInput(f"no action is declared for `{resource[:128]}`", place="resources")
    return asked


def query_permissions(asked: Sequence[AskedPermission]) -> list[Decision]:
    """Answer questions of the current caller, in their order. Raises `ConfigurationError` outside of a call."""
    call = current_call()
    caller = call.caller_for(asked[0].action) if asked else call.caller
    return call.guard.ask(caller, [(each.action, each.arn) for each in asked], call=call.facts)


def answers_document(asked: Sequence[AskedPermission], decisions: Sequence[Decision]) -> dict[str, Any]:
    """Return the answers as JSON values: `{"answers": [{"action", "resource", "allowed"}, …]}`, and no reasons."""
    return {
        "answers": [
            {"action": each.action, "resource": each.resource, "allowed": decision.allowed}
            for each, decision in zip(asked, decisions, strict=True)
        ]
    }


def _list_of(document: Mapping[str, Any], name: str) -> list[Any]:
    found = document.get(name, [])
    if not isinstance(found, list) or len(found) > MAX_QUESTIONS:
        raise InvalidInput(f"expected a list of at most {MAX_QUESTIONS}", place=name)
    return found


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 2048 or _HALF.search(value):
        raise InvalidInput("expected a text of 1 to 2048 characters", place=place)
    return value


def _arn_of(resource: str, service: str, caller: Principal, settings: Settings) -> str:
    if resource == "*" or resource.startswith("arn:"):
        return resource
    return f"arn:{settings.partition}:{service}:{settings.region}:{caller.account or ''}:{resource}"


def _is_like(arn: str, template: str, service: str) -> bool:
    """Return whether an ARN is one that a template may become."""
    whole = template if template.startswith("arn:") else f"arn:{{}}:{service}:{{}}:{{}}:{template}"
    wanted, given = _PARAMETER.sub("*", whole).split(":", 5), arn.split(":", 5)
    return len(wanted) == len(given) and all(compile_glob(each)(part) for each, part in zip(wanted, given, strict=True))
