"""Resource templates: `document/{document_id}` or an ARN with parameters -> the ARN of one request.

A short template means a resource in the caller's account; in an ARN, the account may be a parameter. Values are
inserted as their canonical text: a `*` in a path is a literal character (rule M-21), and a value can't move the
boundaries between ARN fields. Values that can't be part of a resource name are rejected (`parameter_values`), unless
their parameter is `raw`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.web.parameter_values import check_text, is_plain, text_of

_PARAMETER = re.compile(r"\{([^{}]*)\}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COLONS: Final = 4
"""The colons between the first five fields of an ARN."""
_NO_SCOPE: Final[Mapping[str, Any]] = {}


def describe_missing(name: str, parameters: Iterable[str]) -> str:
    """Return an error message with a missing parameter and the existing ones."""
    names = ", ".join(f"`{parameter}`" for parameter in dict.fromkeys(parameters)) or "none"
    return f"expected the parameter `{name}` of the route or the handler, got {names}"


class ResourceTemplate:
    """A parsed template. Raises `ConfigurationError` for an invalid one."""

    __slots__ = ("_fields", "_is_short", "_raw", "_rest", "_service", "parameters", "text")

    defaults: Final = ("partition", "region", "account")
    """Parameters with a value if neither the route nor the handler has them."""

    def __init__(self, text: str, *, service: str, raw: Collection[str] = ()) -> None:
        """Parse a template. `raw` names the parameters whose values may be any text."""
        self.text = text
        self._raw = frozenset(raw)
        self._service = service
        self._is_short = not text.startswith("arn:")
        arn = f"arn:{{partition}}:{service}:{{region}}:{{account}}:{text}" if self._is_short else text
        fields = arn.split(":", 5)
        names = _PARAMETER.findall(arn)
        wrong = [name for name in names if not _IDENTIFIER.fullmatch(name)]
        if len(fields) != 6 or not fields[5] or wrong or "{" in _PARAMETER.sub("", arn):
            message = f"expected a resource such as `document/{{document_id}}` or a whole ARN, got `{text}`"
            raise ConfigurationError(message, place="resource")
        if "*" in arn or "?" in arn:
            raise ConfigurationError(f"expected a resource without wildcards, got `{text}`", place="resource")
        self.parameters = tuple(dict.fromkeys(_PARAMETER.findall(text)))
        *self._fields, self._rest = (tuple(_PARAMETER.split(field)) for field in fields)  # text, name, text, name, …

    def fill(
        self,
        parameters: Mapping[str, object],
        principal: Principal,
        settings: Settings,
        scope: Mapping[str, Any] = _NO_SCOPE,
    ) -> str:
        """Return the ARN; raise `ConfigurationError` for a missing parameter, `InvalidInput` for an invalid one.

        `scope` is that of the route; it shows how the router handles a leading slash.
        """
        if self._is_short:  # the omitted fields never come from parameters with these names
            fields = ["arn", settings.partition, self._service, settings.region, principal.account or ""]
        else:
            fields = [self._fill(parts, parameters, principal, settings, scope) for parts in self._fields]
        beginning = ":".join(fields)
        if beginning.count(":") != _COLONS:
            number = next(number for number, part in enumerate(fields, 1) if ":" in part)
            raise InvalidInput("expected a value without a colon in the resource's ARN", place=f"ARN field {number}")
        return f"{beginning}:{self._fill(self._rest, parameters, principal, settings, scope)}"

    def _fill(
        self,
        parts: tuple[str, ...],
        parameters: Mapping[str, object],
        principal: Principal,
        settings: Settings,
        scope: Mapping[str, Any],
    ) -> str:
        filled = list(parts)
        for place in range(1, len(parts), 2):
            name = parts[place]
            if name in parameters:
                value = parameters[name]
                filled[place] = text = value if type(value) is str else text_of(value)
                if not is_plain(text) and name not in self._raw:
                    check_text(text[1:] if text.startswith("/") and _is_rooted(name, scope) else text, name)
            elif name in self.defaults:
                filled[place] = (principal.account or "") if name == "account" else getattr(settings, name)
            else:
                message = f"{describe_missing(name, parameters)} for the resource template `{self.text}`"
                raise ConfigurationError(message, place="resource")
        return "".join(filled)


def _is_rooted(name: str, scope: Mapping[str, Any]) -> bool:
    """Return whether the router may add a leading slash to a path parameter, as Litestar does for `{name:path}`."""
    return "path_template" in scope and name in scope["path_params"]
