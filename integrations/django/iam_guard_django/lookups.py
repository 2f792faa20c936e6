"""Canonicalize object keys, so that the decision and the database use the same value of a URL parameter.

A generic view compares the text of the URL with a field of its model: `/documents/007` finds document 7. Two steps:

1. Before the view runs, the parameter is replaced by its canonical text: `str()` of the field's value, as of a loaded
   object. So the decision and the view get the same text, even if the view reads its parameters itself. (Rejecting
   other texts would break clients that send UUIDs in upper case.) A text that the field can't parse stays unchanged.
2. After the framework's `get_object`, the object's own text must be the decided one; otherwise the result is 404. This
   covers models known only at run time, case-insensitive databases, and objects found by another parameter. Texts that
   are in no decision of the call are not compared. The same check applies to the parts of a date.

Views that look up objects by themselves get step 1 if their class names the model; functions can use `key_converter`.
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

from iam_guard import current_call
from iam_guard.errors import ConfigurationError
from iam_guard_django.views import class_of

_log = logging.getLogger("iam_guard.django")
_ATTRIBUTES: Final = (
    *("queryset", "model", "pk_url_kwarg", "slug_url_kwarg", "slug_field"),
    *("lookup_url_kwarg", "lookup_field", "lookup_fields", "parent_lookup_kwargs"),
)
"""The attributes of class-based views for lookups: of Django, and of REST framework with its documented mixin for
several fields and nested routers.
"""
_ADMIN_PARAMETER: Final = "object_id"
"""The URL parameter of the admin site's views for the object, with some characters quoted."""
_PATCHED_METHOD: Final = "_iam_guard_compares"


def key_converter(model: type[Model], field: str = "pk") -> type:
    """Return a path converter for `register_converter`, which passes the canonical text of a key to the view.

    An invalid key is answered with 404. `field` may follow relations, as in `owner__number`.
    """
    read_by = _field_of(model, field)

    class KeyConverter:
        regex = "[^/]+"

        def to_python(self, text: str) -> str:
            try:
                return _text(read_by, text)
            except Exception as error:  # any error of the field means that there is no such key
                raise ValueError from error

        def to_url(self, value: object) -> str:
            return str(value)

    return KeyConverter


def canonicalize(view: Any, parameters: dict[str, Any]) -> None:
    """Canonicalize the lookup parameters of a class-based view, if its class names the model."""
    _patch_generic_views()
    if class_of(view) is not None:
        for name, model, lookup in _declared(view):
            _replace(parameters, name, model, lookup)
    elif hasattr(view, "model_admin"):
        from django.contrib.admin.utils import quote, unquote  # noqa: PLC0415  only if the admin site is installed

        if _ADMIN_PARAMETER in parameters:
            parameters[_ADMIN_PARAMETER] = unquote(parameters[_ADMIN_PARAMETER])
            _replace(parameters, _ADMIN_PARAMETER, view.model_admin.model, "pk")
            parameters[_ADMIN_PARAMETER] = quote(parameters[_ADMIN_PARAMETER])


def canonicalize_view(view: Any) -> None:
    """Canonicalize the lookup parameters of a running view, whose `get_queryset` may name the model."""
    for name, lookup in _lookups(view):
        if name in view.kwargs:
            try:
                model = (view.get_queryset() if view.queryset is None else view.queryset).model
            except Exception:  # noqa: BLE001  the view will raise the same error of the project's code
                return
            _replace(view.kwargs, name, model, lookup)


def _replace(parameters: dict[str, Any], name: str, model: Any, lookup: str) -> None:
    """Replace a text by the canonical text for the field of the lookup; keep one that can't be parsed."""
    value = parameters.get(name)
    if isinstance(value, str):  # otherwise a URL converter has already parsed it
        try:
            parameters[name] = _text(_field_of(model, lookup), value)
        except Exception:  # noqa: BLE001  the query will raise the same error of the field
            return


def _patch_generic_views() -> None:
    """Patch the generic views to compare the objects that they find; repeated, as imports may come later."""
    for module, class_name, name, refuse_another in _LOOKUPS_TO_CHECK:
        kind = getattr(sys.modules.get(module), class_name, None)
        if kind is not None and not hasattr(getattr(kind, name), _PATCHED_METHOD):
            setattr(kind, name, _with_comparison(getattr(kind, name), refuse_another))


