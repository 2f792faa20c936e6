"""Resource templates: `document/{document_id}` or a whole ARN with parameters -> the ARN of one request.

A short template means a resource of the caller's own account; a whole ARN may name the account by a parameter. Values
are put in by their canonical text: a `*` in a path is a character (rule M-21), and a value cannot move the borders
between ARN fields. A value that names no resource is refused (`parameter_values`), unless its parameter is declared
`raw`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.web.parameter_values import is_plain, refuse_unfit, text_of

_PARAMETER = re.compile(r"\{([^{}]*)\}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_ROUTE: Final[Mapping[str, Any]] = {}


def missing(name: str, parameters: Mapping[str, object]) -> str:
    """Return which parameter is not there, and which are."""
    there = ", ".join(f"`{parameter}`" for parameter in parameters) or "none"
    return f"the parameter `{name}`, which neither the route nor the handler has; there is {there}"


class ResourceTemplate:
    """One template, read once. Raises `ConfigurationError` when it is no template."""

    __slots__ = ("_fields", "_is_short", "_raw", "_rest", "_service", "parameters", "text")

    def __init__(self, text: str, *, service: str, raw: Collection[str] = ()) -> None:
        """Read a template. `raw` names the parameters whose values are data: any text of theirs names a resource."""
        self.text = text
        self._raw = frozenset(raw)
        self._service = service
        self._is_short = not text.startswith("arn:")
        whole = f"arn:{{partition}}:{service}:{{region}}:{{account}}:{text}" if self._is_short else text
        fields = whole.split(":", 5)
        names = _PARAMETER.findall(whole)
        wrong = [name for name in names if not _IDENTIFIER.fullmatch(name)]
        if len(fields) != 6 or not fields[5] or wrong or "{" in _PARAMETER.sub("", whole):
            message = f"expected a resource such as `document/{{document_id}}` or a whole ARN, got `{text}`"
            raise ConfigurationError(message, place="resource")
        if "*" in whole or "?" in whole:
            raise ConfigurationError(f"expected a resource without wildcards, got `{text}`", place="resource")
        self.parameters = tuple(dict.fromkeys(_PARAMETER.findall(text)))
        *self._fields, self._rest = (tuple(_PARAMETER.split(field)) for field in fields)  # text, name, text, name, …

    def fill(
        self,
        parameters: Mapping[str, object],
        principal: Principal,
        settings: Settings,
        scope: Mapping[str, Any] = _NO_ROUTE,
    ) -> str:
        """Return the ARN; raise `ConfigurationError` for a missing parameter, `InvalidInput` for an unfit one.

        `scope` is that of the route, which tells what its router makes of a path.
        """
        own = {"partition": settings.partition, "region": settings.region, "account": principal.account or ""}
        if self._is_short:  # what it leaves out is never the caller's to choose, whatever parameters are called
            filled = ["arn", own["partition"], self._service, own["region"], own["account"]]
        else:
            filled = [self._fill(parts, parameters, own, scope) for parts in self._fields]
        beginning = ":".join(filled)
        if beginning.count(":") != len(filled) - 1:
            number = next(number for number, part in enumerate(filled, 1) if ":" in part)
            raise InvalidInput("expected a value without a colon in the resource's ARN", place=f"ARN field {number}")
        return f"{beginning}:{self._fill(self._rest, parameters, own, scope)}"

    def _fill(
        self,
        parts: tuple[str, ...],
        parameters: Mapping[str, object],
        own: Mapping[str, str],
        scope: Mapping[str, Any],
    ) -> str:
        if len(parts) == 3 and parts[1] in parameters:  # one parameter, as nearly everywhere
            return f"{parts[0]}{self._text(parts[1], parameters, scope)}{parts[2]}"
        filled = list(parts)
        for place in range(1, len(parts), 2):
            name = parts[place]
            if name in parameters:
                filled[place] = self._text(name, parameters, scope)
            elif name in own:
                filled[place] = own[name]
            else:
                message = f"the resource template `{self.text}` needs {missing(name, parameters)}"
                raise ConfigurationError(message, place="resource")
        return "".join(filled)

    def _text(self, name: str, parameters: Mapping[str, object], scope: Mapping[str, Any]) -> str:
        value = parameters[name]
        text = value if type(value) is str else text_of(value)
        if not is_plain(text) and name not in self._raw:
            refuse_unfit(text[1:] if text.startswith("/") and _is_rooted(name, scope) else text, name)
        return text


def _is_rooted(name: str, scope: Mapping[str, Any]) -> bool:
    """Return whether a path parameter may begin with a slash that the router adds: `{name:path}` of Litestar does."""
    return "path_template" in scope and name in scope["path_params"]
