"""What an application declares about itself, as it is imported; together the service authorization reference.

Most of it follows from the decorators: the action, the resource from its template, the condition keys that are given as
a mapping, the description from the handler's docstring, the access level from the verb. The rest is declared by name,
in any order: `reference` joins it, and refuses what contradicts itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from iam_guard.errors import ConfigurationError
from iam_guard.model.reference import (
    KEY_TYPES,
    AccessLevel,
    ActionEntry,
    ActionTarget,
    ConditionKey,
    KeyType,
    ResourceType,
    ServiceReference,
    level_of,
)

_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]*")
_ACTION = re.compile(r"[A-Za-z0-9]+")
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_KEY = re.compile(r"[^:\s]+:\S+")  # G-67
_PARAMETER = re.compile(r"\{([^{}]*)\}")
_UNSHOWN = re.compile(r"(?<!\$)\{([^{}]*)\}")
_AROUND = {"partition": "Partition", "region": "Region", "account": "Account"}
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One action as it was declared. `resources` as written: templates, `*`, or the name of a loader.

    `types`, `keys`, `depends_on`, `level` and `summary` are what was said by name; `docstring` is a handler's.
    """

    service: str
    name: str
    resources: tuple[str, ...] = ()
    has_loader: bool = False
    types: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    has_open_keys: bool = False
    depends_on: tuple[str, ...] = ()
    level: AccessLevel | None = None
    summary: str = ""
    docstring: str = ""

    def __str__(self) -> str:
        return f"{self.service}:{self.name}"

    @property
    def templates(self) -> tuple[str, ...]:
        """The resources that are templates."""
        return tuple(resource for resource in self.resources if resource != EVERYTHING and not resource.endswith("()"))


