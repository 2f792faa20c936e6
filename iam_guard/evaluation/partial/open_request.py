"""A request about any resource of a type: what is known, and what each resource has its own value of."""

from __future__ import annotations

from collections.abc import Collection

from iam_guard.errors import NotFilterable
from iam_guard.evaluation.matching.variables import NoValue, Variable, variable_keys
from iam_guard.evaluation.partial.formula import Text
from iam_guard.model.context import Value
from iam_guard.model.request import AccessRequest

_TAG = "aws:resourcetag/"


class OpenRequest:
    """A request whose resource is unknown. `arn` is the ARN of each resource, with its open parts.

    `request` has the known condition keys, and its action. `open_keys` are those that each resource has its own value
    of; `has_tags`: so are all tags. A key of the request's own context is known.
    """

    def __init__(
        self, request: AccessRequest, arn: Text, *, open_keys: Collection[str] = (), has_tags: bool = False
    ) -> None:
        self.request = request
        self.arn = arn
        self.visited: dict[str, None] = {}
        """The open values that were read, in order."""
        self.has_read_known = False
        """Whether a known value was read."""
        self._open_keys = frozenset(open_keys)
        self._has_tags = has_tags

    def is_usual(self, context: Collection[str] | None) -> bool:
        """Return whether every request with these open values has the same ones: none is given by hand in `context`,
        or is the principal's.
        """
        principal = self.request.principal
        given = {key.lower() for key in (*(context or ()), *principal.session)}
        if any(key.startswith(_TAG) for key in given):
            return False
        return self._open_keys.isdisjoint(given) and all(principal.key(key) is None for key in self._open_keys)

    def is_open(self, key: str) -> bool:
        """Return whether each resource has its own value of a condition key (lower case); record it if so."""
        if key not in self._open_keys and not (self._has_tags and key.startswith(_TAG)):
            return False
        if self.request.context.has(key):  # given by hand
            self.has_read_known = True
            return False
        if self.request.principal.key(key) is not None:  # where the resource has no value, the principal's counts
            raise NotFilterable(f"`{key}` is a key of the principal too")
        self.visited[key] = None
        return True

    def has_open_variable(self, value: str, version: str) -> bool:
        """Return whether a policy value has a variable that each resource has its own value of."""
        return "${" in value and any(self.is_open(key.lower()) for key in variable_keys(value, version))

    def value(self, key: str) -> Value | None:
        """Return the value of a known condition key; raise what the context raises."""
        self.has_read_known = True
        return self.request.value(key)

    def variable(self, piece: Variable | NoValue | object) -> str | None:
        """Return the text of a known variable; None for no value."""
        self.has_read_known = True
        return piece.value(self.request) if isinstance(piece, (Variable, NoValue)) else None
