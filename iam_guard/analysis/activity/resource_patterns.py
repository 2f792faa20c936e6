"""From the ARN of one resource to the pattern of all resources of its kind, by the templates that are registered.

`document/{document_id}` makes `…:document/*` of `…:document/7`. The first five fields stay as they are in the ARN, so a
pattern never reaches another account, region or service. An ARN without an account is not generalised, for anybody's
resources have such ARNs; nor is one that no template fits. Where several fit, one whose parameters have no `/` counts
before one whose have, and of those the one with the most letters of its own.
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
"""The resources of the services that we are ourselves."""

_PARAMETER = re.compile(r"\{[^{}]*\}")


class _Template:
    """One template: which resource parts it fits, closely or at all, and their pattern."""

    __slots__ = ("_closely", "_loosely", "letters", "pattern", "service")

    def __init__(self, text: str, service: str) -> None:
        fields = text.split(":", 5)
        is_short = not text.startswith("arn:") or len(fields) != 6
        self.service = service if is_short else fields[2]
        parts = _PARAMETER.split(text if is_short else fields[5])
        self.letters = sum(map(len, parts))
        self.pattern = "*".join(map(literal, parts))
        escaped = [re.escape(part) for part in parts]
        self._closely = re.compile("[^/]+".join(escaped))
        self._loosely = re.compile("(?s:.+)".join(escaped))

    def fit(self, resource: str) -> tuple[bool, int] | None:
        """Return how well it fits; None where it does not."""
        if self._closely.fullmatch(resource):
            return True, self.letters
        return (False, self.letters) if self._loosely.fullmatch(resource) else None


class ArnTemplates:
    """The templates of an application's actions, and of our own services."""

    def __init__(self, catalogues: Iterable[Catalogue] = ()) -> None:
        self._of_action: dict[str, list[_Template]] = {}
        self._of_service: dict[str, list[_Template]] = {}
        self.actions: set[str] = set()
        """The actions that are declared."""
        for service, texts in OWN_TEMPLATES.items():
            self._of_service[service] = [_Template(text, service) for text in texts]
        for catalogue in catalogues:
            for row in catalogue:
                self._add(row)

    def _add(self, row: ActionRow) -> None:
        self.actions.add(str(row))
        for text in row.templates:
            if _PARAMETER.search(text):  # the others name one resource
                template = _Template(text, row.service)
                self._of_action.setdefault(str(row).lower(), []).append(template)
                self._of_service.setdefault(row.service, []).append(template)

    def generalised(self, action: str, arn: str) -> str | None:
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
            fits = [
                (template.fit(parsed.resource), template.pattern)
                for template in templates
                if template.service == parsed.service
            ]
            found = [(fit, pattern) for fit, pattern in fits if fit is not None]
            if found:
                return literal(head) + max(found)[1]
        return None
