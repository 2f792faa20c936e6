"""Any input returns a result or raises an error of `iam_guard`: documents, requests, cases, YAML, the builder.

Each law draws nearly valid input, because plainly invalid input is refused early. The examples are the same on each
run; `IAM_GUARD_TEST_FUZZ=20` runs twenty times as many, and different ones each time.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from iam_guard.cli import main
from iam_guard.errors import IamGuardError
from iam_guard.evaluation.authorizer import Authorizer, compile_policies
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.builder import allow, allow_all_but, deny, deny_all_but, literal, policy
from iam_guard.policy.document import Document
from iam_guard.policy.grammar import OPERATORS, SET_PREFIXES
from iam_guard.policy.parser import parse
from iam_guard.policy.saving import validate_for_write
from iam_guard.testing.case_answer import answer
from iam_guard.testing.case_files import entries_of_file
from iam_guard.testing.case_json import CaseDecoder, Unreadable
from tests.laws.odd import ODD_VALUES, TEXTS, nearly
from tests.policy.findings import check
from tests.policy.strategies import documents, json_values
from tests.tables import table

TIMES = int(os.environ.get("IAM_GUARD_TEST_FUZZ", "1"))


def fuzz(examples: int) -> settings:
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


# --- strategies --------------------------------------------------------------------------------------------------

ACCOUNT = "111122223333"


def failing() -> str:
    raise LookupError("an error of the application")


LAZY: list[Any] = [failing, lambda: 10**4000, lambda: float("nan"), lambda: object(), lambda: None, lambda: ["a", 1]]


NEAR_DOCUMENTS = {type: nearly(documents(type), ODD_VALUES) for type in PolicyType}

USER, SESSION = f"arn:aws:iam::{ACCOUNT}:user/a/ada", f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/s"
FEDERATED = f"arn:aws:sts::{ACCOUNT}:federated-user/f"
ARNS = st.sampled_from([USER, SESSION, FEDERATED, f"arn:aws:iam::{ACCOUNT}:root", "s3.amazonaws.com"])
CALLERS = st.sampled_from(
    [
        {"type": "User", "arn": USER, "account": ACCOUNT, "userid": "AIDAEXAMPLE", "has_boundary": False},
        {"type": "AssumedRole", "arn": SESSION, "account": ACCOUNT, "role_arn": f"arn:aws:iam::{ACCOUNT}:role/ops"},
        {"type": "FederatedUser", "arn": FEDERATED, "account": ACCOUNT, "user_arn": USER},
        {"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root", "account": ACCOUNT},
        {"type": "Service", "arn": "events.amazonaws.com", "account": None},
        {"type": "Anonymous", "arn": "anonymous", "account": None},
    ]
)
TAGS = st.dictionaries(TEXTS | st.sampled_from(["aws:PrincipalTag/Team", "Team"]), TEXTS, max_size=2)
KEYS = st.sampled_from(["aws:SourceIp", "aws:PrincipalTag/Team", "docs:Owner", "accounts.google.com:aud", "s3:prefix"])
ACTIONS = st.sampled_from(["docs:Get", "s3:List*", "iam:PassRole", "execute-api:Get", "sts:AssumeRole"]) | TEXTS
RESOURCES = st.just("*") | st.builds("arn:aws:{}:eu:111122223333:{}".format, st.sampled_from(["s3", "iam"]), TEXTS)
REQUESTS = nearly(
    st.fixed_dictionaries(
        {
            "principal": st.builds(
                lambda who, tags, session: {**who, "tags": tags, "session": session}, CALLERS, TAGS, TAGS
            ),
            "action": ACTIONS | ACTIONS.filter(lambda action: ":" in action),
            "resource": RESOURCES,
            "context": st.dictionaries(KEYS, st.sampled_from(LAZY) | TEXTS | st.lists(TEXTS, max_size=3)),
            "resource_account": st.sampled_from([None, ACCOUNT, "444455556666"]),
        }
    ),
    ODD_VALUES,
)


def request_of(drawn: Any) -> AccessRequest:
    """Create a request from a drawn value, also with members of the wrong type."""
    members = drawn if isinstance(drawn, dict) else {}
    caller = members.get("principal")
    parameters = {field.name for field in fields(Principal) if field.init}
    is_caller = isinstance(caller, dict) and {"type", "arn", "account"} <= caller.keys() <= parameters
    principal = Principal(**caller) if is_caller else caller
    rest = {name: members[name] for name in ("context", "resource_account") if name in members}
    return AccessRequest(principal, members.get("action"), members.get("resource"), **rest)


def own_errors_only(make: Callable[[], Any]) -> Any:
    """Return the result of `make`; None if it raises an `IamGuardError`, which must have a message."""
    try:
        return make()
    except IamGuardError as error:
        return check_error(error)


def check_error(error: IamGuardError) -> None:
    assert str(error)


# --- documents ---------------------------------------------------------------------------------------------------


def check_reading(source: Any, type: PolicyType) -> None:
    """Parse, validate and check a source."""
    document = own_errors_only(lambda: parse(source, type))
    assert document is None or isinstance(document, Document)
    if document is not None:
        assert parse(document.text, type).digest == document.digest
        assert all(finding.message for finding in check(document))
    own_errors_only(lambda: validate_for_write(source, type))


@st.composite
def near_json(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> str:
    """Draw JSON text, possibly with a part replaced."""
    text = json.dumps(draw(values), ensure_ascii=draw(st.booleans()))
    if not draw(st.booleans()):
        return text
    cut, again = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    return text[:cut] + draw(TEXTS | st.sampled_from([*'{}[]",:\\', "1e400", "\\ud800", "NaN"])) + text[again:]


@pytest.mark.parametrize("type", PolicyType)
@fuzz(12)
@given(data=st.data())
def test_any_text_is_parsed_or_refused(type: PolicyType, data: st.DataObject) -> None:
    """G-10, N-9: as text and as bytes."""
    text = data.draw(TEXTS | near_json(documents(type)) | near_json(json_values()))
    check_reading(text, type)
    check_reading(text.encode("utf-8", "surrogatepass"), type)


@pytest.mark.parametrize("type", PolicyType)
@fuzz(12)
@given(data=st.data())
def test_any_value_is_parsed_or_refused(type: PolicyType, data: st.DataObject) -> None:
    """G-16, N-9: JSON values, nearly valid policies, and values that are not JSON."""
    check_reading(data.draw(json_values() | NEAR_DOCUMENTS[type] | ODD_VALUES), type)


# --- decisions ---------------------------------------------------------------------------------------------------

EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
ARGUMENTS: dict[PolicyType, Callable[[Any], dict[str, Any]]] = {
    PolicyType.IDENTITY: lambda source: {"identity": [source]},
    PolicyType.RESOURCE: lambda source: {"resource": source, "identity": [EVERYTHING]},
    PolicyType.BOUNDARY: lambda source: {"permissions_boundary": source, "identity": [EVERYTHING]},
    PolicyType.SESSION: lambda source: {"session": [source], "identity": [EVERYTHING]},
    PolicyType.SCP: lambda source: {"scps": [[source]], "identity": [EVERYTHING]},
    PolicyType.RCP: lambda source: {"rcps": [[source]], "identity": [EVERYTHING]},
    PolicyType.VPC_ENDPOINT: lambda source: {"vpc_endpoint": source, "identity": [EVERYTHING]},
}


def check_deciding(authorizer: Authorizer, request: AccessRequest) -> None:
    decision = authorizer.decide(request)
    assert decision.outcome in Outcome
    assert decision.message()
    explanation = decision.explain()
    assert explanation.text()
    json.dumps(explanation.to_dict(), allow_nan=False)


@pytest.mark.parametrize("type", ARGUMENTS)
@fuzz(50)
@given(data=st.data())
def test_any_request_is_decided_and_explained(type: PolicyType, data: st.DataObject) -> None:
    """C-45, E-6: a decision with a message and an explanation, for any policy and request."""
    document = data.draw(documents(type) | NEAR_DOCUMENTS[type])
    authorizer = own_errors_only(lambda: compile_policies(**ARGUMENTS[type](document)))
    for _ in range(3):
        drawn = data.draw(REQUESTS)
        request = own_errors_only(lambda: request_of(drawn))  # noqa: B023
        if authorizer is not None and request is not None:
            check_deciding(authorizer, request)


@table("lazy", [failing, lambda: 10**4000, lambda: float("nan"), object])
@table("effect", ["Allow", "Deny"])
def test_value_that_raises_denies(lazy: Any, effect: str) -> None:
    """C-45: an Allow does not apply, a Deny does; the error of the application is not shown."""
    statement = {"Effect": effect, "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"docs:Kind": "a"}}}
    authorizer = compile_policies(identity=[{"Statement": statement}, *([EVERYTHING] if effect == "Deny" else [])])
    ada = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada")
    decision = authorizer.decide(AccessRequest(ada, "docs:Get", "*", {"docs:Kind": lazy}))
    assert decision.outcome is (Outcome.EXPLICITLY_DENIED if effect == "Deny" else Outcome.IMPLICITLY_DENIED)
    assert "could not be evaluated" in decision.explain().text()


@fuzz(75)
@given(st.sampled_from(sorted(ARGUMENTS)), ODD_VALUES, st.booleans())
def test_any_argument_is_compiled_or_refused(type: PolicyType, value: Any, is_bare: bool) -> None:
    """N-9: also in place of a list of documents or levels."""
    arguments = ARGUMENTS[type](value)
    if is_bare:
        arguments = dict.fromkeys(arguments, value)
    own_errors_only(lambda: compile_policies(**arguments))


# --- cases -------------------------------------------------------------------------------------------------------

PLAIN: dict[str, Any] = {
    "id": "c1",
    "rule": "E-1",
    "expected": "Allowed",
    "request": {
        "principal": {"arn": f"arn:aws:iam::{ACCOUNT}:user/ada", "account": ACCOUNT, "type": "User", "boundary": False},
        "action": "docs:Get",
        "resource": f"arn:aws:docs:us-east-1:{ACCOUNT}:document/7",
        "context": {"docs:Kind": ["report"], "aws:SourceIp": "10.0.0.1"},
    },
    "policies": {"identity": [EVERYTHING], "resource": None, "scps": [[EVERYTHING]], "session": None},
}
JSON_ODD = json_values() | st.sampled_from(["\ud800", 1e400, 10**400, "", [], {}, "x" * 3000]) | TEXTS
CASES = nearly(st.just(PLAIN), JSON_ODD)


@fuzz(60)
@given(st.lists(near_json(CASES) | TEXTS | st.just("{" * 9000) | st.just(" \t\r"), max_size=6))
def test_each_line_has_an_answer(lines: list[str]) -> None:
    """N-9: one for each non-empty line, in order, and the same from the command; each is JSON in one line."""
    octets = "\n".join(lines).encode("utf-8", "surrogatepass")
    lines = [line for line in octets.decode("utf-8", "surrogateescape").split("\n") if line and not line.isspace()]
    run = CliRunner().invoke(main, ["decide"], input=octets)
    answers = run.stdout.splitlines()
    decoder = CaseDecoder()
    entries = [decoder.decode(line, "x") for line in lines]
    unreadable = [entry for entry in entries if isinstance(entry, Unreadable) or not isinstance(entry.content, dict)]
    assert (run.exit_code, len(run.stderr.splitlines())) == (2 if unreadable else 0, len(unreadable))
    assert answers == [json.dumps(answer(entry), allow_nan=False) for entry in entries]
    for line in answers:
        result = json.loads(line)
        assert result.keys() in ({"id", "outcome"}, {"id", "error"})
        assert "error" not in result or result["error"].isprintable()


@st.composite
def near_yaml(draw: st.DrawFn) -> str:
    """Draw YAML text of cases, possibly with a part replaced."""
    cases = draw(
        st.lists(nearly(st.just(PLAIN), JSON_ODD | st.sampled_from([{1: 2}, {None: []}, {1.5: "a"}])), max_size=2)
    )
    dump = yaml.safe_dump(cases, allow_unicode=True, default_flow_style=draw(st.booleans()))
    cut, again = sorted(draw(st.tuples(st.integers(0, len(dump)), st.integers(0, len(dump)))))
    if draw(st.booleans()):
        cut = again
    words = [
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "!!timestamp ",
        "!!set ",
        "? ",
        "- ",
        ": ",
        "\t",
        "---\n",
        "%YAML 9\n",
        "|\n",
        "{",
        "[",
    ]
    return dump[:cut] + draw(TEXTS | st.sampled_from([*words, "&a [*a]"])) + dump[again:]


@fuzz(75)
@given(TEXTS | near_yaml() | st.text("-: \n[]{}&*a!?|>'\"%@`#,<0.~t", max_size=30))
def test_any_yaml_is_cases_or_refused(text: str) -> None:
    """G-10: each entry has an answer, and the run of the file a result."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cases.yaml")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        for entry in own_errors_only(lambda: list(entries_of_file(path))) or ():
            assert answer(entry).keys() in ({"id", "outcome"}, {"id", "error"})
        for more in ([], ["--json"]):
            run = CliRunner().invoke(main, ["test", *more, str(path)])
            assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
            assert run.exit_code in (0, 1, 2)


