"""Parameters against the limits of the model: required, lengths, ranges, patterns, enumerations, in AWS's sentences.

All failures are told at once, as AWS does, up to ten of them. The place is AWS's too: `tags.1.member.key`. A value that
the model marks as sensitive, or `audit_fields` names as a secret, is not quoted, for the sentence stands in the audit
record; nor is one that holds structures; a long one is cut. A value that is too long is not matched against its
pattern, which bounds the time that matching takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from iam_guard.api.protocol.audit_fields import SECRET
from iam_guard.api.protocol.model_patterns import matches
from iam_guard.api.protocol.protocol_errors import ValidationFailure
from iam_guard.api.protocol.service_model import Limits, Operation, Shape

MAX_FAILURES = 10
MAX_QUOTED = 1024
_PEM = "-----BEGIN "
_SCALARS = frozenset({"string", "integer", "long", "float", "double", "boolean", "timestamp", "blob"})
_NUMBERS = frozenset({"integer", "long", "float", "double"})


def validate(operation: Operation, parameters: Mapping[str, Any]) -> None:
    """Check what `parse` gave. Raises `ValidationFailure` with AWS's sentence."""
    if operation.input is None:
        return
    failures = list(islice(_failures(operation.input, parameters, ""), MAX_FAILURES))
    if failures:
        errors = "error" if len(failures) == 1 else "errors"
        raise ValidationFailure(f"{len(failures)} validation {errors} detected: {'; '.join(failures)}")


def _failures(shape: Shape, value: Any, place: str, *, is_secret: bool = False) -> Iterator[str]:
    for constraint in _broken(shape, value):
        quoted = None if is_secret else _quoted(shape, value)
        yield _sentence(quoted, place, constraint)
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


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    """Name the constraints that a value breaks itself, and those that its scalar parts break."""
    kept = dict(_constraints(shape))
    yield from (f"Member must {text}" for text, is_kept in kept.items() if not is_kept(value))
    match shape.kind:
        case "list":
            parts = [("Member must", shape.element, value)]
        case "map":
            parts = [("Map keys must", shape.key, value), ("Map value must", shape.value, value.values())]
        case _:
            return
    for words, part, values in parts:
        constraints = dict(_constraints(part)) if part.kind in _SCALARS else {}
        if not all(is_kept(each) for each in values for is_kept in constraints.values()):
            yield f"{words} satisfy constraint: [{', '.join(f'Member must {text}' for text in constraints)}]"


def _constraints(shape: Shape) -> Iterator[tuple[str, Any]]:
    """List what the model demands: AWS's words after `Member must`, and whether a value keeps it."""
    limits, measure, noun = shape.limits, _measure_of(shape), "value" if shape.kind in _NUMBERS else "length"
    if limits.most is not None:
        most = limits.most
        yield f"have {noun} less than or equal to {most}", lambda value: measure(value) <= most
    if limits.least is not None:
        least = limits.least
        yield f"have {noun} greater than or equal to {least}", lambda value: measure(value) >= least
    if limits.pattern is not None:
        yield f"satisfy regular expression pattern: {limits.pattern}", lambda value: _has_form(limits, value)
    if limits.enum:
        yield f"satisfy enum value set: [{', '.join(limits.enum)}]", lambda value: value in limits.enum


def _measure_of(shape: Shape) -> Any:
    return (lambda value: value) if shape.kind in _NUMBERS else len


def _has_form(limits: Limits, value: str) -> bool:
    is_too_long = limits.most is not None and len(value) > limits.most
    return is_too_long or matches(limits.pattern or "", value)


def _sentence(quoted: str | None, place: str, constraint: str) -> str:
    told = "" if quoted is None else f" '{quoted}'"
    return f"Value{told} at '{place}' failed to satisfy constraint: {constraint}"


def _quoted(shape: Shape, value: Any) -> str | None:
    match shape.kind:
        case "list" if _may_be_quoted(shape, shape.element):
            text = f"[{', '.join(map(str, value))}]"
        case "map" if _may_be_quoted(shape, shape.key, shape.value):
            text = f"{{{', '.join(f'{key}={each}' for key, each in value.items())}}}"
        case _ if _may_be_quoted(shape) and shape.kind != "blob":
            text = str(value)
        case _:
            return None
    if _PEM in text:
        return None  # somebody may have pasted a private key where a certificate belongs
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}..."


def _may_be_quoted(shape: Shape, *parts: Shape) -> bool:
    whole_is_plain = shape.kind in _SCALARS or bool(parts)
    return whole_is_plain and not shape.is_sensitive and all(map(_may_be_quoted, parts))
