"""Formulas: what remains of a decision when the resource is unknown, in negation normal form.

A formula is True, False, an atom, or atoms joined by `AllOf` and `AnyOf`. There is no negation above an atom: each atom
says whether it is `wanted` or not, and is two-valued. An atom that is not wanted is also true for an absent value. So a
condition of a database that is unknown where its atom is false changes nothing (`filters` relies on this).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from iam_guard.evaluation.matching.pattern import Wildcard


class Open(NamedTuple):
    """A value that each resource has: a condition key in lower case, or `{name}` for a parameter of the ARN."""

    name: str


TextPiece: TypeAlias = str | Wildcard | Open
Text: TypeAlias = tuple[TextPiece, ...]
"""Literal texts, wildcards and open values, in order. Literal texts are not empty and never adjacent."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether the value is present; with `or_blank`, an empty string counts as absent (rule C-33)."""

    name: str
    wanted: bool
    or_blank: bool = False


@dataclass(frozen=True, slots=True)
class OneOf:
    """Whether the value is present and one of these texts."""

    name: str
    values: frozenset[str]
    wanted: bool


@dataclass(frozen=True, slots=True)
class Matches:
    """Whether `subject`, which has no wildcards, matches `pattern`; an open value in a pattern must not be empty."""

    subject: Text
    pattern: Text
    wanted: bool


@dataclass(frozen=True, slots=True)
class MatchesArn:
    """Whether the value is an ARN that matches a pattern whose first five fields are matched one by one (C-25)."""

    name: str
    pattern: Text
    wanted: bool


@dataclass(frozen=True, slots=True)
class Compares:
    """Whether the value is present, can be parsed, and meets an operator without negation for one of the operands."""

    name: str
    operator: str
    operands: tuple[str, ...]
    wanted: bool


@dataclass(frozen=True, slots=True)
class Parses:
    """Whether the value is present and of the form that an operator compares."""

    name: str
    operator: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class Readable:
    """Whether the value can be read at all (rule C-45): not so two tags that differ by letter case only."""

    name: str


@dataclass(frozen=True, slots=True)
class Attached:
    """Whether one of some statements is in the policy that the store has of the resource, whose ARN is `subject`.

    `digests` name them in the table `resource_statements` of a schema.
    """

    subject: Text
    digests: tuple[str, ...]
    schema: str
    wanted: bool


Atom: TypeAlias = Presence | OneOf | Matches | MatchesArn | Compares | Parses | Readable | Attached


@dataclass(frozen=True, slots=True)
class AllOf:
    """True if each part is true; at least two parts, none of them constant or an `AllOf`."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True if one part is true; at least two parts, none of them constant or an `AnyOf`."""

    parts: tuple[Formula, ...]


Formula: TypeAlias = bool | Atom | AllOf | AnyOf


def all_of(parts: Iterable[Formula]) -> Formula:
    """Join formulas that all must be true; conditions on one value are merged."""
    return _join(parts, AllOf)


def any_of(parts: Iterable[Formula]) -> Formula:
    """Join formulas of which one must be true; those that differ in the texts of one value only are merged."""
    return _join(parts, AnyOf)


def _join(parts: Iterable[Formula], kind: type[AllOf] | type[AnyOf]) -> Formula:
    deciding = kind is AnyOf  # the constant that decides the whole
    flat: list[Formula] = []
    for part in parts:
        if part is deciding:
            return deciding
        if type(part) is kind:
            flat.extend(part.parts)
        elif part is not (not deciding):
            flat.append(part)
    if len(flat) <= 1:
        return flat[0] if flat else not deciding
    merged = _merged(flat, together=not deciding)
    if deciding:
        merged = _merged_products(merged)
    if any(isinstance(part, OneOf) and part.wanted is not deciding and not part.values for part in merged):
        return deciding
    return kind(tuple(merged)) if len(merged) > 1 else merged[0]