@dataclass(slots=True)
class Catalogue:
    """The declarations of one service prefix. Grows while the application's modules are imported, then stays."""

    service: str
    title: str = ""
    signing_names: frozenset[str] = frozenset()
    """The names that clients sign for, in the credential scope; the service's own by default."""
    _rows: dict[str, ActionRow] = field(default_factory=dict)
    _types: dict[str, ResourceType] = field(default_factory=dict)
    _keys: dict[str, ConditionKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _SERVICE.fullmatch(self.service):
            message = f"expected a service prefix of lower-case letters, digits and `-`, got `{self.service}`"
            raise ConfigurationError(message, place="Service")
        self.signing_names = frozenset(self.signing_names) or frozenset((self.service,))

    def __iter__(self) -> Iterator[ActionRow]:
        return iter(sorted(self._rows.values(), key=lambda row: row.name))

    # --- declaring -----------------------------------------------------------------------------------------------

    def declare(self, name: str, resource: str | None = None) -> ActionRow:
        """Record that an action exists, and may be done on `resource`; names differ by more than case (rule M-3)."""
        known = self._rows.get(name.lower())
        if known is not None and known.name == name and (resource is None or resource in known.resources):
            return known
        if not _ACTION.fullmatch(name):
            message = f"expected the name of an action, letters and digits without wildcards, got `{name}`"
            raise ConfigurationError(message, place=self.service)
        if known is not None and known.name != name:
            message = f"action `{name}` differs from `{known.name}` by letter case only"
            raise ConfigurationError(message, place=self.service)
        row = known or ActionRow(self.service, name)
        return self._keep(row if resource is None else replace(row, resources=(*row.resources, resource)))

    def declare_use(
        self, name: str, resource: str, *, is_loader: bool, keys: Collection[str] = (), has_open_keys: bool = False
    ) -> ActionRow:
        """Record what a decorator says of an action."""
        row = self.declare(name, resource)
        return self._keep(
            replace(
                row,
                has_loader=row.has_loader or is_loader,
                keys=_joined(row.keys, self._checked_keys(keys)),
                has_open_keys=row.has_open_keys or has_open_keys,
            )
        )

    def describe(self, name: str, docstring: str) -> None:
        """Record the first line of a handler's docstring; the first handler of an action describes it."""
        row = self.declare(name)
        if docstring and not row.docstring:
            self._keep(replace(row, docstring=docstring))

    def declare_action(
        self,
        name: str,
        *,
        summary: str = "",
        level: AccessLevel | str | None = None,
        types: Collection[str] = (),
        keys: Collection[str] = (),
        depends_on: Collection[str] = (),
    ) -> ActionRow:
        """Record what no decorator says. Raises `ConfigurationError` for a second word that contradicts the first."""
        row = self.declare(name)
        chosen = None if level is None else _level(level, str(row))
        for what, before, now in (("access level", row.level, chosen), ("description", row.summary, summary)):
            if before and now and before != now:
                raise ConfigurationError(
                    f"the {what} was declared before as `{before}`, now as `{now}`", place=str(row)
                )
        for action in depends_on:
            prefix, _, rest = action.partition(":")
            if not (_SERVICE.fullmatch(prefix) and _ACTION.fullmatch(rest)):
                raise ConfigurationError(
                    f"expected an action such as `docs:GetDocument`, got `{action}`", place=str(row)
                )
        return self._keep(
            replace(
                row,
                summary=summary or row.summary,
                level=chosen or row.level,
                types=_joined(row.types, types),
                keys=_joined(row.keys, self._checked_keys(keys)),
                depends_on=_joined(row.depends_on, depends_on),
            )
        )

    def declare_resource_type(
        self, name: str, template: str, *, keys: Collection[str] = (), description: str = ""
    ) -> ResourceType:
        """Record a resource type by its template, which was read already; called again it adds another form."""
        if not _TYPE.fullmatch(name):
            raise ConfigurationError(f"expected the name of a resource type, got `{name}`", place=self.service)
        for other in self._types.values():
            if other.name != name and _shape(self.arn_format(template)) in map(_shape, other.arn_formats):
                message = f"the resource type `{other.name}` has the template `{template}` already"
                raise ConfigurationError(message, place=f"{self.service} {name}")
        known = self._types.get(name)
        if known and description and known.description not in ("", description):
            message = f"the description was declared before as `{known.description}`, now as `{description}`"
            raise ConfigurationError(message, place=f"{self.service} {name}")
        found = self._types[name] = ResourceType(
            name,
            _joined(known.arn_formats if known else (), (self.arn_format(template),)),
            _joined(known.condition_keys if known else (), self._checked_keys(keys)),
            description or (known.description if known else ""),
        )
        return found

    def declare_condition_key(
        self, name: str, type: str = "String", *, multivalued: bool = False, description: str = ""
    ) -> ConditionKey:
        """Record a condition key of the service's own, with its type. Raises `ConfigurationError` for a second type."""
        if not name.startswith(f"{self.service}:") or not _KEY.fullmatch(name):
            message = f"expected a condition key of the service, `{self.service}:…`, got `{name}`"
            raise ConfigurationError(message, place=self.service)
        key = ConditionKey(name, _key_type(type, name), multivalued, description)
        known = self._keys.get(name.lower())
        if known is not None and known != key:
            raise ConfigurationError("the condition key was declared before, and differently", place=name)
        self._keys[name.lower()] = key
        return key

    def add(self, other: Catalogue) -> None:
        """Take over what another catalogue of the same service holds: `requires` with whole names makes one each."""
        self.title = self.title or other.title
        for type in other._types.values():
            known = self._types.get(type.name)
            forms = _joined(known.arn_formats if known else (), type.arn_formats)
            keys = _joined(known.condition_keys if known else (), type.condition_keys)
            self._types[type.name] = replace(known or type, arn_formats=forms, condition_keys=keys)
        for key in other._keys.values():
            self.declare_condition_key(
                key.name, key.type or "String", multivalued=key.multivalued, description=key.description
            )
        for row in other:
            self.declare_action(
                row.name,
                summary=row.summary,
                level=row.level,
                types=row.types,
                keys=row.keys,
                depends_on=row.depends_on,
            )
            self.describe(row.name, row.docstring)
            known_row = self.declare(row.name)
            self._keep(
                replace(
                    known_row,
                    resources=_joined(known_row.resources, row.resources),
                    has_loader=known_row.has_loader or row.has_loader,
                    has_open_keys=known_row.has_open_keys or row.has_open_keys,
                )
            )

    def _keep(self, row: ActionRow) -> ActionRow:
        self._rows[row.name.lower()] = row
        return row

    def _checked_keys(self, keys: Collection[str]) -> Collection[str]:
        for key in (keys,) if isinstance(keys, str) else keys:
            if isinstance(keys, str) or not _KEY.fullmatch(key):
                raise ConfigurationError(
                    f"expected a list of condition keys such as `docs:Kind`, got `{key}`", place=self.service
                )
        return [_family(key) for key in keys]

    # --- joining -------------------------------------------------------------------------------------------------

    def arn_format(self, template: str) -> str:
        """Write a template as AWS writes the ARN of a resource type."""
        whole = template
        if not template.startswith("arn:"):
            whole = f"arn:{{partition}}:{self.service}:{{region}}:{{account}}:{template}"
        *fields, rest = whole.split(":", 5)
        for place, name in ((1, "Partition"), (3, "Region"), (4, "Account")):
            fields[place] = f"${{{name}}}" if _PARAMETER.fullmatch(fields[place]) else fields[place]
        return _UNSHOWN.sub(lambda found: f"${{{_camel(found[1])}}}", ":".join((*fields, rest)))

    def reference(self) -> ServiceReference:
        """Join all declarations. Raises `ConfigurationError` for an action or type that is named and not declared."""
        types, named = dict(self._types), {}
        for row in self:
            for template in row.templates:
                named[template] = self._type_of(template, types)
        actions = tuple(self._action(row, named, types) for row in self)
        used = {key for action in actions for key in action.condition_keys}
        used |= {key for each in types.values() for key in each.condition_keys}
        return ServiceReference(
            self.service,
            actions,
            tuple(types[name] for name in sorted(types)),
            tuple(sorted(self._all_keys(used), key=lambda key: key.name)),
            self.title,
        )

    def _type_of(self, template: str, types: dict[str, ResourceType]) -> str:
        """Find the resource type of a template; where none was declared, it is called after its last plain word."""
        arn = self.arn_format(template)
        for each in types.values():
            if _shape(arn) in map(_shape, each.arn_formats):
                return each.name
        last = template.split(":", 5)[-1] if template.startswith("arn:") else template
        words = [word for word in re.split(r"[/:]", last) if _TYPE.fullmatch(word)]
        name = (
            words[-1] if words else _PARAMETER.sub(r"\1", re.split(r"[/:]", last)[-1]).removesuffix("_id") or "resource"
        )
        known = types.get(name)
        types[name] = replace(known, arn_formats=(*known.arn_formats, arn)) if known else ResourceType(name, (arn,))
        return name

    def _action(self, row: ActionRow, named: dict[str, str], types: dict[str, ResourceType]) -> ActionEntry:
        for type in row.types:
            if type not in types:
                raise ConfigurationError(f"the resource type `{type}` is not declared", place=str(row))
        for action in row.depends_on:
            prefix, _, name = action.partition(":")
            if prefix == self.service and name.lower() not in self._rows:
                raise ConfigurationError(f"the action `{action}` that it depends on is not declared", place=str(row))
        taken = dict.fromkeys((*(named[template] for template in row.templates), *row.types))
        return ActionEntry(
            row.name,
            description=row.summary or row.docstring,
            level=row.level or level_of(row.name),
            resources=tuple(ActionTarget(type, required=EVERYTHING not in row.resources) for type in sorted(taken)),
            condition_keys=tuple(sorted(row.keys)),
            dependent_actions=tuple(sorted(row.depends_on)),
            open_resources=not row.types and (row.has_loader or not row.resources),
            open_keys=row.has_open_keys,
        )

    def _all_keys(self, used: Collection[str]) -> Iterator[ConditionKey]:
        yield from self._keys.values()
        for name in used:
            if name.lower() not in self._keys:
                yield ConditionKey(name, "String" if name.startswith("aws:") else None, name == "aws:TagKeys")


def _joined(before: Collection[str], more: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *more)))


def _level(given: AccessLevel | str, place: str) -> AccessLevel:
    try:
        return AccessLevel(given)
    except ValueError:
        known = ", ".join(AccessLevel)
        raise ConfigurationError(f"expected an access level of {known}, got `{given}`", place=place) from None


def _key_type(given: str, place: str) -> KeyType:
    for known in KEY_TYPES:
        if known == given:
            return known
    raise ConfigurationError(f"expected a type of {', '.join(KEY_TYPES)}, got `{given}`", place=place)


def _family(key: str) -> str:
    """Write the key of one tag as its family: `aws:ResourceTag/team` is one of `aws:ResourceTag/${TagKey}`."""
    before, slash, _ = key.partition("/")
    is_tag = slash and before.lower().rpartition(":")[2] in ("resourcetag", "requesttag", "principaltag")
    return f"{before}/${{TagKey}}" if is_tag else key


def _camel(name: str) -> str:
    return _AROUND.get(name) or "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _shape(arn_format: str) -> str:
    return re.sub(r"\$\{[^{}]*\}", "{}", arn_format)