@lru_cache(maxsize=1024)  # a view is declared once and called with every request
def _declared(view: Any) -> tuple[tuple[str, Any, str], ...]:
    """Return each lookup parameter of a view with its model and lookup; empty if the class names no model."""
    view_class = class_of(view)
    initkwargs = getattr(view, "view_initkwargs", None) or getattr(view, "initkwargs", {})

    declared = SimpleNamespace(**{name: initkwargs.get(name, getattr(view_class, name, None)) for name in _ATTRIBUTES})
    model = getattr(declared.queryset, "model", None) or declared.model
    return tuple((name, model, lookup) for name, lookup in _lookups(declared)) if hasattr(model, "_meta") else ()


def _lookups(view: Any) -> Iterator[tuple[str, str]]:
    """Yield each lookup parameter of a view, with its lookup."""
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


def _with_comparison(find: Callable[..., Any], refuse_another: Callable[[Any, Any], None]) -> Callable[..., Any]:
    @wraps(find)
    def find_decided(view: Any, *args: Any, **kwargs: Any) -> Any:
        found = find(view, *args, **kwargs)
        refuse_another(view, found)
        return found

    setattr(find_decided, _PATCHED_METHOD, True)
    return find_decided


def _check_object(view: Any, found: Any) -> None:
    """Raise `Http404` if a decision used a text for the object that is not its canonical one."""
    for name, lookup in _lookups(view):
        text = view.kwargs.get(name)
        if _is_decided(text):
            own = _text_of(found, lookup)
            if own is not None and own != text:
                _log.info("%s rejected an object: its `%s` is not the decided one", type(view), name)
                raise Http404("no object has this key")


def _check_date(view: Any, text: Any) -> None:
    """Raise `Http404` if a decision used a non-canonical part of a date that `strptime` accepts: `JAN`, or `7`."""
    if _is_decided(text) and text != (f"{int(text):02}" if text.isdecimal() else text.lower()):
        raise Http404("no date has this text")


def _is_decided(text: Any) -> bool:
    """Return whether the resource of a decision of this call contains a text of the URL."""
    try:
        return isinstance(text, str) and any(text in decision.request.resource for decision in current_call().decisions)
    except ConfigurationError:  # called outside of a guarded request
        return False


_LOOKUPS_TO_CHECK: Final = (
    ("django.views.generic.detail", "SingleObjectMixin", "get_object", _check_object),
    ("rest_framework.generics", "GenericAPIView", "get_object", _check_object),
    ("django.views.generic.dates", "YearMixin", "get_year", _check_date),
    ("django.views.generic.dates", "MonthMixin", "get_month", _check_date),
    ("django.views.generic.dates", "WeekMixin", "get_week", _check_date),
    ("django.views.generic.dates", "DayMixin", "get_day", _check_date),
)
"""The patched lookup methods of generic views: module, class, method, check of the result."""


def _text_of(found: Any, lookup: str) -> str | None:
    """Return the canonical text of the value that a lookup compares with; None without one, or with several."""
    value, field = found, None
    names = lookup.split("__")
    for place, name in enumerate(names):
        if place and not isinstance(value, Model):
            break  # the rest of the lookup is an operator, as `iexact`
        try:
            field = _field(type(value), name)
        except (AttributeError, FieldDoesNotExist):
            field, value = None, getattr(value, name, None)  # an annotation, a property, or not of a model
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
    """Return the field whose value a lookup such as `owner__number` compares."""
    field = None
    for name in lookup.split("__"):
        field = _field(model, name)
        model = field.related_model
    while field is not None and field.is_relation:
        field = field.target_field
    return field


def _text(field: Any, raw: str) -> str:
    """Return the canonical text of a key for a field. Raises what the field raises, and `ValueError`."""
    text = _canonical(field, field.to_python(raw))
    if text != _canonical(field, field.to_python(text)):
        raise ValueError("expected a value with a stable text")
    return text


def _canonical(field: Any, value: Any) -> str:
    """Return the `str()` that a value has in a loaded object."""
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