# --- the builder -------------------------------------------------------------------------------------------------

ITEMS = st.lists(ACTIONS | RESOURCES | ARNS | ODD_VALUES, max_size=2)
TESTS = st.dictionaries(
    KEYS | TEXTS | st.sampled_from([1, None]), ODD_VALUES | st.lists(ODD_VALUES, max_size=2), max_size=2
)
STEPS: dict[str, st.SearchStrategy[tuple[list[Any], dict[str, Any]]]] = {
    "on": st.tuples(ITEMS, st.just({})),
    "on_all_but": st.tuples(ITEMS, st.just({})),
    "to": st.tuples(
        ITEMS, st.dictionaries(st.sampled_from(["service", "federated", "canonical_user"]), ODD_VALUES | TEXTS)
    ),
    "to_all_but": st.tuples(ITEMS, st.just({})),
    "sid": st.tuples(st.lists(TEXTS | ODD_VALUES, min_size=1, max_size=1), st.just({})),
    "when": st.tuples(
        st.tuples(st.sampled_from(sorted(OPERATORS)) | TEXTS, TESTS).map(list),
        st.fixed_dictionaries(
            {}, optional={"if_exists": st.booleans(), "set_operator": st.sampled_from(SET_PREFIXES) | TEXTS}
        ),
    ),
}


@fuzz(100)
@given(data=st.data())
def test_builder_creates_valid_documents_or_refuses(data: st.DataObject) -> None:
    """G-13: parsing a built document returns an equal one."""
    start = data.draw(st.sampled_from([allow, deny, allow_all_but, deny_all_but]))
    statement = own_errors_only(lambda: start(*data.draw(ITEMS | st.just(["docs:Get"]))))
    for name in data.draw(st.lists(st.sampled_from(sorted(STEPS)), max_size=4)):
        arguments, named = data.draw(STEPS[name])
        extended = statement and own_errors_only(lambda: getattr(statement, name)(*arguments, **named))  # noqa: B023
        statement = extended or statement
    if statement is None:
        return
    type = data.draw(st.sampled_from(PolicyType))
    built = own_errors_only(lambda: policy(statement, type=type, id=data.draw(st.none() | TEXTS)))
    if built is not None:
        assert parse(built.to_json(), type).digest == built.document.digest


@fuzz(25)
@given(TEXTS)
def test_any_text_can_be_a_literal(text: str) -> None:
    """V-14."""
    with contextlib.suppress(IamGuardError):
        allow("docs:Get").on("document/" + literal(text)).when("StringLike", {"docs:Name": literal(text)})
