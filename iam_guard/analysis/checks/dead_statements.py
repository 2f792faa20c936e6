"""Find what a policy could do without: statements without an effect, and values that other ones make redundant.

A part is dead if the policy without it decides every request alike. Allow statements are compared with the other ones
of the policy. What is said of a Deny holds whatever other policies allow: it is compared with a policy that allows all
that the statement is about. Only `no-effect` depends on the Allow statements of the policy itself.

Parts are removed one after another, the last first, so that all but those without an effect can be removed together.
At the end the policy without them is proved equivalent to the original.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from iam_guard.analysis.checks.boxes import Box
from iam_guard.analysis.checks.comparison import EVERY_REQUEST, Query, StatementCover, compare, cover_or_boxes
from iam_guard.analysis.checks.limits import MAX_BOXES, MAX_STATES, Undecided, Work
from iam_guard.analysis.checks.policy_checks import compiled_policy, query_among
from iam_guard.analysis.checks.statement_forms import DocumentForm, StatementForm, form_of
from iam_guard.analysis.checks.statement_values import (
    ListedValue,
    is_in_list,
    listed_values,
    may_be_redundant,
    needs_value,
)
from iam_guard.evaluation.compiler import CompiledDocument, PolicySource
from iam_guard.evaluation.matching.statement import compile_statement
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import ANY_PRINCIPAL, Effect, Statement

_MAX_STATES_OF_A_PART, _MAX_BOXES_OF_A_PART = 50_000, 2_000
"""Maximum work of one proof; all of them together have that of one check."""
_MAX_VALUES = 50_000
"""Maximum number of values of conditions, over all proofs that one of them is redundant."""
_MAX_LEFT = 64
"""Up to this number of boxes that only one statement allows is kept."""


class DeadKind(StrEnum):
    """Why a part is dead."""

    UNREACHABLE = "unreachable"
    """No request meets the conditions of the statement."""
    DENIED = "denied"
    """Deny statements apply to all that the statement allows."""
    SHADOWED = "shadowed"
    """Other statements of the same effect apply to all that the statement does, or it needs no permission."""
    NO_EFFECT = "no-effect"
    """The policy allows nothing that the Deny denies; it still denies what other policies allow."""
    REDUNDANT = "redundant-value"
    """The statement does the same without the value."""


@dataclass(frozen=True, slots=True)
class DeadPart:
    """A statement, or one value of a statement: `path` is its element, as (`Condition`, operator, key).

    `covered_by` are the indexes of statements that make it dead.
    """

    kind: DeadKind
    statement_index: int
    statement_id: str | None
    covered_by: tuple[int, ...] = ()
    path: tuple[str, ...] = ()
    value: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the part as JSON values."""
        return {
            "kind": self.kind.value,
            "statementIndex": self.statement_index,
            "statementId": self.statement_id,
            "coveredBy": [*self.covered_by],
            "path": [*self.path],
            "value": self.value,
        }


