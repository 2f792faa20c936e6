"""An application's declarations, recorded while it is imported; together they form the service authorization reference.

Most of them come from decorators: the action, the resource template, the condition keys, the description (the handler's
docstring), the access level (the action's verb). The rest is declared by name, in any order; `reference` joins all of
them and raises for contradictions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from iam_guard.errors import ConfigurationError, did_you_mean
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
_UNCONVERTED = re.compile(r"(?<!\$)\{([^{}]*)\}")
_ARN_FIELDS = {"partition": "Partition", "region": "Region", "account": "Account"}
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class ActionRow:
    """The declarations of an action. `resources` as written: templates, `*`, or the name of a loader.

    `types`, `keys`, `depends_on`, `level` and `summary` are declared by name; `docstring` is a handler's.
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
    """The declarations of a service prefix. Grows only while the application's modules are imported."""

    service: str
    title: str = ""
    signing_names: frozenset[str] = frozenset()
    """The service names accepted in credential scopes; the service's own by default."""
    _rows: dict[str, ActionRow] = field(default_factory=dict)
    _types: dict[str, ResourceType] = field(default_factory=dict)
    _keys: dict[str, ConditionKey] = field(default_factory=dict)
    mappings: dict[str, object] = field(default_factory=dict)
    """Resource types whose resources are rows of a model, by name."""

    def __post_init__(self) -> None:
        if not _SERVICE.fullmatch(self.service):
            message = f"expected a service prefix of lower-case letters, digits and `-`, got `{self.service}`"
            raise ConfigurationError(message, place="Service")
        self.signing_names = frozenset(self.signing_names) or frozenset((self.service,))

    def __iter__(self) -> Iterator[ActionRow]:
        return iter(sorted(self._rows.values(), key=lambda row: row.name))

    def may_have(self, name: str) -> bool:
        """Return whether an action is declared, with this spelling; if none is, whether it could be."""
        row = self._rows.get(name.lower())
        return row.name == name if row is not None else not self._rows and _ACTION.fullmatch(name) is not None

    # --- declarations --------------------------------------------------------------------------------------------

    def declare(self, name: str, resource: str | None = None) -> ActionRow:
        """Declare an action and a resource of it. Names must differ by more than letter case (rule M-3)."""
        declared = self._rows.get(name.lower())
        if declared is not None and declared.name == name and (resource is None or resource in declared.resources):
            return declared
        if not _ACTION.fullmatch(name):
            message = f"expected the name of an action, letters and digits without wildcards or prefix, got `{name}`"
            raise ConfigurationError(message, place=self.service)
        if declared is not None and declared.name != name:
            message = f"action `{name}` differs from `{declared.name}` by letter case only"
            raise ConfigurationError(message, place=self.service)
        row = declared or ActionRow(self.service, name)
        return self._set(row if resource is None else replace(row, resources=(*row.resources, resource)))

    def declare_use(
        self, name: str, resource: str, *, is_loader: bool, keys: Collection[str] = (), has_open_keys: bool = False
    ) -> ActionRow:
        """Declare an action as used by a decorator."""
        row = self.declare(name, resource)
        return self._set(
            replace(
                row,
                has_loader=row.has_loader or is_loader,
                keys=_joined(row.keys, self._checked_keys(keys)),
                has_open_keys=row.has_open_keys or has_open_keys,
            )
        )

    def describe(self, name: str, docstring: str) -> None:
        """Set the description of an action to its first handler's docstring (first line)."""
        row = self.declare(name)
        if docstring and not row.docstring:
            self._set(replace(row, docstring=docstring))

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
        """Declare an action by name. Raises `ConfigurationError` if it contradicts an earlier declaration."""
        row = self.declare(name)
        access_level = None if level is None else _level(level, str(row))
        for what, before, now in (("access level", row.level, access_level), ("description", row.summary, summary)):
            if before and now and before != now:
                message = f"the {what} was declared before as `{before}`, now as `{now}`"
                raise ConfigurationError(message, place=str(row))
        for action in depends_on:
            prefix, _, rest = action.partition(":")
            if not (_SERVICE.fullmatch(prefix) and _ACTION.fullmatch(rest)):
                message = f"expected an action such as `docs:GetDocument`, got `{action}`"
                raise ConfigurationError(message, place=str(row))
        return self._set(
            replace(
                row,
                summary=summary or row.summary,
                level=access_level or row.level,
                types=_joined(row.types, types),
                keys=_joined(row.keys, self._checked_keys(keys)),
                depends_on=_joined(row.depends_on, depends_on),
            )
        )

    def declare_resource_type(
        self, name: str, template: str, *, keys: Collection[str] = (), description: str = ""
    ) -> ResourceType:
        """Declare a resource type by its parsed template; each further call adds an ARN format."""
        if not _TYPE.fullmatch(name):
            raise ConfigurationError(f"expected the name of a resource type, got `{name}`", place=self.service)
        for other in self._types.values():
            if other.name != name and _shape(self.arn_format(template)) in map(_shape, other.arn_formats):
                message = f"the resource type `{other.name}` has the template `{template}` already"
                raise ConfigurationError(message, place=f"{self.service} {name}")
        declared = self._types.get(name) or ResourceType(name, ())
        if description and declared.description not in ("", description):
            message = f"the description was declared before as `{declared.description}`, now as `{description}`"
            raise ConfigurationError(message, place=f"{self.service} {name}")
        resource_type = self._types[name] = ResourceType(
            name,
            _joined(declared.arn_formats, (self.arn_format(template),)),
            _joined(declared.condition_keys, self._checked_keys(keys)),
            description or declared.description,
        )
        return resource_type

    def declare_condition_key(
        self, name: str, type: str = "String", *, multivalued: bool = False, description: str = ""
    ) -> ConditionKey:
        """Declare a condition key of the service. Raises `ConfigurationError` for a different second declaration."""
        if not name.startswith(f"{self.service}:") or not _KEY.fullmatch(name):
            message = f"expected a condition key of the service, `{self.service}:…`, got `{name}`"
            raise ConfigurationError(message, place=self.service)
        key = ConditionKey(name, _key_type(type, name), multivalued, description)
        declared = self._keys.get(name.lower())
        if declared is not None and declared != key:
            raise ConfigurationError("the condition key was declared differently before", place=name)
        self._keys[name.lower()] = key
        return key

    def add(self, other: Catalogue) -> None:
        """Merge another catalogue of the same service; each `requires` with a full action name has its own."""
        self.title = self.title or other.title
        self.mappings |= other.mappings
        for type in other._types.values():
            declared = self._types.get(type.name, type)
            self._types[type.name] = replace(
                declared,
                arn_formats=_joined(declared.arn_formats, type.arn_formats),
                condition_keys=_joined(declared.condition_keys, type.condition_keys),
            )
        for key in other._keys.values():
            self.declare_condition_key(
                key.name, key.type or "String", multivalued=key.multivalued, description=key.description
            )
        for row in other:
            merged = self.declare_action(
                row.name,
                summary=row.summary,
                level=row.level,
                types=row.types,
                keys=row.keys,
                depends_on=row.depends_on,
            )
            self._set(
                replace(
                    merged,
                    resources=_joined(merged.resources, row.resources),
                    has_loader=merged.has_loader or row.has_loader,
                    has_open_keys=merged.has_open_keys or row.has_open_keys,
                    docstring=merged.docstring or row.docstring,
                )
            )

    def _set(self, row: ActionRow) -> ActionRow:
        self._rows[row.name.lower()] = row
        return row

    def _checked_keys(self, keys: Collection[str]) -> Collection[str]:
        for key in (keys,) if isinstance(keys, str) else keys:
            if isinstance(keys, str) or not _KEY.fullmatch(key):
                message = f"expected a list of condition keys such as `docs:Kind`, got `{key}`"
                raise ConfigurationError(message, place=self.service)
        return [_family(key) for key in keys]

    # --- the reference -------------------------------------------------------------------------------------------

    def arn_format(self, template: str) -> str:
        """Return a template as an ARN format of AWS."""
        arn = template
        if not template.startswith("arn:"):
            arn = f"arn:{{partition}}:{self.service}:{{region}}:{{account}}:{template}"
        *fields, rest = arn.split(":", 5)
        for place, name in ((1, "Partition"), (3, "Region"), (4, "Account")):
            fields[place] = f"${{{name}}}" if _PARAMETER.fullmatch(fields[place]) else fields[place]
        return _UNCONVERTED.sub(lambda match: f"${{{_camel(match[1])}}}", ":".join((*fields, rest)))

    def reference(self) -> ServiceReference:
        """Join all declarations. Raises `ConfigurationError` for a reference to an undeclared action or type."""
        types, type_names = dict(self._types), {}
        for row in self:
            for template in row.templates:
                type_names[template] = self._type_of(template, types)
        actions = tuple(self._action(row, type_names, types) for row in self)
        used = {key for action in actions for key in action.condition_keys}
        used |= {key for resource_type in types.values() for key in resource_type.condition_keys}
        return ServiceReference(
            self.service,
            actions,
            tuple(types[name] for name in sorted(types)),
            tuple(sorted(self._all_keys(used), key=lambda key: key.name)),
            self.title,
        )

    def _type_of(self, template: str, types: dict[str, ResourceType]) -> str:
        """Return the name of a template's resource type; an undeclared one gets the template's last plain word."""
        arn = self.arn_format(template)
        for resource_type in types.values():
            if _shape(arn) in map(_shape, resource_type.arn_formats):
                return resource_type.name
        last = template.split(":", 5)[-1] if template.startswith("arn:") else template
        parts = re.split(r"[/:]", last)
        words = [part for part in parts if _TYPE.fullmatch(part)]
        name = words[-1] if words else _PARAMETER.sub(r"\1", parts[-1]).removesuffix("_id") or "resource"
        existing = types.get(name) or ResourceType(name, ())
        types[name] = replace(existing, arn_formats=(*existing.arn_formats, arn))
        return name

    def _action(self, row: ActionRow, type_names: dict[str, str], types: dict[str, ResourceType]) -> ActionEntry:
        for type in row.types:
            if type not in types:
                raise ConfigurationError(f"the resource type `{type}` is not declared", place=str(row))
        for action in row.depends_on:
            prefix, _, name = action.partition(":")
            if prefix == self.service and name.lower() not in self._rows:
                raise ConfigurationError(f"the action `{action}` that it depends on is not declared", place=str(row))
        row_types = dict.fromkeys((*(type_names[template] for template in row.templates), *row.types))
        return ActionEntry(
            row.name,
            description=row.summary or row.docstring,
            level=row.level or level_of(row.name),
            resources=tuple(ActionTarget(type, required=EVERYTHING not in row.resources) for type in sorted(row_types)),
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


def check_action(action: object, catalogues: Collection[Catalogue], *, others: Collection[str] = ()) -> None:
    """Raise `ConfigurationError` for an action that no catalogue declares: a question about it has no true answer.

    A catalogue without actions declares them all, as does a service of `others`.
    """
    if not isinstance(action, str) or ":" not in action:
        got = action if isinstance(action, str) else type(action).__name__
        raise ConfigurationError(f"expected an action such as `docs:GetDocument`, got `{got}`", place="action")
    service, _, name = action.partition(":")
    declaring = [catalogue for catalogue in catalogues if catalogue.service == service]
    if service in others or any(catalogue.may_have(name) for catalogue in declaring):
        return
    if not declaring:
        names = ", ".join(f"`{catalogue.service}`" for catalogue in catalogues) or "none"
        hint = did_you_mean(service, [catalogue.service for catalogue in catalogues])
        raise ConfigurationError(f"expected an action of the guard's services ({names}), got `{action}`{hint}")
    hint = did_you_mean(name, [row.name for catalogue in declaring for row in catalogue])
    message = f"expected a declared action, got `{action}`{hint or ': declare it by `requires` or `declare_action`'}"
    raise ConfigurationError(message, place=service)


def _joined(before: Collection[str], more: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *more)))


