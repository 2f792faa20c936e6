"""Fixes: each offered one removes its finding, causes no other, keeps the rest of the text, and keeps access."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from iam_guard.analysis.checks.judged_policies import judge
from iam_guard.analysis.lint import fix_candidates, fixes
from iam_guard.analysis.lint.edits import apply_edits, remove, replace_value
from iam_guard.analysis.lint.examination import Examiner
from iam_guard.analysis.lint.fix_candidates import PROPOSALS
from iam_guard.analysis.lint.fixes import Fix, Fixer, has_same_access
from iam_guard.analysis.lint.lint_codes import SEVERITIES, level_of_code
from iam_guard.analysis.lint.policy_validation import POLICY_TYPES, reference_index, validate_policy
from iam_guard.errors import PolicyError
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.model.decision import PolicyType
from iam_guard.policy.fault import Fault
from iam_guard.policy.json_text import read_json
from iam_guard.policy.parser import parse
from tests.analysis.checks.small_policies import Doc, Pair
from tests.analysis.lint.code_cases import CASES, TRUST, Case, one, policy, references, statement
from tests.tables import table

EXAMINER = Examiner(reference_index(references()))
IDENTITY = PolicyType.IDENTITY


def fixer_of(document: Any, type: PolicyType = IDENTITY, resource_type: str | None = None) -> Fixer:
    text = document if isinstance(document, str) else json.dumps(document, indent=2)
    return Fixer(EXAMINER, text, type, resource_type)


def fixes_of(fixer: Fixer, code: str = "") -> Iterator[tuple[Fault, Fix]]:
    """Yield the fixes of a policy, of one code or of all."""
    for fault in fixer.found.faults:
        if fault.code == code or not code:
            fix = fixer.fix(fault)
            if fix is not None:
                yield fault, fix


def assert_is_better(fixer: Fixer, fault: Fault, fix: Fix) -> str:
    fixed = apply_edits(fixer.text, fix.edits)
    before = Counter(finding.code for finding in fixer.found.faults)
    after = Counter(finding.code for finding in EXAMINER.examine(fixed, fixer.type, fixer.resource_type).faults)
    assert after[fault.code] < before[fault.code]
    if fixer.found.subject is not None:
        new = {code for code in after if after[code] > before[code]}
        assert all(SEVERITIES.index(level_of_code(code)) < SEVERITIES.index(level_of_code(fault.code)) for code in new)
    return fixed


# --- examples ----------------------------------------------------------------------------------------------------


@table("case", [case for case in CASES if case.code in PROPOSALS], ids=lambda case: case.code)
def test_fix_of_each_code_is_offered(case: Case) -> None:
    """For the example of each code with a mechanical fix, next to another statement."""
    type = PolicyType.TRUST if case.resource_type == TRUST else POLICY_TYPES[case.type]
    assert isinstance(case.found, dict)
    other = {**next(iter(case.near["Statement"])), "Effect": "Deny", "Sid": "Other"}
    other["Condition"] = {"StringEquals": {"aws:PrincipalAccount": "444455556666"}}
    document = {**case.found, "Statement": [*case.found["Statement"], other]}
    fixer = fixer_of(document, type, case.resource_type)
    offered = list(fixes_of(fixer, case.code))
    assert offered
    for fault, fix in offered:
        assert_is_better(fixer, fault, fix)
        assert fix.keeps_access or level_of_code(fault.code) != "SUGGESTION"


def test_validate_policy_suggests_the_fix() -> None:
    """On request: AWS's findings have no such member."""
    text = json.dumps(one(Action=["docs:GetDocument", "docs:GetD*", "docs:GetFoldr"]), indent=2)
    findings = validate_policy(text, "IDENTITY_POLICY", None, EXAMINER.references, with_fixes=True)
    suggested = {finding["issueCode"]: finding["suggestedFix"] for finding in findings}
    assert {code: fix["keepsAccess"] for code, fix in suggested.items()} == {
        "REDUNDANT_ACTION": True,
        "INVALID_ACTION": False,
    }
    [edit] = suggested["INVALID_ACTION"]["edits"]
    span = edit["span"]
    assert text[span["start"]["offset"] : span["end"]["offset"]] == '"docs:GetFoldr"'
    assert edit["text"] == '"docs:GetFolder"'
    assert suggested["INVALID_ACTION"]["description"] == 'replace `"docs:GetFoldr"` by `"docs:GetFolder"`'
    assert all("suggestedFix" not in finding for finding in validate_policy(text, "IDENTITY_POLICY"))


