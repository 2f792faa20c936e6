"""Generalize the ARN of one resource to the pattern of all resources of its kind, by registered templates.

`document/{document_id}` turns `…:document/7` into `…:document/*`. The first five fields are kept, so a pattern never
covers another account, region or service. An ARN without an account is not generalized, since it may belong to any
account; nor is one that matches no template. If several match, a template whose parameters contain no `/` wins, then
the one with the most literal characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.model.catalogue import ActionRow, Catalogue
from iam_guard.policy.builder import literal

OWN_TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "iam": (
        "user/{name}",
        "group/{name}",
        "role/{name}",
        "role/aws-service-role/{service}/{name}",
        "policy/{name}",
        "instance-profile/{name}",
        "mfa/{name}",
        "oidc-provider/{name}",
        "saml-provider/{name}",
        "server-certificate/{name}",
        "access-report/{name}",
    ),
    "sts": ("assumed-role/{role}/{session}", "federated-user/{name}"),
    "organizations": (
        "account/{organization}/{id}",
        "ou/{organization}/{id}",
        "root/{organization}/{id}",
        "organization/{id}",
        "policy/{organization}/service_control_policy/{id}",
        "policy/{organization}/resource_control_policy/{id}",
    ),
    "access-analyzer": ("analyzer/{name}",),
}
"""Templates of the resources of our own services."""

_PARAMETER = re.compile(r"\{[^{}]*\}")


class _Template:
    """One template: which resource parts it matches, strictly (no `/` in parameters) or loosely, and their pattern."""

    __slots__ = ("_loose", "_strict", "literals", "pattern", "service")

    def __init__(self, text: str, service: str) -> None:
        fields = text.split(":", 5)
        is_short = not text.startswith("arn:") or len(fields) != 6
        self.service = service if is_short else fields[2]
        parts = _PARAMETER.split(text if is_short else fields[5])
        self.literals = sum(map(len, parts))
        self.pattern = "*".join(map(literal, parts))
        escaped = [re.escape(part) for part in parts]
        self._strict = re.compile("[^/]+".join(escaped))
        self._loose = re.compile("(?s:.+)".join(escaped))

    def match_rank(self, resource: str) -> tuple[bool, int] | None:
        """Return how well the template matches, comparable; None if it doesn't."""
        if self._strict.fullmatch(resource):
            return True, self.literals
        return (False, self.literals) if self._loose.fullmatch(resource) else None


class ArnTemplates:
    """The templates of an application's actions, and of our own services."""

    def __init__(self, catalogues: Iterable[Catalogue] = ()) -> None:
        self._of_action: dict[str, list[_Template]] = {}
        self._of_service: dict[str, list[_Template]] = {}
        self.actions: set[str] = set()
        """The declared actions."""
        for service, texts in OWN_TEMPLATES.items():
            self._of_service[service] = [_Template(text, service) for text in texts]
        for catalogue in catalogues:
            for row in catalogue:
                self._add(row)

    def _add(self, row: ActionRow) -> None:
        self.actions.add(str(row))
        for text in row.templates:
            if _PARAMETER.search(text):  # templates without parameters name one resource
                template = _Template(text, row.service)
                self._of_action.setdefault(str(row).lower(), []).append(template)
                self._of_service.setdefault(row.service, []).append(template)

    def generalize(self, action: str, arn: str) -> str | None:
        """Return the pattern of all resources of the same kind, account and region, or None."""
        try:
            parsed = Arn.parse(arn)
        except InvalidInput:
            return None
        if not is_account_id(parsed.account):
            return None
        head = arn[: len(arn) - len(parsed.resource)]
        service = action.partition(":")[0].lower()
        for templates in (self._of_action.get(action.lower(), []), self._of_service.get(service, [])):
            found = [
                (rank, template.pattern)
                for template in templates
                if template.service == parsed.service and (rank := template.match_rank(parsed.resource)) is not None
            ]
            if found:
                return literal(head) + max(found)[1]
        return None