def application_name(catalogues: Sequence[Catalogue]) -> str:
    """Return the name of an application in records, and as a caller: its first service."""
    return catalogues[0].service if catalogues else "iam-guard"


def _level(name: AccessLevel | str, place: str) -> AccessLevel:
    try:
        return AccessLevel(name)
    except ValueError:
        levels = ", ".join(AccessLevel)
        raise ConfigurationError(f"expected an access level of {levels}, got `{name}`", place=place) from None


def _key_type(name: str, place: str) -> KeyType:
    for key_type in KEY_TYPES:
        if key_type == name:
            return key_type
    raise ConfigurationError(f"expected a type of {', '.join(KEY_TYPES)}, got `{name}`", place=place)


def _family(key: str) -> str:
    """Return the family of a tag's key: `aws:ResourceTag/${TagKey}` for `aws:ResourceTag/team`."""
    prefix, slash, _ = key.partition("/")
    is_tag = slash and prefix.lower().rpartition(":")[2] in ("resourcetag", "requesttag", "principaltag")
    return f"{prefix}/${{TagKey}}" if is_tag else key


def _camel(name: str) -> str:
    return _ARN_FIELDS.get(name) or "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _shape(arn_format: str) -> str:
    return re.sub(r"\$\{[^{}]*\}", "{}", arn_format)
