"""Permission queries of front ends: what the current caller may do, without attempting it.

A question names an action of the application and a resource, either short as in decorators (`document/7`, in the
caller's account) or as an ARN. A resource alone stands for all actions that are declared for its type. The answers are
hints for a page: the following request is decided again. Anonymous callers get 401. IAM and STS actions can't be
queried; use the simulation operations for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from iam_guard.errors import InvalidInput
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.model.catalogue import ActionRow
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.settings import Settings
from iam_guard.web.call_context import current_call
from iam_guard.web.refusal import authentication_required
from iam_guard.web.service import Service

MAX_QUESTIONS: Final = 100
ASK: Final = "iam-guard:AskPermissions"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""A lone surrogate: valid in JSON, but it can't be encoded in the response."""
_PARAMETER = re.compile(r"\$?\{[^{}]*\}")


class PermissionQuestion(NamedTuple):
    """One question: the action, the resource as given, and its ARN."""

    action: str
    resource: str
    arn: str


class PermissionQuestions:
    """Parses questions about the actions of `services`."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services = {service.name: service for service in services}

    def read(self, document: Any, caller: Principal, settings: Settings) -> list[PermissionQuestion]:
        """Parse `{"questions": [{"action", "resource"}, …], "resources": [resource, …]}`; both are optional.

        Raises `InvalidInput` for an invalid document, an undeclared action, and too many questions, and
        `MissingAuthenticationToken` for an anonymous caller.
        """
        if caller.type is PrincipalType.ANONYMOUS:
            raise authentication_required(ASK)
        if not isinstance(document, Mapping) or not document.keys() <= {"questions", "resources"}:
            raise InvalidInput("expected an object with `questions` or `resources`", place="body")
        complete = partial(_arn_of, caller, settings)
        questions = [self._question(item, complete) for item in _list_of(document, "questions")]
        resources = _list_of(document, "resources")
        forms = self._forms() if resources else []
        for resource in resources:
            questions += _questions_about(_string(resource, "resources"), forms, complete)
            if len(questions) > MAX_QUESTIONS:  # before the next one: each resource is compared with every action
                raise InvalidInput(f"expected at most {MAX_QUESTIONS} questions, got more", place="body")
        return questions

    def _question(self, arn_fields: Any, complete: _Complete) -> PermissionQuestion:
        if not isinstance(arn_fields, Mapping) or not {"action"} <= arn_fields.keys() <= {"action", "resource"}:
            raise InvalidInput("expected `action` and optionally `resource` in each question", place="questions")
        action, resource = _string(arn_fields["action"], "action"), _string(arn_fields.get("resource", "*"), "resource")
        row = self._row(action)
        return PermissionQuestion(str(row), resource, complete(resource, row.service))

    def _row(self, action: str) -> ActionRow:
        prefix, _, name = action.partition(":")
        service = self._services.get(prefix)
        row = None if service is None else next((row for row in service.catalogue if row.name == name), None)
        if row is None:
            raise InvalidInput(f"expected an action of this application, got `{action[:128]}`", place="action")
        return row

    def _forms(self) -> list[_Forms]:
        """Return each action with its resource templates and the ARN formats of its declared resource types."""
        found: list[_Forms] = []
        for service in self._services.values():
            types = {declared.name: declared.arn_formats for declared in service.reference().resource_types}
            for row in service.catalogue:
                arn_formats = (form for name in row.types for form in types[name])
                found.append((row, (*row.templates, *arn_formats)))
        return found


_Forms: TypeAlias = tuple[ActionRow, tuple[str, ...]]
_Complete: TypeAlias = Callable[[str, str], str]
"""(a resource as given, its service) -> its ARN."""


def _questions_about(resource: str, forms: list[_Forms], complete: _Complete) -> list[PermissionQuestion]:
    """Return a question for each action that is declared for resources of this type."""
    questions: list[PermissionQuestion] = []
    for row, templates in forms:
        arn = complete(resource, row.service)
        if any(matches_template(arn, template, row.service) for template in templates):
            questions.append(PermissionQuestion(str(row), resource, arn))
    if not questions:
        raise InvalidInput(f"no action is declared for `{resource[:128]}`", place="resources")
    return questions


def query_permissions(questions: Sequence[PermissionQuestion]) -> list[Decision]:
    """Return the decisions for the current caller, in order. Raises `ConfigurationError` outside of a call."""
    call = current_call()
    caller = call.caller_for(questions[0].action) if questions else call.caller
    return call.guard.ask(caller, [(question.action, question.arn) for question in questions], call=call.facts)


def answers_document(questions: Sequence[PermissionQuestion], decisions: Sequence[Decision]) -> dict[str, Any]:
    """Return the answers as JSON values, without reasons: `{"answers": [{"action", "resource", "allowed"}, …]}`."""
    return {
        "answers": [
            {"action": question.action, "resource": question.resource, "allowed": decision.allowed}
            for question, decision in zip(questions, decisions, strict=True)
        ]
    }


def _list_of(document: Mapping[str, Any], name: str) -> list[Any]:
    found = document.get(name, [])
    if not isinstance(found, list) or len(found) > MAX_QUESTIONS:
        raise InvalidInput(f"expected a list of at most {MAX_QUESTIONS}", place=name)
    return found


def _string(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 2048 or _LONE_SURROGATE.search(value):
        raise InvalidInput("expected a string of 1 to 2048 characters", place=place)
    return value


def _arn_of(caller: Principal, settings: Settings, resource: str, service: str) -> str:
    if resource == "*" or resource.startswith("arn:"):
        return resource
    return f"arn:{settings.partition}:{service}:{settings.region}:{caller.account or ''}:{resource}"


def matches_template(arn: str, template: str, service: str) -> bool:
    """Return whether an ARN has the form of a template of a service, or of an ARN format."""
    pattern = template if template.startswith("arn:") else f"arn:{{}}:{service}:{{}}:{{}}:{template}"
    template_fields, arn_fields = _PARAMETER.sub("*", pattern).split(":", 5), arn.split(":", 5)
    return len(template_fields) == len(arn_fields) and all(
        compile_glob(pattern)(field) for pattern, field in zip(template_fields, arn_fields, strict=True)
    )
