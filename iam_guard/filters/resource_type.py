"""The declaration of a resource type: its ARN, its condition keys and its tags, from the columns of a model.

From one declaration come the resource of a loaded object, which is decided about, and the columns of a filter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import ColumnElement, FromClause, Table, select
from sqlalchemy.sql.util import ClauseAdapter

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.evaluation.partial.formula import Formula, Open, Text
from iam_guard.evaluation.partial.text_matching import ACCOUNT, match, text
from iam_guard.filters.attributes import Absent, Attribute
from iam_guard.filters.columns import ModelColumn, attribute_of, read_attribute
from iam_guard.filters.date_columns import UuidAttribute
from iam_guard.filters.dialects import DIALECTS
from iam_guard.filters.django_models import is_django_model
from iam_guard.filters.mapped_models import mapped_model
from iam_guard.filters.number_columns import IntegerAttribute
from iam_guard.filters.rendering import Columns
from iam_guard.filters.tags import JsonTags, TagRows
from iam_guard.filters.texts import AccountAttribute, TextAttribute
from iam_guard.model.arn import PARTITION, REGION, Location, is_account_id
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.own_services import PREFIXES
from iam_guard.model.request import Resource

_PARAMETER: Final = re.compile(r"\{([^{}]*)\}")
_FIXED: Final = (PARTITION, REGION, ACCOUNT.name)


DECLARED: Final[WeakSet[ResourceMapping]] = WeakSet()
"""The resource types of the process with models of SQLAlchemy."""


class ResourceMapping:
    """A resource type whose resources are rows of a model. `Service.resource_type` makes one."""

    def __init__(
        self,
        catalogue: Catalogue,
        name: str,
        template: str,
        *,
        model: Any,
        account: Any,
        tags: Any = None,
        keys: Mapping[str, Any] | None = None,
        absent: Mapping[str, Absent] | None = None,
    ) -> None:
        """Read a declaration. Raises `ConfigurationError`; the template is checked by `Service`."""
        self.service = catalogue.service
        self.name = name
        self.model = model
        self.mapped = mapped_model(model, self._place)
        self.table: Table = self.mapped.table
        self._catalogue = catalogue
        self._template = template
        self._declared: dict[str, Any] = {"account": account, "tags": tags, "keys": keys or {}, "absent": absent}
        self.django: ResourceMapping | None = None
        self._columns: dict[str, Columns] = {}
        self._pieces = _pieces(template, catalogue.service)
        self._account = self._account_of(account)
        self._parameters = {
            piece.name: self._parameter(piece.name)
            for piece in self._pieces
            if isinstance(piece, Open) and piece.name not in _FIXED
        }
        self._keys = {key.lower(): self._key(key, source, absent or {}) for key, source in (keys or {}).items()}
        self._names = {key.lower(): key for key in keys or {}}
        unknown = [key for key in absent or {} if key.lower() not in self._keys]
        if unknown or len(self._keys) < len(keys or {}):
            raise ConfigurationError("expected each condition key once, and `absent` for these only", place=self._place)
        self._tags = None if tags is None else self.mapped.tags(tags)
        self._require_own_columns()
        if self.mapped.has_sessions:
            DECLARED.add(self)  # `verify` reads rows with a session of SQLAlchemy

    @property
    def _place(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return f"{self.service} {self.name}"

    def __repr__(self) -> str:
        return f"ResourceMapping({self._place!r})"

    @property
    def condition_keys(self) -> tuple[str, ...]:
        """The condition keys that resources have, with the family of their tags."""
        families = () if self._tags is None else ("aws:ResourceTag/${TagKey}",)
        return (*self._names.values(), *families)

    @property
    def account(self) -> str | None:
        """The account of all resources; None if each has its own."""
        return self._account if isinstance(self._account, str) else None

    def require_sessions(self) -> None:
        """Raise `ConfigurationError` for a model of Django, whose rows no session of SQLAlchemy loads."""
        if not self.mapped.has_sessions:
            raise ConfigurationError(
                f"expected a model of SQLAlchemy, got `{self.model.__name__}` of Django", place=self._place
            )

    # --- of a loaded object --------------------------------------------------------------------------------------

    def resource_of(self, item: Any) -> Resource:
        """Return the resource of a loaded object: an instance of the model, a row, or a mapping of its columns.

        Its ARN has the partition and the region of the guard that decides about it; `Guard.resource_of` returns the
        complete one. Raises `InvalidInput` for an object without a key or an account, which no query lists.
        """
        if self.django is not None and isinstance(item, self.django.model):
            return self.django.resource_of(item)
        account = self._account if isinstance(self._account, str) else self._account.read(item)
        if not isinstance(account, str) or not is_account_id(account):
            raise InvalidInput("expected the account of the resource, as 12 digits", place=self._place)
        parts = [self._arn_part(piece, item, account) for piece in self._pieces]
        keys = {
            self._names[name]: given
            for name, column in self._keys.items()
            if (given := column.attribute.given(column.read(item))) is not None
        }
        tags = {} if self._tags is None else self._tags.of(item)
        return Resource("".join(parts), account=account, tags=tags, keys=keys)

    def _arn_part(self, piece: object, item: Any, account: str) -> str:
        if isinstance(piece, str):
            return piece
        name = piece.name if isinstance(piece, Open) else ""
        if name in _FIXED:
            return account if name == ACCOUNT.name else name
        column = self._parameters[name]
        value = column.read(item)
        if value is None or (isinstance(column.attribute, IntegerAttribute) and not isinstance(value, int)):
            raise InvalidInput(f"expected {column.attribute.kind} as `{name}` of the resource", place=self._place)
        return str(value)

    # --- of a query ----------------------------------------------------------------------------------------------

    def arn(self, account: str | None, location: Location) -> Text:
        """Return the ARN of each resource of an account, or of any account: its parameters are open."""
        known = {PARTITION: location.partition, REGION: location.region, ACCOUNT.name: account}
        return text([known.get(piece.name) or piece if isinstance(piece, Open) else piece for piece in self._pieces])

    def named(self, arn: str, location: Location) -> Formula:
        """Return the formula of the resources that have an ARN: one, unless the model's parameters aren't a key."""
        return match(self.arn(self.account, location), (arn,), wanted=True)

    def can_be(self, arn: str, location: Location) -> bool:
        """Return whether a resource of the type can have an ARN."""
        return self.named(arn, location) is not False

    @property
    def open_keys(self) -> frozenset[str]:
        """The condition keys that each resource has its own value of, in lower case, without those of tags."""
        return frozenset(self._keys)

    @property
    def has_tags(self) -> bool:
        """Whether resources have tags."""
        return self._tags is not None

    def columns(self, dialect: str, source: FromClause) -> Columns:
        """Return the columns of a query from `source`: the table of the model, or an alias of it."""
        known = self._columns.get(dialect) if source is self.table else None
        if known is not None:
            return known
        adapt: Callable[[Any], Any] = _same if source is self.table else ClauseAdapter(source).traverse
        attributes: dict[str, Attribute] = {
            name: replace(column.attribute, expression=adapt(column.attribute.expression))
            for name, column in (self._keys | self._parameters).items()
        }
        if not isinstance(self._account, str):
            expression = adapt(self._account.attribute.expression)
            attributes[ACCOUNT.name] = AccountAttribute(ACCOUNT.name, expression, "never")
            attributes["aws:resourceaccount"] = AccountAttribute("aws:resourceaccount", expression, "never")
        tags = None if self._tags is None else self._tags.columns(adapt)
        if source is not self.table:
            return self.columns(dialect, self.table).of_alias(source, attributes, tags)
        return self._columns.setdefault(dialect, Columns(attributes, tags, source, dialect))

    # --- of a second model ---------------------------------------------------------------------------------------

    def for_django(
        self,
        model: Any,
        *,
        account: str | None = None,
        tags: str | TagRows | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> ResourceMapping:
        """Declare that resources are rows of a model of Django, too, and return its mapping.

        Fields have the names of the declared columns; `account`, `tags` and `keys` name others. The condition keys stay
        the same. Raises `ConfigurationError` for fields that can't be compared exactly.
        """
        if model is self.model:
            return self
        if not is_django_model(model):
            message = f"expected a model of Django, got `{getattr(model, '__name__', type(model).__name__)}`"
            raise ConfigurationError(message, place=self._place)
        names = {key: _name_of(source) for key, source in self._declared["keys"].items()}
        fields = {name.lower(): field for name, field in (keys or {}).items()}
        unknown = fields.keys() - self._keys.keys()
        if unknown:
            raise ConfigurationError(f"expected a declared condition key, got `{min(unknown)}`", place=self._place)
        self.django = ResourceMapping(
            self._catalogue,
            self.name,
            self._template,
            model=model,
            account=account or self.account or _name_of(self._declared["account"]),
            tags=tags or _name_of(self._declared["tags"]),
            keys={key: fields.get(key.lower(), name) for key, name in names.items()},
            absent=self._declared["absent"],
        )
        return self.django

    # --- declarations --------------------------------------------------------------------------------------------

    def _parameter(self, name: str) -> ModelColumn:
        source = self.mapped.parameter(name[1:-1])
        attribute = attribute_of(name, source, "never", self._place)
        if not isinstance(attribute, (TextAttribute, IntegerAttribute, UuidAttribute)):
            message = f"expected text, integers or UUIDs for the parameter `{name}` of the ARN, got {attribute.kind}"
            raise ConfigurationError(message, place=self._place)
        return ModelColumn(attribute, read_attribute(source, self._place))

    def _require_own_columns(self) -> None:
        """Refuse columns of another table, which a query would combine with every row."""
        columns = self.columns(DIALECTS[0], self.table)
        expressions = {name: attribute.expression for name, attribute in columns.attributes.items()}
        if isinstance(columns.tags, JsonTags):
            expressions["tags"] = columns.tags.column
        for name, expression in expressions.items():
            if any(source is not self.table for source in select(expression).get_final_froms()):
                message = f"expected a column of `{self.table.name}`, or a scalar subquery, for `{name}`"
                raise ConfigurationError(message, place=self._place)

    def _key(self, key: str, source: Any, absent: Mapping[str, Absent]) -> ModelColumn:
        if key.partition(":")[0].lower() in PREFIXES | {"aws", "iam-guard"} or ":" not in key:
            message = f"expected a condition key of the application, `{self.service}:…`, got `{key}`"
            raise ConfigurationError(message, place=self._place)
        modes = {name.lower(): mode for name, mode in absent.items()}
        mode = modes.get(key.lower(), "null")
        source = self.mapped.column(source)
        attribute = attribute_of(key.lower(), source, mode, self._place)
        return ModelColumn(attribute, read_attribute(source, self._place))

    def _account_of(self, account: Any) -> str | ModelColumn:
        if isinstance(account, str) and (is_account_id(account) or self.mapped.has_sessions):
            if not is_account_id(account):
                raise ConfigurationError(f"expected an account of 12 digits, got `{account}`", place=self._place)
            return account
        source = self.mapped.column(account)
        attribute = attribute_of(ACCOUNT.name, source, "never", self._place)
        if not isinstance(attribute, TextAttribute):
            message = f"expected text as the account of resources, got {attribute.kind}"
            raise ConfigurationError(message, place=self._place)
        return ModelColumn(attribute, read_attribute(source, self._place))


def _name_of(source: Any) -> Any:
    """Return the name of a declared column, for a field of the same name."""
    return source if isinstance(source, TagRows) else getattr(source, "key", source)


def _same(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    return expression


def _pieces(template: str, service: str) -> Text:
    arn = template if template.startswith("arn:") else f"arn:{{partition}}:{service}:{{region}}:{{account}}:{template}"
    *fields, rest = arn.split(":", 5)
    for name, whole in ((PARTITION, fields[1]), (REGION, fields[3])):
        if (name != whole and name in arn) or name in rest:  # a value of a row could look like it
            raise ConfigurationError(f"expected `{name}` as a whole field of the ARN, got `{template}`", place=service)
    parts = _PARAMETER.split(arn)
    return text(Open(f"{{{part}}}") if number % 2 else part for number, part in enumerate(parts))
