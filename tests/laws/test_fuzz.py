"""Whatever is handed in, we answer with a decision or with an error of our own; and soon, however it was contrived.

The first half throws odd texts, mutated real documents, mutated cases and odd requests at the doors of the evaluator.
The second half measures CPU time of contrived documents at the size limit: a decision stays short, and twice the size
takes about twice the time, never four times.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from moto.iam.aws_managed_policies import aws_managed_policies_data

from iam_guard.cli import main
from iam_guard.errors import IamGuardError
from iam_guard.evaluation.authorizer import Authorizer, compile_policies
from iam_guard.evaluation.compile import CompiledDocument
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.check import check, check_source
from iam_guard.policy.grammar import OPERATORS, WITH_PRINCIPAL
from iam_guard.policy.parse import parse
from iam_guard.policy.quota import RAW_LIMIT
from iam_guard.policy.render import render
from iam_guard.policy.write import validate_for_write
from iam_guard.testing.cases import decide_case, read_case
from tests.oracle.generate import generate_case
from tests.policy.strategies import json_values

ACCOUNT = "111122223333"
ME = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada")
TYPES = st.sampled_from(PolicyType)
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

NASTY = (
    *("", "\0", "\r\n", "\ud800", "\udfff\ud800", "\u2028", "\u202e", "İ", "ß", "ſ", "\U0010ffff", "e\u0301", "\x7f"),
    *("*", "?", "*" * 50, "${", "${}", "${*}", "${aws:username}", "${a, '${b}'}", "${docs:k, ''}", "$" * 9, "'", '"'),
    *(":", "::::::", "arn:", "arn:aws:iam::0:root", "arn:aws:s3:::", "arn:*:*:*:*:*", "aws:SourceIp", "1e999", "NaN"),
    *("0x10", "٣", "1" * 400, "9999-12-31T23:59:59Z", "0000-00-00", "::1%eth0", "1.2.3.4/33", "=", "true", "TRUE"),
    *("Statement", "Effect", "ForAnyValue:", "NullIfExists", "2012-10-17", "a" * 20_000, "é" * 5_000, "[" * 3000),
)
ODD_TEXT = st.text(max_size=12) | st.text(st.characters(), max_size=12) | st.sampled_from(NASTY)
JSON_TEXT = st.lists(
    st.sampled_from(
        [*'{}[],:" \n\\', '"Statement":', '"Effect":"Allow"', '"Action":"*"', '"Resource":"*"', '"Condition":', "null"]
    )
    | ODD_TEXT,
    max_size=30,
).map("".join)


# --- documents ---------------------------------------------------------------------------------------------------

SHORT = [
    json.dumps(each["Document"])
    for each in json.loads(aws_managed_policies_data).values()
    if len(json.dumps(each["Document"])) < 1500
]


@st.composite
def mutated_texts(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """Draw a text with some pieces cut out, doubled or replaced."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 12)))
        text = text[:begin] + draw(st.just(text[begin:end] * 2) | ODD_TEXT | st.just("")) + text[end:]
    return text


def places(value: Any) -> list[tuple[Any, Any]]:
    """List every (container, key) of a JSON value."""
    here = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    return [(value, key) for key, _ in here] + [place for _, each in here for place in places(each)]