@dataclass(frozen=True, slots=True)
class DeadParts:
    """All dead parts in the order of the document; `is_complete` is False if some could not be decided."""

    parts: tuple[DeadPart, ...]
    is_complete: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the parts as JSON values."""
        return {"parts": [part.to_dict() for part in self.parts], "complete": self.is_complete}


def check_dead_statements(policy: PolicySource, type: PolicyType, *, actions: Iterable[str] | None = None) -> DeadParts:
    """Return the dead parts of a policy. The arguments are those of `check_no_new_access`.

    Raises `PolicyError` for a document that is refused, and `Undecided`.
    """
    return find_dead_parts(compiled_policy(policy, type), query_among(actions))


def find_dead_parts(document: CompiledDocument, query: Query = EVERY_REQUEST) -> DeadParts:
    """Return the dead parts of an identity-based or resource-based policy.

    Raises `Undecided` if the policy without them could not be proved equivalent.
    """
    reduction = _Reduction(document, query)
    parts = [*reduction.dead_statements(), *reduction.redundant_values()]
    if reduction.is_changed:
        _verify(document, reduction.reduced(), query)
    parts.sort(key=lambda part: (part.statement_index, part.path))
    return DeadParts(tuple(parts), reduction.is_complete)


def _verify(original: CompiledDocument, reduced: CompiledDocument, query: Query) -> None:
    if compare(original, reduced, query).witness or compare(reduced, original, query).witness:
        raise Undecided("the policy without its dead parts is not equivalent")


class _Reduction:
    """A document whose dead parts are removed step by step. `forms` are its statements by their index."""

    def __init__(self, document: CompiledDocument, query: Query) -> None:
        self.document, self.query = document.document, query
        self.forms = {form.statement.index: form for form in form_of(document).statements}
        self.states, self.boxes, self.values = MAX_STATES, MAX_BOXES, _MAX_VALUES
        self.is_complete, self.is_changed = True, False
        self.left: dict[int, list[Box]] = {}
        """What only one Allow statement allows, by its index: some boxes."""

    def reduced(self) -> CompiledDocument:
        """Return the document without its dead parts."""
        statements = tuple(self.forms[index].statement for index in sorted(self.forms))
        return CompiledDocument(replace(self.document, statements=statements, digest=f"{self.document.digest} reduced"))

    # --- statements ----------------------------------------------------------------------------------------------

    def dead_statements(self) -> Iterator[DeadPart]:
        """Yield the dead statements, and remove them unless they have no effect only here."""
        for index in sorted(self.forms, reverse=True):
            form = self.forms[index]
            part = self._dead_deny(form) if form.compiled.denies else self._dead_allow(form)
            if part is not None:
                yield part
                if part.kind is not DeadKind.NO_EFFECT:
                    del self.forms[index]
                    self.is_changed = True

    def _dead_allow(self, form: StatementForm) -> DeadPart | None:
        left: list[Box] = []
        cover = self._proof(self._others(form), [form, *self._denies()], left)
        if cover is None:
            self.left[form.statement.index] = left
            return None
        found = _cover_of(cover, form)
        if found is None:
            return _part(DeadKind.UNREACHABLE, form)
        is_denied = not found.allowed_by and found.denied_by
        return _part(DeadKind.DENIED if is_denied else DeadKind.SHADOWED, form, found)

    def _dead_deny(self, form: StatementForm) -> DeadPart | None:
        allowed = self._allowing(form)
        others = self._denies(without=form)
        cover = self._proof([allowed, form, *others], [allowed, *others])
        if cover is not None:
            found = _cover_of(cover, form)
            is_unreachable = found is None or not found.denied_by
            return _part(DeadKind.UNREACHABLE if is_unreachable else DeadKind.SHADOWED, form, found)
        allows = self._allows()
        if allows and self._proof([*allows, form, *others], [*allows, *others]) is not None:
            return _part(DeadKind.NO_EFFECT, form)
        return None

    # --- values --------------------------------------------------------------------------------------------------

    def redundant_values(self) -> Iterator[DeadPart]:
        """Yield the redundant values of the statements that are left, and remove them."""
        for index in sorted(self.forms, reverse=True):
            for listed in listed_values(self.forms[index].statement):
                for place in reversed(range(len(listed.values))):
                    form = self.forms[index]
                    if len(listed.values) + listed.others > 1 and self._may_be_redundant(form, listed, place):
                        smaller = self._form(listed.without(form.statement, place))
                        found = self._redundant(form, smaller, listed, place)
                        if found is not None:
                            yield found
                            listed = replace(listed, values=(*listed.values[:place], *listed.values[place + 1 :]))
                            self.forms[index] = smaller
                            self.is_changed = True

    def _may_be_redundant(self, form: StatementForm, listed: ListedValue, place: int) -> bool:
        others = self._denies(without=form) if form.compiled.denies else self._others(form)
        if not may_be_redundant(form, listed, place, others):
            return False
        if listed.condition is not None:
            self.values -= len(listed.values)
            if self.values < 0:
                self.is_complete = False
                return False
        left = self.left.get(form.statement.index, ())
        return not any(needs_value(box, form, listed, place) for box in left)

    def _redundant(
        self, form: StatementForm, smaller: StatementForm, listed: ListedValue, place: int
    ) -> DeadPart | None:
        part = replace(_part(DeadKind.REDUNDANT, form), path=listed.path, value=listed.values[place])
        if is_in_list(form, listed, place):
            return replace(part, covered_by=(form.statement.index,))
        narrow, wide = (form, smaller) if listed.is_negated else (smaller, form)
        if listed.is_union:  # what the statement has beyond the smaller one, it has with only this value
            wide = self._form(listed.only(form.statement, place))
        if not form.compiled.denies:
            cover = self._proof([*self._others(form), narrow], [wide, *self._denies()])
        else:
            allowed, others = self._allowing(wide), self._denies(without=form)
            cover = self._proof([allowed, wide, *others], [allowed, narrow, *others])
        if cover is None:
            return None
        return replace(part, covered_by=_covered_by(_cover_of(cover, form), form))

    # --- proofs --------------------------------------------------------------------------------------------------

    def _proof(
        self, existing: Sequence[StatementForm], new: Sequence[StatementForm], left: list[Box] | None = None
    ) -> tuple[StatementCover, ...] | None:
        """Return the cover that proves that `new` allows no more than `existing`; None without a proof.

        Boxes that may differ are added to `left`.
        """
        work = Work(min(self.states, _MAX_STATES_OF_A_PART), min(self.boxes, _MAX_BOXES_OF_A_PART))
        states, boxes = work.states, work.boxes
        forms = [DocumentForm.of_statements(self.document, statements) for statements in (existing, new)]
        try:
            cover, found = cover_or_boxes(forms, self.query, work, 1 if left is None else _MAX_LEFT)
            if left is not None:
                left += found
            return None if found else cover
        except Undecided:
            self.is_complete = False
            return None
        finally:
            self.states -= states - max(work.states, 0)
            self.boxes -= boxes - max(work.boxes, 0)

    def _others(self, form: StatementForm) -> list[StatementForm]:
        return [other for other in self.forms.values() if other is not form]

    def _allows(self) -> list[StatementForm]:
        return [form for form in self.forms.values() if not form.compiled.denies]

    def _denies(self, *, without: StatementForm | None = None) -> list[StatementForm]:
        return [form for form in self.forms.values() if form.compiled.denies and form is not without]

    def _form(self, statement: Statement) -> StatementForm:
        return StatementForm(
            compile_statement(statement, self.document.version, self.document.type), self.document.version
        )

    def _allowing(self, deny: StatementForm) -> StatementForm:
        """Return a statement that allows everyone what a Deny is about."""
        principals = ANY_PRINCIPAL if self.document.type is PolicyType.RESOURCE else None
        allow = replace(deny.statement, effect=Effect.ALLOW, principals=principals, not_principals=None)
        return self._form(allow)


def _cover_of(cover: Iterable[StatementCover], form: StatementForm) -> StatementCover | None:
    return next((claim for claim in cover if claim.statement == form.statement.index), None)


def _part(kind: DeadKind, form: StatementForm, cover: StatementCover | None = None) -> DeadPart:
    return DeadPart(kind, form.statement.index, form.statement.sid, _covered_by(cover, form))


def _covered_by(cover: StatementCover | None, form: StatementForm) -> tuple[int, ...]:
    allowed_by = () if cover is None or form.compiled.denies else cover.allowed_by
    return () if cover is None else tuple(sorted({*allowed_by, *cover.denied_by}))
