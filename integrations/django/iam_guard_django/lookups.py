"""Object names: the decision and the database read a parameter of the URL as the same value.

A generic view compares the text of the URL with a field of its model: `/documents/007` finds document 7. Strategy, in
two steps:

1. Before the view runs, the parameter becomes the canonical text of that field: `str()` of the value that the field
   makes of it, as of an object that was loaded. Decision and view then get the same text, also a view that reads its
   parameters itself. To refuse every other text would be as safe, and break clients that write UUIDs in upper case. A
   text that the field cannot read stays as it came, for the view cannot read it either.
2. After the framework's `get_object`, the object must have the text that was decided. Otherwise it is not found (404):
   where the model is known only when the view runs, where the database compares without case, or where another
   parameter found the object. Texts that no decision of the call contains are not compared. The same holds for the
   parts of a date.

A view that looks its object up by itself has the first step if its class names the model; a function has
`key_converter`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, wraps
from types import SimpleNamespace
from typing import Any, Final

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.http import Http404

from iam_guard.errors import ConfigurationError
from iam_guard.web.call_context import current_call
from iam_guard_django.views import class_of

_log = logging.getLogger("iam_guard.django")
_ATTRIBUTES: Final = (
    *("queryset", "model", "pk_url_kwarg", "slug_url_kwarg", "slug_field"),
    *("lookup_url_kwarg", "lookup_field", "lookup_fields", "parent_lookup_kwargs"),
)
"""What a class-based view says about its lookup: of Django, and of REST framework with its documented mixin for several
fields and nested routers.
"""
_OF_ADMIN: Final = "object_id"
"""The parameter by which the views of the admin site look their object up, with some characters quoted."""
_COMPARES: Final = "_iam_guard_compares"


def key_converter(model: type[Model], field: str = "pk") -> type:
    """Return a path converter for `register_converter`: the view gets the canonical text of a key of the model.

    A text that is no key is answered 404. `field` may follow relations, as `owner__number`.
    """
    read_by = _field_of(model, field)

    class KeyConverter:
        regex = "[^/]+"

        def to_python(self, text: str) -> str:
            try:
                return _text(read_by, text)
            except Exception as error:  # whatever a field raises, there is no such key
                raise ValueError from error

        def to_url(self, value: object) -> str:
            return str(value)

    return KeyConverter


def canonicalize(view: Any, parameters: dict[str, Any]) -> None:
    """Replace the parameters by which a class-based view looks its object up, as far as its class names the model."""
    _compare_what_is_found()
    if class_of(view) is not None:
        for name, model, lookup in _declared(view):
            _replace(parameters, name, model, lookup)
    elif hasattr(view, "model_admin"):
        from django.contrib.admin.utils import quote, unquote  # noqa: PLC0415  for where the admin site is installed

        if _OF_ADMIN in parameters:
            parameters[_OF_ADMIN] = unquote(parameters[_OF_ADMIN])
            _replace(parameters, _OF_ADMIN, view.model_admin.model, "pk")
            parameters[_OF_ADMIN] = quote(parameters[_OF_ADMIN])


def canonicalize_of(view: Any) -> None:
    """Replace the parameters of a view that runs, whose `get_queryset` may name the model."""
    for name, lookup in _lookups(view):
        if name in view.kwargs:
            try:
                model = (view.get_queryset() if view.queryset is None else view.queryset).model
            except Exception:  # noqa: BLE001  of the project's own code, which the view will run into as well
                return
            _replace(view.kwargs, name, model, lookup)


def _replace(parameters: dict[str, Any], name: str, model: Any, lookup: str) -> None:
    """Replace a text by the canonical one of what the lookup compares with; one that cannot be read stays."""
    given = parameters.get(name)
    if isinstance(given, str):  # otherwise a converter of the URL has read it
        try:
            parameters[name] = _text(_field_of(model, lookup), given)
        except Exception:  # noqa: BLE001  whatever a field raises, the query raises as well
            return


def _compare_what_is_found() -> None:
    """Let the generic views compare what they have found; tried with each request, for an import may come late."""
    for module, class_name, name, refuse_another in _COMPARED:
        kind = getattr(sys.modules.get(module), class_name, None)
        if kind is not None and not hasattr(getattr(kind, name), _COMPARES):
            setattr(kind, name, _comparing(getattr(kind, name), refuse_another))


@lru_cache(maxsize=1024)  # a view is declared once and called with every request
def _declared(view: Any) -> tuple[tuple[str, Any, str], ...]:
    """Return the parameters of a view's lookup with the model and the lookup of each; none where no class says so."""
    view_class = class_of(view)
    given = getattr(view, "view_initkwargs", None) or getattr(view, "initkwargs", {})

    declared = SimpleNamespace(**{name: given.get(name, getattr(view_class, name, None)) for name in _ATTRIBUTES})
    model = getattr(declared.queryset, "model", None) or declared.model
    return tuple((name, model, lookup) for name, lookup in _lookups(declared)) if hasattr(model, "_meta") else ()


