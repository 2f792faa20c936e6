"""Resource templates: `document/{document_id}` or a whole ARN with parameters -> the ARN of one request.

A short template means a resource of the caller's own account; a whole ARN may name the account by a parameter. Values
are put in as they are: a `*` in a path is a character (rule M-21), and a value cannot move the borders between ARN
fields.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import Enum

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings

_PARAMETER = re.compile(r"\{([^{}]*)\}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def text_of(value: object) -> str:
    """Give a parameter's value as it stands in an ARN; of a member of an enumeration that is what it stands for.

    Raises `InvalidInput` for no value and for several (a list where a text was expected, say): they name no resource.
    """
    if type(value) is str:
        return value
    one = value.value if isinstance(value, Enum) else value
    if one is None or (isinstance(one, Collection) and not isinstance(one, str)):
        message = f"expected one value for a part of the resource's ARN, got `{type(one).__name__}`"
        raise InvalidInput(message, place="resource")
    return str(one)


def missing(name: str, parameters: Mapping[str, object]) -> str:
    """Say which parameter is not there, and which are."""
    there = ", ".join(f"`{each}`" for each in parameters) or "none"
    return f"the parameter `{name}`, which neither the route nor the handler has; there is {there}"


class ResourceTemplate:
    """One template, read once. Raises `ConfigurationError` when it is no template."""

    __slots__ = ("_fields", "_is_short", "_rest", "parameters", "text")

    def __init__(self, text: str, *, service: str) -> None:
        self.text = text
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
        self.parameters = tuple(name for name in dict.fromkeys(names))
        *self._fields, self._rest = (tuple(_PARAMETER.split(field)) for field in fields)  # text, name, text, name, …

    def fill(self, parameters: Mapping[str, object], principal: Principal, settings: Settings) -> str:
        """Give the ARN; raise `ConfigurationError` for a missing parameter, `InvalidInput` for an unfit one."""
        own = {"partition": settings.partition, "region": settings.region, "account": principal.account or ""}
        # What a short template leaves out is never the caller's to choose, whatever the route's parameters are called.
        before = own if self._is_short else parameters
        filled = [parts[0] if len(parts) == 1 else self._fill(parts, before, own) for parts in self._fields]
        beginning = ":".join(filled)
        if beginning.count(":") != len(filled) - 1:
            number = next(number for number, part in enumerate(filled, 1) if ":" in part)
            raise InvalidInput("expected a value without a colon in the resource's ARN", place=f"ARN field {number}")
        return f"{beginning}:{self._fill(self._rest, parameters, own)}"

    def _fill(self, parts: tuple[str, ...], parameters: Mapping[str, object], own: Mapping[str, str]) -> str:
        if len(parts) == 3 and parts[1] in parameters:  # one parameter, as nearly everywhere
            return f"{parts[0]}{text_of(parameters[parts[1]])}{parts[2]}"
        filled = list(parts)
        for place in range(1, len(parts), 2):
            name = parts[place]
            if name in parameters:
                filled[place] = text_of(parameters[name])
            elif name in own:
                filled[place] = own[name]
            else:
                message = f"the resource template `{self.text}` needs {missing(name, parameters)}"
                raise ConfigurationError(message, place="resource")
        return "".join(filled)
