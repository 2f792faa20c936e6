"""Validation of parameters by the model: required members, lengths, ranges, patterns, enumerations; AWS's messages.

Up to ten failures are reported at once, as AWS does, with AWS's place: `tags.1.member.key`. The message is part of the
audit record, so it doesn't quote a value that the model marks as sensitive, that `audit_fields` lists as a secret, or
that contains structures; a long value is cut. A value that is too long is not matched against its pattern, which limits
the time of the matching.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, get_args

from iam_guard.api.protocol.audit_fields import SECRET
from iam_guard.api.protocol.model_patterns import matches
from iam_guard.api.protocol.protocol_errors import MalformedBody, ValidationFailure
from iam_guard.api.protocol.service_model import Limits, Operation, Scalar, Shape
from iam_guard.api.protocol.xml_body import NOT_IN_XML

MAX_FAILURES = 10
MAX_QUOTED = 1024
_PEM = "-----BEGIN "
_SCALARS = frozenset(get_args(Scalar))
_NUMBERS = frozenset({"integer", "long", "float", "double"})


def validate(operation: Operation, parameters: Mapping[str, Any]) -> None:
    """Validate parsed parameters. Raises `ValidationFailure` with AWS's message."""
    if operation.input is None:
        return
    failures = list(islice(_failures(operation.input, parameters, ""), MAX_FAILURES))
    if failures:
        errors = "error" if len(failures) == 1 else "errors"
        raise ValidationFailure(f"{len(failures)} validation {errors} detected: {'; '.join(failures)}")


def _failures(shape: Shape, value: Any, place: str, *, is_secret: bool = False) -> Iterator[str]:
    for constraint in _violations(shape, value):
        quoted = None if is_secret else _quoted(shape, value)
        shown = "" if quoted is None else f" '{quoted}'"
        yield f"Value{shown} at '{place}' failed to satisfy constraint: {constraint}"
    match shape.kind:
        case "structure":
            yield from _failures_of_members(shape, value, f"{place}." if place else "")
        case "list" if shape.element.kind not in _SCALARS:
            for index, element in enumerate(value, 1):
                yield from _failures(shape.element, element, f"{place}.{index}.member")
        case "map" if shape.value.kind not in _SCALARS:
            for key, element in value.items():
                yield from _failures(shape.value, element, f"{place}.{key[:MAX_QUOTED]}.member")


def _failures_of_members(shape: Shape, value: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, member in shape.members.items():
        place = f"{prefix}{name[:1].lower()}{name[1:]}"
        if name in value:
            yield from _failures(member, value[name], place, is_secret=name in SECRET)
        elif name in shape.required:
            yield f"Value null at '{place}' failed to satisfy constraint: Member must not be null"


def _violations(shape: Shape, value: Any) -> Iterator[str]:
    """Return the constraints that a value violates itself, and those that its scalar parts violate."""
    yield from (f"Member must {text}" for text, is_met in _constraints(shape) if not is_met(value))
    match shape.kind:
        case "list":
            parts = [("Member must", shape.element, value)]
        case "map":
            parts = [("Map keys must", shape.key, value), ("Map value must", shape.value, value.values())]
        case _:
            return
    for subject, part, values in parts:
        constraints = dict(_constraints(part)) if part.kind in _SCALARS else {}
        if not all(is_met(element) for element in values for is_met in constraints.values()):
            yield f"{subject} satisfy constraint: [{', '.join(f'Member must {text}' for text in constraints)}]"


def _constraints(shape: Shape) -> Iterator[tuple[str, Any]]:
    """Return the model's constraints: AWS's text after `Member must`, and a predicate."""
    limits, measure, noun = shape.limits, _measure_of(shape), "value" if shape.kind in _NUMBERS else "length"
    if limits.maximum is not None:
        maximum = limits.maximum
        yield f"have {noun} less than or equal to {maximum}", lambda value: measure(value) <= maximum
    if limits.minimum is not None:
        minimum = limits.minimum
        yield f"have {noun} greater than or equal to {minimum}", lambda value: measure(value) >= minimum
    if limits.pattern is not None:
        yield f"satisfy regular expression pattern: {limits.pattern}", lambda value: _matches_pattern(limits, value)
    if limits.enum:
        yield f"satisfy enum value set: [{', '.join(limits.enum)}]", lambda value: value in limits.enum


def _measure_of(shape: Shape) -> Any:
    return (lambda value: value) if shape.kind in _NUMBERS else len


def _matches_pattern(limits: Limits, value: str) -> bool:
    is_too_long = limits.maximum is not None and len(value) > limits.maximum
    return is_too_long or matches(limits.pattern or "", value)


def _quoted(shape: Shape, value: Any) -> str | None:
    match shape.kind:
        case "list" if _may_be_quoted(shape, shape.element):
            text = f"[{', '.join(map(str, value))}]"
        case "map" if _may_be_quoted(shape, shape.key, shape.value):
            text = f"{{{', '.join(f'{key}={element}' for key, element in value.items())}}}"
        case _ if _may_be_quoted(shape) and shape.kind != "blob":
            text = str(value)
        case _:
            return None
    if _PEM in text:
        return None  # may be a private key, pasted instead of a certificate
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}..."


def _may_be_quoted(shape: Shape, *parts: Shape) -> bool:
    whole_is_plain = shape.kind in _SCALARS or bool(parts)
    return whole_is_plain and not shape.is_sensitive and all(map(_may_be_quoted, parts))


def reject_control_characters(value: object) -> None:
    """Raise `MalformedBody` for a character that XML can't carry, since no response could return it."""
    match value:
        case str() if NOT_IN_XML.search(value):
            raise MalformedBody("expected text without control characters")
        case Mapping():
            for key, element in value.items():
                reject_control_characters(key)
                reject_control_characters(element)
        case list():
            for element in value:
                reject_control_characters(element)