def _merged(parts: Iterable[Formula], *, together: bool) -> list[Formula]:
    """Remove repetitions, and merge the `OneOf` of one value: the union of texts, or those that are in both."""
    merged: dict[Formula, None] = {}
    choices: dict[tuple[str, bool], list[OneOf]] = {}
    for part in parts:
        if isinstance(part, OneOf):
            choices.setdefault((part.name, part.wanted), []).append(part)
        else:
            merged[part] = None
    return [*(_one_of(found, together=together) for found in choices.values()), *merged]


def _one_of(parts: Sequence[OneOf], *, together: bool) -> OneOf:
    first = parts[0]
    if len(parts) == 1:
        return first
    join = frozenset[str].intersection if first.wanted == together else frozenset[str].union
    return OneOf(first.name, join(*(part.values for part in parts)), first.wanted)


def _merged_products(parts: list[Formula]) -> list[Formula]:
    """Merge conjunctions that differ in the texts of one value: (a = 1 and b = 2) or (a = 1 and b = 3)."""
    products = [_product(part) for part in parts if isinstance(part, AllOf)]
    if len(products) < 2:
        return parts
    for name in dict.fromkeys(name for choices, _ in products for name in choices):
        groups: dict[tuple[Formula | frozenset[object], ...], _Product] = {}
        others = []
        for product in products:
            choices, rest = product
            if name not in choices:
                others.append(product)
                continue
            key = frozenset((other, values) for other, values in choices.items() if other != name), rest
            before = groups.get(key)
            joined = choices if before is None else {**choices, name: choices[name] | before[0][name]}
            groups[key] = joined, rest
        products = [*others, *groups.values()]
    return [*(part for part in parts if not isinstance(part, AllOf)), *map(_joined, products)]


_Product: TypeAlias = tuple[dict[str, frozenset[str]], frozenset[Formula]]
"""A conjunction: the texts that values must be one of, and its other parts."""


def _product(product: AllOf) -> _Product:
    choices = {part.name: part.values for part in product.parts if isinstance(part, OneOf) and part.wanted}
    return choices, frozenset(part for part in product.parts if not (isinstance(part, OneOf) and part.wanted))


def _joined(product: _Product) -> Formula:
    choices, rest = product
    parts = (*(OneOf(name, values, wanted=True) for name, values in choices.items()), *rest)
    return AllOf(parts) if len(parts) > 1 else parts[0]


def mapped(formula: Formula, change: Callable[[Atom], Formula]) -> Formula:
    """Return a formula with other formulas in place of its atoms."""
    if isinstance(formula, bool):
        return formula
    if isinstance(formula, (AllOf, AnyOf)):
        parts = [mapped(part, change) for part in formula.parts]
        is_same = all(part is before for part, before in zip(parts, formula.parts, strict=True))
        return formula if is_same else _join(parts, type(formula))
    return change(formula)


def without(formula: Formula, name: str) -> Formula:
    """Return what a formula is where a value is absent."""

    def when_absent(atom: Atom) -> Formula:
        return atom if name not in names_in(atom) or isinstance(atom, Readable) else not atom.wanted

    return mapped(formula, when_absent)


def atoms_of(formula: Formula) -> Iterator[Atom]:
    """Yield the atoms of a formula."""
    if isinstance(formula, (AllOf, AnyOf)):
        for part in formula.parts:
            yield from atoms_of(part)
    elif not isinstance(formula, bool):
        yield formula


def names_in(atom: Atom) -> tuple[str, ...]:
    """Return the names of the open values of an atom."""
    if isinstance(atom, Matches):
        return tuple(piece.name for piece in (*atom.subject, *atom.pattern) if isinstance(piece, Open))
    if isinstance(atom, Attached):
        return tuple(piece.name for piece in atom.subject if isinstance(piece, Open))
    if isinstance(atom, MatchesArn):
        return (atom.name, *(piece.name for piece in atom.pattern if isinstance(piece, Open)))
    return (atom.name,)


def written(formula: Formula) -> str:
    """Return a formula as text: the same for equal formulas, in every process."""
    if isinstance(formula, (AllOf, AnyOf)):
        return f"{type(formula).__name__}({', '.join(sorted(map(written, formula.parts)))})"
    if isinstance(formula, OneOf):
        return f"OneOf({formula.name!r}, {sorted(formula.values)}, {formula.wanted})"
    return repr(formula)
