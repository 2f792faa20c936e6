"""Policy coverage grows with every decision, and reports only targets that no decision reached."""

from __future__ import annotations

import json
import random
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard import AccessRequest, Authorizer, Principal, compile_policies
from iam_guard.errors import IamGuardError, InvalidInput
from iam_guard.guard.guard import Guard
from iam_guard.policy.parser import parse
from iam_guard.testing.cases import read_case
from iam_guard.testing.coverage.coverage_html import coverage_html
from iam_guard.testing.coverage.coverage_report import coverage_json, coverage_text
from iam_guard.testing.coverage.policy_coverage import STATEMENT, PolicyCoverage, Target, percent, targets_of
from iam_guard.testing.coverage.policy_measurement import PolicyMeasurement, shortfall, watching_evaluations
from iam_guard.testing.coverage.policy_sources import find_policies, policy_text
from tests.oracle.context import read_request
from tests.oracle.generate import generate_case
from tests.oracle.language import Kind, read_document
from tests.oracle.statements import statement_matches
from tests.tables import table

ANN = Principal.from_arn("arn:aws:iam::111122223333:user/ann")
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"
POLICY = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Read", "Effect": "Allow", "Action": "docs:Get*", "Resource": "*",
     "Condition": {"StringEquals": {"docs:Kind": "report"}}},
    {"Sid": "NoSecrets", "Effect": "Deny", "Action": "*",
     "Resource": "arn:aws:docs:*:*:document/secret"}
  ]
}"""


def covered(*questions: tuple[str, str, dict[str, str]]) -> PolicyCoverage:
    coverage, authorizer = PolicyCoverage(), compile_policies(identity=[POLICY])
    with watching_evaluations(coverage.add):
        for action, resource, context in questions:
            authorizer.decide(AccessRequest(ANN, action, resource, context))
    return coverage


REPORT = ("docs:GetDocument", DOCUMENT, {"docs:Kind": "report"})
MEMO = ("docs:GetDocument", DOCUMENT, {"docs:Kind": "memo"})
SECRET = ("mail:Send", "arn:aws:docs:us-east-1:111122223333:document/secret", {})


def gaps(coverage: PolicyCoverage) -> list[str]:
    [file] = coverage.of_files([policy_text(POLICY, "reader.json")])
    return [f"{gap.place[0]}:{gap.place[1]} {gap}" for gap in file.gaps if not gap.is_implied]


# --- what is missing ---------------------------------------------------------------------------------------------


def test_gap_has_its_place_in_the_text() -> None:
    """Line and column of the statement, of the element's name, of the condition's key."""
    assert gaps(covered(REPORT)) == [
        "4:5 Allow Statement[0] `Read` was never false",
        "4:40 Action of Allow Statement[0] `Read` was never false",
        "5:37 StringEquals docs:Kind of Allow Statement[0] `Read` was never false",
        "6:5 Deny Statement[1] `NoSecrets` was never true",
        "7:6 Resource of Deny Statement[1] `NoSecrets` was never true",
    ]


def test_always_true_element_is_no_target() -> None:
    """`*` is never false."""
    everything = '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": ["*", "arn:aws:s3:::b"]}}'
    [statement] = parse(everything).statements
    assert {target.element for target in targets_of(statement) if not target.truth} == set()
    assert {target.element for target in targets_of(statement)} == {STATEMENT, "Action", "Resource"}


def test_everything_can_be_covered() -> None:
    full = covered(REPORT, MEMO, SECRET)
    assert gaps(full) == []
    assert percent(full.of_all_seen()) == 100
    assert percent([]) is None


def test_unused_policy_is_not_covered() -> None:
    """Every target is a gap; only the statement is shown."""
    [file] = PolicyCoverage().of_files([policy_text(POLICY, "reader.json")])
    assert (file.statements, file.missed, file.covered) == (2, 2, 0)
    assert [str(gap) for gap in file.gaps if not gap.is_implied] == [
        "Allow Statement[0] `Read` was never true",
        "Deny Statement[1] `NoSecrets` was never true",
    ]


def test_policy_is_identified_by_content() -> None:
    """The same document as mapping, as text, and in another layout is one policy."""
    coverage = PolicyCoverage()
    with watching_evaluations(coverage.add):
        for source in (POLICY, json.loads(POLICY), json.dumps(json.loads(POLICY))):
            compile_policies(identity=[source]).decide(AccessRequest(ANN, *REPORT))
    assert len(coverage.seen) == 1


def test_policy_without_text_is_shown_as_json() -> None:
    """A mapping has no lines."""
    coverage = PolicyCoverage()
    with watching_evaluations(coverage.add):
        compile_policies(identity=[json.loads(POLICY)]).decide(AccessRequest(ANN, *REPORT))
    [file] = coverage.of_all_seen()
    assert {gap.place[0] for gap in file.gaps} > {4}
    assert file.file.text.count("\n") > 10


def test_unnormalized_mapping_is_covered_like_text() -> None:
    """Lists of one, `*` as a principal: results count although the text is written anew."""
    statement = {"Effect": "Allow", "Action": ["docs:Get*"], "Resource": ["*"]}
    shared = {**statement, "Principal": {"AWS": "*"}, "Condition": {"StringEquals": {"docs:Kind": ["report"]}}}
    coverage = PolicyCoverage()
    with watching_evaluations(coverage.add):
        policies = compile_policies(identity=[{"Statement": [statement]}], resource={"Statement": shared})
        for request in (REPORT, (REPORT[0], SECRET[1], {}), ("docs:Put", *REPORT[1:])):
            policies.decide(AccessRequest(ANN, *request))
    assert [percent([each]) for each in coverage.of_all_seen()] == [100, 100]


# --- laws --------------------------------------------------------------------------------------------------------


QUESTIONS = st.lists(
    st.tuples(
        st.sampled_from(["docs:GetDocument", "docs:Put", "mail:Send"]),
        st.sampled_from([DOCUMENT, SECRET[1], "*"]),
        st.dictionaries(st.sampled_from(["docs:Kind", "docs:Other"]), st.sampled_from(["report", "memo"])),
    ),
    max_size=6,
)


@given(QUESTIONS, QUESTIONS)
def test_more_tests_never_cover_less(first: Any, more: Any) -> None:
    """In one run, in any order, and merged from several processes."""
    files = [policy_text(POLICY, "reader.json")]
    less, both, other = covered(*first), covered(*first, *more), covered(*more)
    assert {gap.target for gap in both.of_files(files)[0].gaps} <= {gap.target for gap in less.of_files(files)[0].gaps}
    assert percent(both.of_files(files)) >= percent(less.of_files(files))
    less.merge(json.loads(json.dumps(other.to_plain())))
    assert less.to_plain() == both.to_plain() == covered(*more, *first).to_plain()


@table("shard", range(2))
def test_never_true_agrees_with_oracle(shard: int) -> None:
    """The independent evaluator agrees for each statement of each suite: matched once, or never."""
    rng = random.Random(f"covered {shard}")
    judged = {True: 0, False: 0}
    for _ in range(110):
        requests = [generate_case(rng)["request"] for _ in range(8)]
        document = rng.choice(generate_case(rng)["policies"]["identity"] or [json.loads(POLICY)])
        requests = list(filter(is_asked, requests))
        with suppress(IamGuardError):
            coverage = suite(document, requests)
            statements = read_document(document, Kind.IDENTITY)
            [seen] = coverage.seen.values() or [None]
            for index, statement in enumerate(statements if seen else ()):
                is_true = any(statement_matches(statement, read_request(request)) for request in requests)
                assert (Target(index, STATEMENT, True) in seen.made) is is_true, (document, requests)
                judged[is_true] += 1
    assert min(judged.values()) > 20


def suite(document: Any, requests: list[Any]) -> PolicyCoverage:
    coverage, authorizer = PolicyCoverage(), compile_policies(identity=[document])
    with watching_evaluations(coverage.add):
        for request in requests:
            authorizer.decide(read_case({"id": "", "request": request}).request)
    return coverage


def is_asked(request: Any) -> bool:
    """Return whether the caller has policies of its own, and the action needs permission (E-66)."""
    needs_none = request["action"].lower() in ("sts:getcalleridentity", "sts:getsessiontoken")
    return request["principal"]["type"] in ("User", "AssumedRole") and not needs_none


# --- who is watched ----------------------------------------------------------------------------------------------


def test_nothing_is_watched_by_default() -> None:
    """The method that decides is the product's own, before and after."""
    before = Authorizer.decide
    with PolicyMeasurement():
        assert Authorizer.decide is not before
        with PolicyMeasurement():
            pass
    assert Authorizer.decide is before


