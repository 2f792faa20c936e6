"""The entities of an AuthZEN request, read from JSON: subject, action, resource and context.

Ids are ARNs, and an action has its full name (`docs:GetDocument`). Properties are ignored: tags and attributes come
from the store and from the guard's resource loader. A member of the context with a colon is a condition key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from iam_guard.errors import ContextError, InvalidInput
from iam_guard.guard.guard import Guard
from iam_guard.model.context import Context, Given
from iam_guard.model.own_services import RESERVED
from iam_guard.model.principal import Principal
from iam_guard.model.reference import ResourceType, ServiceReference
from iam_guard.store.identifiers import identity_of_arn, root_arn, session_arn
from iam_guard.store.policies.stored_principals import ANY_SESSION
from iam_guard.web.permissions import matches_template

Document: TypeAlias = Mapping[str, Any]

SUBJECT_TYPES: Final = ("user", "role", "root")
"""A role stands for its sessions that have no session policies and no session tags."""
MAX_TEXT: Final = 2048
MAX_CONTEXT: Final = 100
CONNECTION_KEYS: Final = frozenset({"aws:sourceip", "aws:securetransport", "aws:useragent", "aws:referer"})
"""Keys of the subject's own connection, which only the enforcement point knows."""
_TAG_KEYS: Final = "aws:tagkeys"
_REQUEST_TAG: Final = "aws:requesttag/"
_ACTION: Final = re.compile(r"([a-z0-9][a-z0-9-]*):[A-Za-z0-9]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f]")
_REST: Final = re.compile(r":([a-z0-9][a-z0-9-]*):[A-Za-z0-9._-]*:([0-9]{12})?:.+")


class Evaluation(NamedTuple):
    """May the subject do the action on the resource? `account` is that in the resource's ARN."""

    subject: Principal
    action: str
    resource: str
    account: str | None
    context: Mapping[str, Given]