def test_rest_of_text_stays_as_written() -> None:
    """White space, the order of members and the notation of other strings."""
    text = """{"Statement" :
  [ {"Effect":"Allow",  "Action":["docs:Get*" , "docs:GetFolder",
     "docs:\\u004cist*"], "Resource":"*"} ],   "Version":"2012-10-17"}
"""
    fixer = fixer_of(text)
    [(_, fix)] = fixes_of(fixer, "REDUNDANT_ACTION")
    assert apply_edits(text, fix.edits) == text.replace('"docs:GetFolder",\n     ', "")


@table(
    ("path", "expected"),
    [
        (("a",), '{ "b": [1, 2 ,3], "c": {} }'),
        (("b",), '{"a": 0, "c": {} }'),
        (("c",), '{"a": 0, "b": [1, 2 ,3] }'),
        (("b", 0), '{"a": 0, "b": [2 ,3], "c": {} }'),
        (("b", 1), '{"a": 0, "b": [1, 3], "c": {} }'),
        (("b", 2), '{"a": 0, "b": [1, 2], "c": {} }'),
    ],
)
def test_removal_takes_one_comma(path: tuple[str | int, ...], expected: str) -> None:
    text = '{"a": 0, "b": [1, 2 ,3], "c": {} }'
    fixed = apply_edits(text, [remove(read_json(text), path)])
    assert json.loads(fixed) == json.loads(expected)
    assert fixed.replace(" ", "") == expected.replace(" ", "")


def test_only_member_can_be_removed() -> None:
    text = '{"a": [ 1 ] }'
    assert apply_edits(text, [remove(read_json(text), ("a", 0))]) == '{"a": [  ] }'


DOCUMENT_OF_USER = "arn:aws:docs:*:*:document/${aws:username}"


# --- fixes that are refused --------------------------------------------------------------------------------------


TWO = policy(statement(Action=["docs:GetDocument", "docs:GetD*"]), statement(Action="docs:ListDocuments", Resource="*"))


@table("wrong", ["widens", "narrows", "breaks", "changes nothing", "has another fault"])
def test_wrong_candidate_is_not_offered(wrong: str) -> None:
    """It would change access, is not JSON, keeps the fault, or adds one of the same level."""

    def propose(faulty: Any) -> Any:
        tree = faulty.tree
        match wrong:
            case "widens":
                yield [replace_value(tree, ("Statement", 0, "Action"), "docs:Get*")]
            case "narrows":
                yield [remove(tree, ("Statement", 0))]
            case "breaks":
                yield [remove(tree, faulty.path)._replace(text='"')]
            case "changes nothing":
                yield [replace_value(tree, ("Statement", 1, "Resource"), ["*"])]
            case _:
                yield [remove(tree, faulty.path), replace_value(tree, ("Statement", 1, "Resource"), ["*", "*"])]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fix_candidates, "PROPOSALS", {"REDUNDANT_ACTION": propose})
        assert list(fixes_of(fixer_of(TWO), "REDUNDANT_ACTION")) == []
    assert len(list(fixes_of(fixer_of(TWO), "REDUNDANT_ACTION"))) == 1


@table(
    ("old", "new", "expected"),
    [
        (one(), one(Sid="A"), True),
        (one(), one(Effect="Deny"), False),
        (policy(statement(), statement(Effect="Deny", Action="iam:*")), one(), False),
        (
            policy(statement(), statement(Effect="Deny", Resource="*")),
            policy(statement(Effect="Deny", Resource="*")),
            False,
        ),
        (one(Effect="Deny", Action="*"), one(Effect="Deny", Action=["*", "docs:*"]), True),
        (one(), "{", False),
        (one(), one(Resource="docs"), False),
    ],
)
def test_access_is_that_of_each_effect(old: Any, new: Any, expected: bool) -> None:
    """A Deny counts also where the policy allows nothing: another policy may."""
    fixed = new if isinstance(new, str) else json.dumps(new)
    for type in (IDENTITY, PolicyType.SCP, PolicyType.BOUNDARY, PolicyType.SESSION):
        assert has_same_access(json.dumps(old), fixed, type) is expected


@table(
    ("document", "type"),
    [
        (policy(statement(Resource=DOCUMENT_OF_USER), Version=None), IDENTITY),
        (policy(statement(Principal="*", Resource=DOCUMENT_OF_USER), Version=None), PolicyType.VPC_ENDPOINT),
        (policy(statement(Resource=DOCUMENT_OF_USER), Version="2008-10-17"), PolicyType.SCP),
    ],
)
def test_version_that_enables_variables_is_not_added_silently(document: Any, type: PolicyType) -> None:
    assert [fix for fault, fix in fixes_of(fixer_of(document, type)) if fix.keeps_access] == []