@st.composite
def mutated_values(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> Any:
    """Draw a JSON value of which some members are replaced, removed, or have another name."""
    value = json.loads(draw(texts))
    for _ in range(draw(st.integers(1, 3))):
        candidates = places(value)
        if not candidates:
            break
        container, key = draw(st.sampled_from(candidates))
        how = draw(st.sampled_from(["replace", "remove", "rename", "wrap"]))
        if how == "replace":
            container[key] = draw(ODD_TEXT | json_values())
        elif how == "wrap":
            container[key] = [container[key]]
        elif how == "rename" and isinstance(container, dict):
            container[draw(ODD_TEXT)] = container.pop(key)
        else:
            del container[key]
    return value


DOCUMENTS = (
    JSON_TEXT
    | st.binary(max_size=60)
    | mutated_texts(st.sampled_from(SHORT))
    | mutated_texts(st.sampled_from(SHORT)).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | mutated_values(st.sampled_from(SHORT))
    | json_values()
)


@settings(QUIET)
@given(DOCUMENTS, TYPES)
@example("[" * 100_000, PolicyType.IDENTITY)
@example('{"a":' * 5_000, PolicyType.IDENTITY)
@example(b"\xff\xfe{\x00}\x00", PolicyType.IDENTITY)
@example(" " * (RAW_LIMIT + 1), PolicyType.RESOURCE)
@example(json.loads("[" * 500 + "]" * 500), PolicyType.SCP)
def test_no_document_is_refused_but_in_our_own_words(source: Any, type: PolicyType) -> None:
    """N-9: reading, checking, writing and deciding with anything gives a result or an error of the family."""
    check_source(source, type)
    with suppress(IamGuardError):
        validate_for_write(source, type, managed=True)
    try:
        document = parse(source, type)
    except IamGuardError:
        return
    check(document)
    parse(render(document), type)
    decision = _of_type(type, source).decide(AccessRequest(ME, "s3:GetObject", "arn:aws:s3:::bucket/key"))
    assert decision.error is None


def _of_type(type: PolicyType, source: Any) -> Authorizer:
    match type:
        case PolicyType.IDENTITY:
            return compile_policies(identity=[source])
        case PolicyType.BOUNDARY:
            return compile_policies(permissions_boundary=source)
        case PolicyType.SESSION:
            return compile_policies(session=[source])
        case PolicyType.SCP:
            return compile_policies(scps=[[source]])
        case PolicyType.RCP:
            return compile_policies(rcps=[[source]])
        case PolicyType.VPC_ENDPOINT:
            return compile_policies(vpc_endpoint=source)
        case PolicyType.RESOURCE | PolicyType.TRUST:
            parse(source, type)
            return compile_policies()


# --- cases -------------------------------------------------------------------------------------------------------

CASES = st.integers(0, 10_000).map(lambda seed: json.dumps(generate_case(random.Random(seed))))


@settings(QUIET)
@given(mutated_values(CASES))
def test_no_case_is_refused_but_in_our_own_words(case: Any) -> None:
    """N-1 to N-9: a case is decided, or refused by an error of the family."""
    with suppress(IamGuardError):
        decision = decide_case(read_case(case))
        assert isinstance(decision.outcome, Outcome)
        assert decision.error is None or not decision.allowed
        assert isinstance(decision.message(), str)


@settings(QUIET, max_examples=60)
@given(st.lists(mutated_texts(CASES) | JSON_TEXT | mutated_values(CASES).map(json.dumps), min_size=1, max_size=20))
@example(['{"id":' * 100_000, '{"id":' + "9" * 5000 + "}", '{"a":1,"a":2}', "NaN", '{"id":"\\ud800"}', "{}\ud800"])
def test_every_line_has_its_answer(cases: list[str]) -> None:
    """4.3: `iam-guard decide` answers each line with one line of JSON, whatever the line is, and goes on."""
    lines = [case.replace("\n", " ") for case in cases]
    written = "\n".join(lines).encode("utf-8", "surrogatepass")
    run = CliRunner().invoke(main, ["decide"], input=written)
    assert run.exit_code == 0, run.exception
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == sum(not line.isspace() for line in lines if line)
    assert all(("outcome" in answer) is not ("error" in answer) for answer in answers)


# --- requests ----------------------------------------------------------------------------------------------------


def _everything(type: PolicyType) -> dict[str, Any]:
    """Make a document that uses every operator, in every way, on a few keys, with odd values and variables."""
    values = ["", "*", "?b", "${docs:k}", "${docs:j, 'x'}*", "1", "2020-01-01", "true", "10.0.0.0/8", "arn:aws:a:b:c:*"]
    statements: list[dict[str, Any]] = []
    for number, operator in enumerate(sorted(OPERATORS)):
        prefix = ("", "ForAllValues:", "ForAnyValue:")[number % 3]
        suffix = "IfExists" if number % 2 and operator != "Null" else ""
        element, effect = ("NotResource", "Deny") if number % 4 == 0 else ("Resource", "Allow")
        statement = {
            "Effect": effect,
            "NotAction" if number % 5 == 0 else "Action": ["docs:G?t*", "s3:*Object"],
            element: ["arn:*:docs:*:*:*/${docs:k}/?*", "arn:aws:docs:?*:${*}:x", f"arn:aws:docs:*:{ACCOUNT}:*"],
            "Condition": {prefix + operator + suffix: {"docs:k": values, "docs:j": values, "aws:username": values}},
        }
        if type in WITH_PRINCIPAL:
            element = "NotPrincipal" if effect == "Deny" and number % 8 == 0 else "Principal"
            statement[element] = {"AWS": [ACCOUNT, ME.arn], "Service": "a.amazonaws.com"}
        statements.append(statement)
    return {"Version": "2012-10-17", "Statement": statements}


RICH = compile_policies(
    identity=[_everything(PolicyType.IDENTITY)],
    resource=_everything(PolicyType.RESOURCE),
    permissions_boundary=_everything(PolicyType.BOUNDARY),
    session=[_everything(PolicyType.SESSION)],
    scps=[[_everything(PolicyType.SCP)]],
    rcps=[[_everything(PolicyType.RCP)]],
    vpc_endpoint=_everything(PolicyType.VPC_ENDPOINT),
)
ARNS = st.just(ME.arn) | st.builds(lambda rest: f"arn:aws:docs:us-east-1:{ACCOUNT}:{rest}", ODD_TEXT) | ODD_TEXT
ACTIONS = st.sampled_from(["docs:Get", "docs:get\0", "s3:PutObject"]) | ODD_TEXT
SCALARS = (
    ODD_TEXT
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats()
    | st.decimals()
    | st.datetimes(timezones=st.timezones() | st.none(), min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1))  # noqa: DTZ001
    | st.binary(max_size=20)
    | st.ip_addresses()
)
KEYS = st.sampled_from(["docs:k", "DOCS:K", "docs:j", "aws:username", "aws:PrincipalArn"]) | ODD_TEXT
CONTEXTS = st.dictionaries(KEYS, SCALARS | st.lists(SCALARS | st.none(), max_size=4) | json_values(), max_size=4)
PRINCIPALS = st.just(ME) | st.builds(
    Principal,
    type=st.sampled_from(PrincipalType),
    arn=ARNS,
    account=st.just(ACCOUNT) | st.none() | ODD_TEXT,
    role_arn=st.none() | ARNS,
    user_arn=st.none() | ARNS,
    userid=st.none() | ODD_TEXT,
    tags=st.dictionaries(ODD_TEXT, ODD_TEXT, max_size=2),
    has_boundary=st.booleans(),
)