class EntityReader:
    """Reads entities for one guard. Every method raises `InvalidInput`."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._partition = guard.settings.partition
        self._references: dict[str, ServiceReference] = {}
        self._loaded_keys: frozenset[str] | None = None

    def evaluation(self, document: Document) -> Evaluation:
        """Read an evaluation."""
        subject, action = self.subject(document), self.action(document)
        resource, account = self.resource(document, action.partition(":")[0])
        return Evaluation(subject, action, resource, account, self.context(document))

    def subject(self, document: Document) -> Principal:
        """Read the subject: a user, a role or a root user, which need not exist."""
        entity = _entity(document, "subject")
        kind, arn = self.subject_type(document), _text(entity, "id", "subject")
        principal = _principal(self._partition, kind, arn)
        if principal is None:
            raise InvalidInput(f"expected the ARN of a {kind} as `id` of the subject", place="subject")
        return principal

    def subject_type(self, document: Document) -> str:
        """Read the type of the subject."""
        kind = _text(_entity(document, "subject"), "type", "subject")
        if kind not in SUBJECT_TYPES:
            message = f"expected one of {', '.join(SUBJECT_TYPES)} as `type` of the subject"
            raise InvalidInput(message, place="subject")
        return kind

    def action(self, document: Document) -> str:
        """Read the action: one of an application, since those of AWS's services depend on more than a resource."""
        action = _text(_entity(document, "action"), "name", "action")
        found = _ACTION.fullmatch(action)
        if found is None or found[1] in RESERVED:
            message = "expected an action of an application such as `docs:GetDocument` as `name` of the action"
            raise InvalidInput(message, place="action")
        return action

    def resource(self, document: Document, service: str | None = None) -> tuple[str, str | None]:
        """Read the resource: return its ARN, or `*`, and the account in it. `service` declares its type."""
        entity = _entity(document, "resource")
        kind, arn = _text(entity, "type", "resource"), _text(entity, "id", "resource")
        if arn == "*":
            return arn, None
        prefix = f"arn:{self._partition}"
        found = _REST.fullmatch(arn, len(prefix)) if arn.startswith(prefix) else None
        if found is None:
            raise InvalidInput("expected an ARN, or `*`, as `id` of the resource", place="resource")
        service = service or found[1]
        declared = self.resource_types(service)
        if declared:
            formats = declared[kind].arn_formats if kind in declared else ()
            if not any(matches_template(arn, arn_format, service) for arn_format in formats):
                message = f"expected `type` and `id` of the resource to be of a declared type of `{service}`"
                raise InvalidInput(message, place="resource")
        return arn, found[2]

    def resource_type(self, document: Document) -> str:
        """Read the type of the resource."""
        return _text(_entity(document, "resource"), "type", "resource")

    def context(self, document: Document) -> Mapping[str, Given]:
        """Read the condition keys. Other members of the context decide nothing, since no policy can name them."""
        if "context" not in document:
            return {}
        given = {key: value for key, value in _entity(document, "context").items() if ":" in key}
        if len(given) > MAX_CONTEXT:
            raise InvalidInput(f"expected at most {MAX_CONTEXT} condition keys", place="context")
        for key, value in given.items():
            self._check_key(key, value)
        try:
            Context(given)
        except ContextError as error:
            raise InvalidInput(error.message, place="context") from None
        return given

    def resource_types(self, service: str) -> Mapping[str, ResourceType]:
        """Return the declared resource types of a service by name."""
        reference = self.reference(service)
        return {} if reference is None else {declared.name: declared for declared in reference.resource_types}

    def reference(self, service: str) -> ServiceReference | None:
        """Return the reference of a service of the application; None for any other."""
        for catalogue in self._guard.catalogues:
            if catalogue.service == service and service not in self._references:
                self._references[service] = catalogue.reference()
        return self._references.get(service)

    def _check_key(self, key: str, value: object) -> None:
        folded, values = key.lower(), value if isinstance(value, list) else [value]
        is_of_subject = folded in CONNECTION_KEYS or folded == _TAG_KEYS or folded.startswith(_REQUEST_TAG)
        if (folded.partition(":")[0] in RESERVED and not is_of_subject) or folded in self._keys_of_loader():
            raise InvalidInput(f"the condition key `{key[:200]}` is derived by the server", place="context")
        if not all(isinstance(part, str | int | float) for part in values):
            message = f"expected a string, number, boolean, or a list of these, as `{key[:200]}`"
            raise InvalidInput(message, place="context")
        if is_of_subject and folded != _TAG_KEYS and isinstance(value, list):
            raise InvalidInput(f"expected one value as `{key[:200]}`", place="context")

    def _keys_of_loader(self) -> frozenset[str]:
        """Return the keys of resources, in lower case, that the guard's resource loader supplies."""
        if self._loaded_keys is None:
            services = () if self._guard.resources is None else self._guard.catalogues
            declared = [kind for catalogue in services for kind in self.resource_types(catalogue.service).values()]
            self._loaded_keys = frozenset(key.lower() for kind in declared for key in kind.condition_keys)
        return self._loaded_keys


def _entity(document: Document, name: str) -> Document:
    entity = document.get(name)
    if not isinstance(entity, dict):
        raise InvalidInput(f"expected an object as `{name}`", place=name)
    return entity


def _text(entity: Document, name: str, place: str) -> str:
    """Return a member that is a string of a sensible length, without control characters. Raises `InvalidInput`."""
    value = entity.get(name)
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT or _CONTROL.search(value):
        raise InvalidInput(f"expected a string of 1 to {MAX_TEXT} characters as `{name}` of the {place}", place=place)
    return value


@lru_cache(maxsize=1024)  # the guard's caches are keyed by the principal object
def _principal(partition: str, kind: str, arn: str) -> Principal | None:
    account = arn.split(":", 5)[4] if arn.count(":") >= 5 else ""
    if kind == "root":
        return Principal.from_arn(arn) if arn == root_arn(partition, account) and account.isdigit() else None
    named = identity_of_arn(arn)
    if named is None or named[1] != kind or not arn.startswith(f"arn:{partition}:iam::"):
        return None
    if kind == "user":
        return Principal.from_arn(arn)
    return Principal.from_arn(session_arn(partition, named[0], named[2], ANY_SESSION), role_arn=arn)