def _lookups(view: Any) -> Iterator[tuple[str, str]]:
    """Yield each parameter by which a view looks its object up, with the lookup."""
    slug, key = getattr(view, "slug_url_kwarg", None), getattr(view, "pk_url_kwarg", None)
    if slug and slug != key:
        yield slug, view.get_slug_field() if hasattr(view, "get_slug_field") else view.slug_field
    if key:
        yield key, "pk"
    lookup = getattr(view, "lookup_field", None)
    if lookup:
        yield getattr(view, "lookup_url_kwarg", None) or lookup, lookup
    yield from ((name, name) for name in getattr(view, "lookup_fields", None) or ())
    yield from (getattr(view, "parent_lookup_kwargs", None) or {}).items()


def _comparing(find: Callable[..., Any], refuse_another: Callable[[Any, Any], None]) -> Callable[..., Any]:
    @wraps(find)
    def find_decided(view: Any, *args: Any, **kwargs: Any) -> Any:
        found = find(view, *args, **kwargs)
        refuse_another(view, found)
        return found

    setattr(find_decided, _COMPARES, True)
    return find_decided


def _refuse_another_object(view: Any, found: Any) -> None:
    """Raise `Http404` where a decision names the object by a text that is not its own."""
    for name, lookup in _lookups(view):
        text = view.kwargs.get(name)
        if _is_decided(text):
            own = _text_of(found, lookup)
            if own is not None and own != text:
                _log.info("%s found an object by `%s` that has another name than the decided one", type(view), name)
                raise Http404("no object has this name")


def _refuse_another_date(view: Any, text: Any) -> None:
    """Raise `Http404` where a decision names a part of a date as `strptime` alone reads it: `JAN`, or `7` for `07`."""
    if _is_decided(text) and text != (f"{int(text):02}" if text.isdecimal() else text.lower()):
        raise Http404("no date has this name")


def _is_decided(text: Any) -> bool:
    """Return whether a text of the URL stands in the resource of a decision of this call."""
    try:
        return isinstance(text, str) and any(text in decision.request.resource for decision in current_call().decisions)
    except ConfigurationError:  # called outside of a guarded request
        return False


_COMPARED: Final = (
    ("django.views.generic.detail", "SingleObjectMixin", "get_object", _refuse_another_object),
    ("rest_framework.generics", "GenericAPIView", "get_object", _refuse_another_object),
    ("django.views.generic.dates", "YearMixin", "get_year", _refuse_another_date),
    ("django.views.generic.dates", "MonthMixin", "get_month", _refuse_another_date),
    ("django.views.generic.dates", "WeekMixin", "get_week", _refuse_another_date),
    ("django.views.generic.dates", "DayMixin", "get_day", _refuse_another_date),
)
"""What generic views find things by, each with what compares the thing to the decision."""


def _text_of(found: Any, lookup: str) -> str | None:
    """Return the canonical text of what a lookup compares with; None where an object has none, or several."""
    value, field = found, None
    names = lookup.split("__")
    for place, name in enumerate(names):
        if place and not isinstance(value, Model):
            break  # the rest of the lookup is how it compares: `iexact`
        try:
            field = _field(type(value), name)
        except (AttributeError, FieldDoesNotExist):
            field, value = None, getattr(value, name, None)  # annotated, a property, or of no model
            continue
        if field.many_to_many or field.one_to_many:
            return None
        value = getattr(value, field.attname if place == len(names) - 1 else field.name)
    if value is None:
        return None if isinstance(found, Model) else ""
    return _canonical(field, value)


def _field(model: Any, name: str) -> Any:
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


def _field_of(model: Any, lookup: str) -> Any:
    """Return the field with the value that a lookup such as `owner__number` compares with."""
    field = None
    for name in lookup.split("__"):
        field = _field(model, name)
        model = field.related_model
    while field is not None and field.is_relation:
        field = field.target_field
    return field


def _text(field: Any, given: str) -> str:
    """Return the canonical text of a key as a field reads it. Raises what the field raises, and `ValueError`."""
    text = _canonical(field, field.to_python(given))
    if text != _canonical(field, field.to_python(text)):
        raise ValueError("expected a value with a text of its own")
    return text


def _canonical(field: Any, value: Any) -> str:
    """Return the text of a value as `str` writes that of a loaded object."""
    while field is not None and field.is_relation:
        field = field.target_field
    match value:
        case None:
            raise ValueError("expected a key, got an empty text")
        case Decimal() if getattr(field, "decimal_places", None) is not None:
            shortened = value.quantize(Decimal(1).scaleb(-field.decimal_places), context=field.context)
            return f"{field.context.plus(shortened):f}"  # there are two zeros
        case float():
            return str(value + 0.0)
        case datetime(tzinfo=zone) if zone is not None:
            return str(value.astimezone(UTC))
    return str(value)
