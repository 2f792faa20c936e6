"""The cover of every PASS is verified without the search that found it, and a wrong cover is rejected."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

from iam_guard.analysis.checks.comparison import StatementCover, compare
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.errors import PolicyError
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from tests.analysis.checks.cover_verification import verify_cover
from tests.analysis.checks.small_policies import Doc, Pair
from tests.tables import table

TYPES = {"identity": PolicyType.IDENTITY, "resource": PolicyType.RESOURCE}


def compiled(document: Doc, type: PolicyType = PolicyType.IDENTITY) -> CompiledDocument:
    return CompiledDocument(parse(document, type))


def everything(existing: CompiledDocument, new: CompiledDocument) -> list[StatementCover]:
    """Return the cover that claims all statements for each one."""
    olds, news = (range(len(compiled.document.statements)) for compiled in (existing, new))
    return [StatementCover(index, tuple(olds), tuple(news)) for index in news]


@table(("kind", "seeds"), [("identity", 300), ("resource", 60)])
def test_every_pass_is_verified_and_no_fail_is(kind: str, seeds: int) -> None:
    counts: Counter[bool] = Counter()
    for seed in range(seeds):
        pair = Pair(Random(seed), is_resource=kind == "resource")
        try:
            existing, new = (compiled(document, TYPES[kind]) for document in (pair.existing, pair.new))
            found = compare(existing, new)
        except (PolicyError, Undecided):
            continue
        is_pass = found.witness is None
        cover = found.cover if is_pass else everything(existing, new)
        assert verify_cover(existing, new, cover) is is_pass, (seed, pair.existing, pair.new)
        counts[is_pass] += 1
    assert min(counts[True], counts[False]) >= 10


def statement(effect: str, action: str, resource: Any, **more: Any) -> Doc:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def test_wrong_covers_are_rejected() -> None:
    """Each part of the cover is needed."""
    a, b = "arn:aws:s3:::a/*", "arn:aws:s3:::b/*"
    old = [statement("Allow", "s3:*", a), statement("Allow", "s3:Get*", b), statement("Deny", "s3:Put*", b)]
    outside = {"Effect": "Deny", "Action": "*", "NotResource": [a, b]}
    new = [statement("Allow", "s3:GetObject", "*"), outside]
    existing, changed = compiled({"Statement": old}), compiled({"Statement": new})
    [cover] = compare(existing, changed).cover
    assert cover == StatementCover(0, (0, 1), (1,))
    assert verify_cover(existing, changed, [cover])
    for wrong in (
        replace(cover, statement=1),
        replace(cover, allowed_by=(0,)),
        replace(cover, allowed_by=(1,)),
        replace(cover, allowed_by=(0, 2)),
        replace(cover, denied_by=()),
        replace(cover, denied_by=(7,)),
    ):
        assert not verify_cover(existing, changed, [wrong])
    assert not verify_cover(existing, changed, [])
    wider = compiled({"Statement": [statement("Allow", "s3:*", "*"), outside]})
    assert not verify_cover(existing, wider, [cover])


HOME, OTHER = "arn:aws:s3:::h/${aws:username}/*", "arn:aws:s3:::h/${aws:userid}/*"
INSIDE, ALL = "arn:aws:s3:::h/${aws:username}/in/*", "arn:aws:s3:::h/*"


def document(*statements: Doc) -> CompiledDocument:
    return compiled({"Version": "2012-10-17", "Statement": [*statements]})


def test_proofs_with_variables_are_verified_by_polarity() -> None:
    """A variable is covered by itself and by a wildcard; a Deny with one counts only against the same one."""
    home, every = statement("Allow", "s3:*", HOME), statement("Allow", "s3:*", ALL)
    deny_home, deny_other = statement("Deny", "s3:*", HOME), statement("Deny", "s3:*", OTHER)
    for existing, new in (
        (document(home), document(statement("Allow", "s3:Get*", INSIDE))),
        (document(every), document(home)),
        (document(every, deny_home), document(every, deny_home, deny_other)),
        (document(every, deny_home), document(every, statement("Deny", "*", [HOME, OTHER]))),
        (document(every, statement("Deny", "*", ALL)), document(home, statement("Deny", "*", ALL))),
    ):
        found = compare(existing, new)
        assert found.witness is None
        assert verify_cover(existing, new, found.cover)


def test_wrong_proofs_with_variables_are_rejected() -> None:
    home, every = statement("Allow", "s3:*", HOME), statement("Allow", "s3:*", ALL)
    deny_home, deny_other = statement("Deny", "s3:*", HOME), statement("Deny", "s3:*", OTHER)
    literal = statement("Allow", "s3:*", "arn:aws:s3:::h/ada/*")
    for existing, new in (
        (document(home), document(every)),
        (document(home), document(statement("Allow", "s3:*", OTHER))),
        (document(home), document(literal)),
        (document(literal), document(home)),
        (document(every, deny_home), document(every, deny_other)),
        (document(every, deny_home), document(literal)),
        (document(literal), document(literal, every, deny_other)),
        (document(every, statement("Deny", "*", "arn:aws:s3:::h/ada/*")), document(home)),
    ):
        assert compare(existing, new).witness is not None
        assert not verify_cover(existing, new, everything(existing, new))