def test_decisions_of_guards_and_threads_count(guard: Guard) -> None:
    rita = Principal.from_arn("arn:aws:iam::111122223333:user/rita")
    coverage = PolicyCoverage()
    with watching_evaluations(coverage.add):
        threads = [
            threading.Thread(target=guard.decide, args=(rita, f"docs:{name}", DOCUMENT)) for name in ("Get", "Put")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    [file] = coverage.of_all_seen()
    assert (file.file.name, file.gaps) == ("user/rita/Read", ())


# --- reports -----------------------------------------------------------------------------------------------------


def test_table_resembles_code_coverage() -> None:
    """Name, statements, missed, cover, missing lines; below, each gap with its place."""
    report = coverage_text(covered(REPORT).of_files([policy_text(POLICY, "reader.json")]))
    assert report.splitlines()[:5] == [
        "Name         Statements  Missed  Targets  Covered  Cover  Missing",
        "-----------------------------------------------------------------",
        "reader.json           2       1       12        7    58%  4, 5, 6, 7",
        "-----------------------------------------------------------------",
        "TOTAL                 2       1       12        7    58%",
    ]
    assert "reader.json:5:37: StringEquals docs:Kind of Allow Statement[0] `Read` was never false" in report


def test_report_without_decisions() -> None:
    assert coverage_text([]).splitlines()[-1].split() == ["TOTAL", "0", "0", "0", "0", "n/a"]


def test_json_has_every_gap() -> None:
    """Implied ones included."""
    [file] = coverage_json(covered(REPORT).of_files([policy_text(POLICY, "reader.json")]))["files"]
    assert (file["percent"], len(file["gaps"])) == (58.33, file["targets"] - file["covered"])
    assert file["gaps"][0] == {
        "line": 4,
        "column": 5,
        "statement": 0,
        "element": "Statement",
        "never": False,
        "what": "Allow Statement[0] `Read`",
    }


def test_html_shows_text_and_gaps() -> None:
    """No script, nothing external, words besides colours; text of policies is escaped."""
    hostile = POLICY.replace("NoSecrets", "<script>alert(1)</script>")
    page = coverage_html(covered(REPORT).of_files([policy_text(hostile, "<b>.json")]))
    assert "✗ Allow Statement[0] `Read` was never true" in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "http" not in page
    assert '<th scope="row">4</th>' in page
    assert page.count("<table") == page.count("<thead><tr><th scope=")  # so that screen readers name the cell


def test_any_shortfall_fails() -> None:
    """99.99 is not 100; and without results any threshold is missed."""
    assert shortfall(99.99, 100) == "99.99% is below the minimum of 100%"
    assert shortfall(None, 50) == "nothing was measured, expected at least 50%"
    assert shortfall(None, None) is None
    assert (shortfall(90, 90), shortfall(0, None)) == (None, None)


# --- sources -----------------------------------------------------------------------------------------------------

SEED = """
version: 1
accounts:
  - id: "111122223333"
    users:
      - name: ann
        inline:
          Own:
            Version: 2012-10-17
            Statement:
              - Effect: Allow
                Action: docs:Get*
                Resource: "*"
                Condition: {Bool: {aws:SecureTransport: true}}
          Text: |
            {
              "Statement": {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}
            }
          File: {file: more/reader.json}
"""


def test_policies_of_seed_are_found_with_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In YAML, as text in it, and in files that it names; the digest is that of the store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "reader.json").write_text(POLICY)
    (tmp_path / "iam.yaml").write_text(SEED)
    reader, seed = sorted(find_policies(Path("iam.yaml")), key=lambda file: file.name, reverse=True)
    assert (seed.name, reader.name) == ("iam.yaml", "more/reader.json")
    own, text = seed.policies
    assert own.locate(("Statement", 0)) == (11, 17)
    assert own.locate(("Statement", 0, "Condition", "Bool", "aws:SecureTransport")) == (14, 36)
    assert text.locate(("Statement", 0, "Action")) == (17, 48)
    assert (
        own.document.digest
        == parse(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "docs:Get*",
                        "Resource": "*",
                        "Condition": {"Bool": {"aws:SecureTransport": True}},
                    }
                ],
            }
        ).digest
    )