@settings(QUIET, max_examples=300)
@given(PRINCIPALS, ACTIONS, ARNS, CONTEXTS, st.none() | ODD_TEXT)
def test_a_decision_is_never_an_exception(
    principal: Principal, action: str, resource: str, context: dict[str, Any], owner: str | None
) -> None:
    """C-45, E-6: `decide` answers every request that can be made, and an answer in doubt is never an Allow."""
    try:
        request = AccessRequest(principal, action, resource, context, owner)
    except IamGuardError:
        return
    decision = RICH.decide(request)
    assert decision.error is None or not decision.allowed
    assert isinstance(decision.message(), str)


@pytest.mark.parametrize(
    "context",
    [
        {"docs:k": 10**5000},
        {"docs:k": Decimal("1e999999999")},
        {"docs:k": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))},
        {"docs:k": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))},
        {1: "a"},
        {None: "a"},
    ],
    ids=["long-integer", "huge-exponent", "before-time", "after-time", "number-as-key", "none-as-key"],
)
def test_a_context_is_refused_in_our_own_words(context: dict[Any, Any]) -> None:
    """C-4, G-15: what has no text form, or no name, is a `ContextError`, at once."""
    begun = time.process_time()
    with suppress(IamGuardError):
        RICH.decide(AccessRequest(ME, "docs:Get", ME.arn, context))
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("name", ["identity", "session", "scps", "rcps"])
@pytest.mark.parametrize("given", [5, b"{}", {1: 2}, [5], [None], "{}"], ids=repr)
def test_policies_of_a_wrong_shape_are_refused_in_our_own_words(name: str, given: Any) -> None:
    """N-9: what is no list of documents, or of levels, is an error of the family."""
    with pytest.raises(IamGuardError):
        compile_policies(**{name: given})