def test_refused_policy_has_no_access_to_keep() -> None:
    """A service control policy with a principal limits nothing until it is fixed."""
    [(_, fix)] = fixes_of(fixer_of(one(Principal={"AWS": "*"}, Effect="Deny"), PolicyType.SCP))
    assert not fix.keeps_access


def test_limits_are_judged_for_callers_of_all_kinds() -> None:
    """A service control policy applies to the root user, an identity-based policy does not."""
    root = statement(Effect="Deny", Condition={"StringEquals": {"aws:PrincipalType": "Account"}})
    with_root, without = (json.dumps(policy(statement(), *more)) for more in ([root], []))
    assert not has_same_access(with_root, without, PolicyType.SCP)
    assert has_same_access(with_root, without, IDENTITY)


def test_work_for_fixes_is_bounded() -> None:
    """A long policy has none, one with many faults has some."""
    many = one(Action=["docs:*", *[f"docs:Get{number}" for number in range(300)]])
    fixer = fixer_of(many)
    assert 0 < len(list(fixes_of(fixer, "REDUNDANT_ACTION"))) <= fixes.MAX_WORK // len(fixer.text)
    long = one(Action=["docs:*", "docs:Get"], Resource=DOCUMENT_LONG)
    assert list(fixes_of(fixer_of(long))) == []


DOCUMENT_LONG = "arn:aws:docs:*:*:document/" + "x" * fixes.MAX_CHARACTERS


# --- laws --------------------------------------------------------------------------------------------------------

KINDS = {"identity": PolicyType.IDENTITY, "resource": PolicyType.RESOURCE}


def with_redundancies(document: Doc, random: Random) -> Doc:
    """Return a policy with entries, conditions and statements that may be redundant."""
    statements = [dict(statement) for statement in document["Statement"]]
    for changed in statements:
        for element in ("Action", "NotAction", "Resource", "NotResource"):
            if element in changed and random.random() < 0.5:
                entries = changed[element] if isinstance(changed[element], list) else [changed[element]]
                changed[element] = [*entries, random.choice(["*", *entries])]
        if random.random() < 0.3:
            key, operator = (
                random.choice(["docs:Owner", "aws:username"]),
                random.choice(["StringLike", "StringNotLike"]),
            )
            changed["Condition"] = {f"{operator}{random.choice(['', 'IfExists'])}": {key: "*"}}
        if random.random() < 0.2:
            changed["Condition"] = random.choice(
                [{}, {"StringEquals": {}}, {"IpAddress": {"aws:SourceIp": "10.9.9.9/8"}}]
            )
        if random.random() < 0.2:
            values = random.choice([[], ["1", "5"]])
            changed["Condition"] = {random.choice(["NumericLessThan", "NumericGreaterThan"]): {"docs:Size": values}}
    if random.random() < 0.5:
        statements.append(dict(random.choice(statements)))
    return {**document, "Statement": statements}


def verdicts(document: Doc, type: PolicyType, requests: list[Any]) -> list[bool]:
    """Decide requests with the evaluator: by the policy, and by its Denies together with an Allow of everything."""
    everything: Doc = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    if type is PolicyType.RESOURCE:
        everything["Principal"] = "*"
    decided = []
    for statements in (document["Statement"], [*document["Statement"], everything]):
        allows = judge(CompiledDocument(parse({**document, "Statement": statements}, type)))
        decided += [allows(request) for request in requests]
    return decided


@table(("kind", "seeds"), [("identity", 40), ("resource", 20)])
def test_fixes_keep_access(kind: str, seeds: int) -> None:
    """Of random policies with redundancies: the evaluator decides alike before and after, for random requests."""
    fixed_codes: Counter[str] = Counter()
    type = KINDS[kind]
    for seed in range(seeds):
        random = Random(seed)
        pair = Pair(random, is_resource=kind == "resource")
        document = with_redundancies(pair.existing, random)
        try:
            parse(document, type)
        except PolicyError:
            continue
        fixer = fixer_of(document, type)
        for fault, fix in fixes_of(fixer):
            fixed = json.loads(assert_is_better(fixer, fault, fix))
            if fix.keeps_access:
                requests = list(pair.requests(40))
                assert verdicts(document, type, requests) == verdicts(fixed, type, requests), (seed, fault, fix)
                fixed_codes[fault.code] += 1
    assert fixed_codes.total() > seeds
    assert len(fixed_codes) >= 6