def test_html_shows_policies_and_no_secret_of_seed(tmp_path: Path) -> None:
    """A seed has access keys too."""
    (tmp_path / "reader.json").write_text(POLICY)
    keys = "access_keys: [{id: AKIATESTADA000000001, secret: verysecretverysecretverysecretverysecret}]"
    text = SEED.replace("more/reader.json", "reader.json").replace(
        "      - name: ann", f"      - name: ann\n        {keys}"
    )
    (tmp_path / "iam.yaml").write_text(text + f"      - name: eve\n        {keys}\n")
    coverage = PolicyCoverage()
    page = coverage_html(coverage.of_files(find_policies(tmp_path)))
    assert "verysecret" not in page
    assert "aws:SecureTransport" in page
    assert (
        "&quot;Statement&quot;: {&quot;Effect&quot;: &quot;Allow&quot;, &quot;Action&quot;: &quot;docs:*&quot;" in page
    )


def test_single_statement_has_places(tmp_path: Path) -> None:
    """G-14: a statement that is no list."""
    (tmp_path / "a.yaml").write_text("a:\n  Statement: {Effect: Allow, Action: x:y, Resource: '*'}\n")
    [file] = find_policies(tmp_path / "a.yaml")
    locate = file.policies[0].locate
    assert (locate(("Statement", 0)), locate(("Statement", 0, "Action"))) == ((2, 3), (2, 30))


