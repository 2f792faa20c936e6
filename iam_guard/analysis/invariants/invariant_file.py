"""Read a file of invariants: sentences about who may do what, as YAML or JSON.

```yaml
invariants:
  - name: only the administrator deletes legal documents
    only: [role/admin]
    may: ["docs:Delete*"]
    on: ["document/legal/*"]
```
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from iam_guard.analysis.invariants.access_query import AccessQuery, statement_policy
from iam_guard.analysis.invariants.principal_selection import PrincipalPattern
from iam_guard.errors import InvalidInput, PolicyError, SeedError, did_you_mean
from iam_guard.evaluation.matching.pattern import compile_texts, read_wildcards
from iam_guard.policy.grammar import shown
from iam_guard.policy.problems import Problems
from iam_guard.policy.yaml_tree import ListNode, MapNode, Node, Scalar, node_as_json, read_tree
from iam_guard.store.protocol import StoredPolicy

MAX_INVARIANTS = 1000
"""Maximum number of invariants of a file."""
_KEYS = ("name", "only", "never", "may", "on", "when", "unless", "root_users")


@dataclass(frozen=True)
class Invariant:
    """A sentence that must hold: only some principals, or none of some, may make the requests of `queries`.

    `line` and `column`, from 1, are its place in the file. `root_users`: root users count in their own account, too.
    """

    name: str
    line: int
    column: int
    sentence: str
    principals: tuple[PrincipalPattern, ...]
    is_only: bool
    queries: tuple[AccessQuery, ...]
    root_users: bool = False


def read_invariants(
    text: str, name: str, actions: Collection[str] | None = None, partition: str = "aws"
) -> list[Invariant]:
    """Read the invariants of a file with this name; `actions` are all actions there are, None for any.

    `partition` is that of resources that are not written as a whole ARN. Raises `InvalidInput` with file, line and
    column for an invalid one.
    """
    return _Reader(name, None if actions is None else tuple(sorted(actions)), partition).read(text)


class _Reader:
    def __init__(self, name: str, actions: tuple[str, ...] | None, partition: str) -> None:
        self.name, self.actions, self.partition = name, actions, partition

    def read(self, text: str) -> list[Invariant]:
        problems = Problems(self.name)
        try:
            root = read_tree(text.removeprefix("\ufeff"), problems)
            problems.raise_any()
        except SeedError as error:
            raise InvalidInput(problems.in_order()[0][1], place=f"{self.name}:{error.line}:1") from None
        listed = self._pairs(root, ("invariants",)).get("invariants")
        if not isinstance(listed, ListNode) or not listed.items:
            self._refuse(listed or root, "expected a list of invariants as `invariants`")
        if len(listed.items) > MAX_INVARIANTS:
            self._refuse(listed, f"expected at most {MAX_INVARIANTS} invariants")
        found: dict[str, Invariant] = {}
        for item in listed.items:
            invariant = self._invariant(item)
            if invariant.name in found:
                line = found[invariant.name].line
                self._refuse(item, f"expected unique names, `{shown(invariant.name, 100)}` is also in line {line}")
            found[invariant.name] = invariant
        return [*found.values()]

    def _invariant(self, node: Node) -> Invariant:
        pairs = self._pairs(node, _KEYS)
        name = self._text(pairs.get("name") or self._missing(node, "name"))
        if len(pairs.keys() & {"only", "never"}) != 1:
            self._refuse(node, "expected either `only` or `never`, with the principals")
        is_only = "only" in pairs
        listed = pairs["only" if is_only else "never"]
        principals = tuple(self._checked(item, PrincipalPattern) for item in self._items(listed, is_empty_ok=is_only))
        may = [
            self._checked(item, self._action) for item in self._items(pairs.get("may") or self._missing(node, "may"))
        ]
        conditions: dict[str, Mapping[str, Any]] = {
            key: self._condition(pairs[key]) for key in ("when", "unless") if key in pairs
        }
        queries = self._queries(node, pairs.get("on"), may, conditions)
        flag = pairs.get("root_users")
        return Invariant(
            name,
            *_place(node),
            _sentence(is_only, principals, may, self._written(pairs.get("on")), conditions),
            principals,
            is_only,
            queries,
            flag is not None and self._checked(flag, _flag),
        )

    # --- requests ------------------------------------------------------------------------------------------------

    def _action(self, text: str) -> str:
        statement_policy({"Action": text, "Resource": "*"})
        matches = compile_texts([text.lower()], read_wildcards)
        if self.actions is not None and not any(matches(action.lower()) for action in self.actions):
            raise InvalidInput(f"no action is `{shown(text, 200)}`{did_you_mean(text, self.actions)}")
        return text

    def _condition(self, node: Node) -> Mapping[str, Any]:
        if not isinstance(node, MapNode):
            self._refuse(node, "expected a condition such as `Bool: {aws:MultiFactorAuthPresent: true}`")
        condition: Mapping[str, Any] = json.loads(node_as_json(node))
        try:
            statement_policy({"Action": "*", "Resource": "*", "Condition": condition})
        except (PolicyError, InvalidInput) as error:
            self._refuse(node, _message(error))
        return condition

    def _queries(
        self, node: Node, on: Node | None, may: Sequence[str], conditions: Mapping[str, Mapping[str, Any]]
    ) -> tuple[AccessQuery, ...]:
        """Return a query for whole ARNs, and one for each number of colons in other resources."""
        by_colons: dict[int | None, list[str]] = {}
        for item in () if on is None else self._items(on):
            for colons, arn in self._checked(item, lambda text: _arns(text, may, self.partition)):
                by_colons.setdefault(colons, []).append(arn)
        if on is None:
            by_colons[None] = ["*"]
        condition = {"Condition": conditions["when"]} if "when" in conditions else {}
        excluded = []
        if "unless" in conditions:
            excluded.append(statement_policy({"Action": "*", "Resource": "*", "Condition": conditions["unless"]}))
        found = []
        for colons, arns in by_colons.items():
            try:
                about = statement_policy({"Action": [*may], "Resource": arns, **condition})
            except (PolicyError, InvalidInput) as error:
                self._refuse(on or node, _message(error))
            more = [] if colons is None else [_with_more_colons(colons, may, self.partition)]
            found.append(AccessQuery(about, (*excluded, *more), self.actions))
        return tuple(found)

    # --- nodes ---------------------------------------------------------------------------------------------------

    def _pairs(self, node: Node, keys: Sequence[str]) -> dict[str, Node]:
        if not isinstance(node, MapNode):
            self._refuse(node, f"expected a mapping with the keys {', '.join(f'`{key}`' for key in keys)}")
        for key, _ in node.pairs:
            if key.text not in keys:
                hint = did_you_mean(key.text, keys)
                self._refuse(key, f"expected one of {', '.join(keys)}, got `{shown(key.text, 100)}`{hint}")
        return {key.text: value for key, value in node.pairs}

    def _items(self, node: Node, *, is_empty_ok: bool = False) -> Sequence[Node]:
        items = node.items if isinstance(node, ListNode) else (node,)
        if not items and not is_empty_ok:
            self._refuse(node, "expected at least one entry")
        return items

    def _text(self, node: Node) -> str:
        if not isinstance(node, Scalar) or node.is_null or not node.text:
            self._refuse(node, "expected a text")
        return node.text

    def _written(self, node: Node | None) -> list[str]:
        return [] if node is None else [self._text(item) for item in self._items(node)]

    def _checked(self, node: Node, parse_text: Callable[[str], Any]) -> Any:
        text = self._text(node)
        try:
            return parse_text(text)
        except (PolicyError, InvalidInput) as error:
            self._refuse(node, _message(error))

    def _missing(self, node: Node, key: str) -> NoReturn:
        self._refuse(node, f"expected the key `{key}`")

    def _refuse(self, node: Node, message: str) -> NoReturn:
        line, column = _place(node)
        raise InvalidInput(message, place=f"{self.name}:{line}:{column}")


def _message(error: PolicyError | InvalidInput) -> str:
    return error.message if isinstance(error, PolicyError) else str(error)


def _place(node: Node) -> tuple[int, int]:
    return node.line, node.column + 1


def _arns(text: str, may: Sequence[str], partition: str) -> list[tuple[int | None, str]]:
    """Return the ARNs that a resource means, with its colons; None for one that is a whole ARN or `*`."""
    if text == "*" or text.startswith("arn:"):
        return [(None, text)]
    services = _services(may)
    if any("*" in service or "?" in service for service in services):
        raise InvalidInput(f"expected a whole ARN, since the service of the actions is open, got `{shown(text, 200)}`")
    return [(text.count(":"), f"arn:{partition}:{service}:*:*:{text}") for service in services]


def _services(may: Sequence[str]) -> list[str]:
    return [*dict.fromkeys(action.partition(":")[0].lower() for action in may)]


def _with_more_colons(colons: int, may: Sequence[str], partition: str) -> StoredPolicy:
    """Return a statement about resources whose last field has more than a number of colons.

    A wildcard at the end of a field also matches colons (rule M-12), so that a policy for `document/plans/*` would
    match a `document/legal/x:document/plans/y`.
    """
    arns = [f"arn:{partition}:{service}:*:*:*{':*' * (colons + 1)}" for service in _services(may)]
    return statement_policy({"Action": "*", "Resource": arns})


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InvalidInput(f"expected `true` or `false`, got `{shown(text, 100)}`")
    return text.lower() == "true"


def _sentence(
    is_only: bool,
    principals: Sequence[PrincipalPattern],
    may: Sequence[str],
    on: Sequence[str],
    conditions: Mapping[str, Mapping[str, Any]],
) -> str:
    listed = " and ".join(pattern.text for pattern in principals)
    who = (f"no principal but {listed}" if is_only else f"none of {listed}") if listed else "no principal"
    who = "no principal" if listed == "*" and not is_only else who
    where = f" on {' or '.join(on)}" if on else ""
    more = "".join(f" {word} {json.dumps(condition)}" for word, condition in conditions.items())
    return f"{who} may {' or '.join(may)}{where}{more}"