def test_folder_excludes_policy_tests(tmp_path: Path) -> None:
    """Other JSON, policy tests and hidden folders are skipped."""
    (tmp_path / "a.json").write_text(POLICY)
    (tmp_path / "trust.json").write_text(
        '{"Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}}'
    )
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "settings.json").write_text("{ // with a comment\n}")
    (tmp_path / "template.yaml").write_text("{{ if .Values }}\n---\na: [\n")
    (tmp_path / "a.policy-test.yaml").write_text("- {policies: {identity: [{Statement: []}]}}")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "b.json").write_text(POLICY)
    around = tmp_path / ".hidden" / ".."  # as pytest joins `--iam-guard-cov=../policies`
    assert [file.name for file in find_policies(around)] == [str(tmp_path / name) for name in ("a.json", "trust.json")]


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.json", '{"Statement": [\n {"Effect": "allow"}]}', ":2:13"),
        ("a.json", '{"Statement": [,', ":1:16"),
        ("a.yaml", "policy:\n  Statement:\n    - {Effect: allow, Action: '*', Resource: '*'}\n", ":3:8"),
        ("a.yaml", "Statement: [\n", ":2:1"),
        ("a.yaml", "a: &x {Statement: [*x]}\n", ":1:4"),
        ("a.yaml", f"a: &x [{'y' * 1000}]\nb: &y [{'*x,' * 999}]\nStatement: [{'*y,' * 999}]\n", ":1:1"),
        ("a.json", "{}", ""),
    ],
)
def test_unreadable_policy_is_reported_with_place(tmp_path: Path, name: str, text: str, place: str) -> None:
    """File, line, column; and a named file must have a policy."""
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput) as refused:
        find_policies(tmp_path / name)
    assert str(refused.value.place).startswith(f"{tmp_path / name}{place}")


def test_missing_path_is_an_error(tmp_path: Path) -> None:
    """A mistyped path must not measure nothing."""
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InvalidInput):
            PolicyMeasurement([path])


@pytest.mark.parametrize(
    "policy",
    [
        '{Version: "2012-10-17", Statement: [{Effect: Allow, Action: "docs:*", Resource: "*"}]}',
        """'{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}]}'""",
        json.dumps(
            '{"Version": "2012-10-17",\n"Statement": [{"Effect": "Allow",\n"Action": "docs:*", "Resource": "*"}]}'
        ),
        '{Version: "2012-10-17", Statement: [{Effect: Allow, Action: "docs:*", Resource: "*",\n        '
        r'Condition: {StringEquals: {"docs:Text": "a\n\n\nb"}}}]}',
    ],
    ids=["flow", "JSON", "JSON with written line breaks", "a value with written line breaks"],
)
def test_html_shows_no_secret_on_line_of_policy(tmp_path: Path, policy: str) -> None:
    key = "access_keys: [{id: AKIATESTADA000000001, secret: verysecretverysecretverysecretverysecret}]"
    user = f"- {{name: ann, {key}, inline: {{Own: {policy}}}, {key}}}\n"
    (tmp_path / "iam.yaml").write_text(f"users:\n{user}{user.replace('ann', 'eve')}    # verysecret\n")
    page = coverage_html(PolicyCoverage().of_files(find_policies(tmp_path)))
    assert "verysecret" not in page
    assert "docs:*" in page
