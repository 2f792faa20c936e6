"""The text and the JSON of an explanation, completely."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from iam_guard.evaluation.explanation import (
    Element,
    ExplainedEntry,
    ExplainedLevel,
    ExplainedPolicy,
    ExplainedStatement,
    ExplainedType,
    Explanation,
    FilledVariable,
    NearMiss,
    Standing,
    either,
    without_organization,
)
from iam_guard.model.decision import Outcome, PolicyType
from tests.tables import table

CONDITION = Element(
    "Condition",
    False,
    (
        ExplainedEntry("re*", False),
        ExplainedEntry("${aws:username}", False, (FilledVariable("${aws:username}", "ada"),)),
    ),
    ("memo",),
    operator="StringLike",
    key="docs:Kind",
    note="the request has `memo`",
    change="the request would need `docs:Kind` like `re*` or `${aws:username}`",
)
TWO_VARIABLES = (FilledVariable("${docs:n}", None), FilledVariable("${docs:m}", "7"))
DENY = ExplainedStatement(
    index=2,
    sid="No",
    line=7,
    effect="Deny",
    applies=True,
    decides=True,
    elements=(Element("Action", True, (ExplainedEntry("docs:*", True),), ("docs:Get",)),),
    note="could not be evaluated: RuntimeError",
)
ALLOW = ExplainedStatement(
    index=0,
    sid=None,
    line=None,
    effect="Allow",
    applies=False,
    decides=False,
    elements=(
        Element("Resource", True, (ExplainedEntry("arn:aws:docs:::${docs:n}${docs:m}", True, TWO_VARIABLES),), ("*",)),
        Element("Action", False, (), ("docs:Get",), note="it lists nothing"),
        CONDITION,
    ),
)
TYPES = (
    ExplainedType(
        PolicyType.SCP,
        Standing.LACKS_ALLOW,
        None,
        (
            ExplainedLevel(1, True, (ExplainedPolicy("Full", "arn:aws:organizations::aws:policy/p-1", ()),)),
            ExplainedLevel(2, False, (ExplainedPolicy("Part", None, (ALLOW,)),)),
        ),
    ),
    ExplainedType(PolicyType.RCP, Standing.EXEMPT, "they do not apply to this service"),
    ExplainedType(
        PolicyType.IDENTITY,
        Standing.DENIES,
        None,
        (ExplainedLevel(None, True, (ExplainedPolicy("ada", None, (DENY,)),)),),
    ),
    ExplainedType(
        PolicyType.BOUNDARY,
        Standing.ALLOWS,
        None,
        (ExplainedLevel(None, True, (ExplainedPolicy("b", None, (replace(DENY, decides=False, note=None),)),)),),
    ),
    ExplainedType(PolicyType.SESSION, Standing.NEUTRAL, None),
    ExplainedType(PolicyType.VPC_ENDPOINT, Standing.ABSENT, "there is none"),
)
MISSES = (
    NearMiss(PolicyType.IDENTITY, None, "ada", 2, "No", 7, "Deny", None, "it would have to go", Outcome.ALLOWED),
    NearMiss(PolicyType.SCP, 2, "Part", 0, None, None, "Allow", "Action", "name it", Outcome.EXPLICITLY_DENIED),
)
WHOLE = Explanation(
    outcome=Outcome.EXPLICITLY_DENIED,
    principal="arn:aws:iam::111122223333:user/ada",
    principal_type="User",
    action="docs:Get",
    resource="*",
    resource_account="111122223333",
    message="it is denied",
    reasons=("first reason", "second reason"),
    error="something failed",
    types=TYPES,
    nearest=MISSES,
    epoch=7,
    stale=True,
)
TEXT = """\
ExplicitlyDenied: it is denied
    caller: arn:aws:iam::111122223333:user/ada (User)
    action: docs:Get
    resource: * (account 111122223333)
    because first reason
    because second reason
    the request could not be decided: something failed
    the store could not be reached; decided with cached policies

✗ service control policy: no Allow applies, and one is needed
    ✓ level 1
        Full (arn:aws:organizations::aws:policy/p-1)
    ✗ level 2: no Allow applies here
        Part
            ✗ Allow Statement[0]: does not apply
                ✓ Resource `arn:aws:docs:::${docs:n}${docs:m}` (${docs:n} has no value, ${docs:m} is `7`)
                ✗ Action: it lists nothing
                ✗ StringLike docs:Kind `re*`, `${aws:username}` (${aws:username} is `ada`): the request has `memo`

– resource control policy: does not apply (they do not apply to this service)

✗ identity-based policy: a Deny applies
    ada
        ✓ Deny Statement[2] `No`, line 7: applies, and decides (could not be evaluated: RuntimeError)
            ✓ Action `docs:*`

✓ permissions boundary: an Allow applies
    b
        ✓ Deny Statement[2] `No`, line 7: applies
            ✓ Action `docs:*`

– session policy: no Allow applies, and none is needed

– VPC endpoint policy: says nothing (there is none)

Nearest misses
    1. Deny Statement[2] `No`, line 7 of ada (identity-based policy)
        it would have to go
        then: Allowed
    2. Allow Statement[0] of Part (service control policy at level 2)
        name it
        then: ExplicitlyDenied"""


def test_text_of_a_full_explanation() -> None:
    """Every kind of line, its mark and its depth; no line break at the end."""
    assert WHOLE.text() == TEXT


def test_text_of_a_minimal_explanation() -> None:
    """Absent parts are omitted: no account, no error, no types, no misses."""
    bare = replace(WHOLE, resource_account=None, reasons=(), error=None, types=(), nearest=(), stale=False)
    assert bare.text().splitlines() == [
        "ExplicitlyDenied: it is denied",
        "    caller: arn:aws:iam::111122223333:user/ada (User)",
        "    action: docs:Get",
        "    resource: *",
    ]


def test_json_is_the_tree_itself() -> None:
    """The field names are the keys; lists for tuples."""
    tree = replace(WHOLE, types=TYPES[1:2], nearest=MISSES[1:]).to_dict()
    assert tree == {
        "outcome": "ExplicitlyDenied",
        "principal": "arn:aws:iam::111122223333:user/ada",
        "principal_type": "User",
        "action": "docs:Get",
        "resource": "*",
        "resource_account": "111122223333",
        "message": "it is denied",
        "reasons": ["first reason", "second reason"],
        "error": "something failed",
        "types": [
            {
                "type": "resource control policy",
                "standing": "does not apply",
                "why": "they do not apply to this service",
                "levels": [],
            }
        ],
        "nearest": [
            {
                "type": "service control policy",
                "level": 2,
                "policy": "Part",
                "statement": 0,
                "sid": None,
                "line": None,
                "effect": "Allow",
                "element": "Action",
                "change": "name it",
                "outcome": "ExplicitlyDenied",
            }
        ],
        "epoch": 7,
        "stale": True,
    }


def values(tree: object) -> Iterator[object]:
    if isinstance(tree, dict):
        for value in tree.values():
            yield from values(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from values(item)
    else:
        yield tree


def test_json_has_only_plain_values() -> None:
    """No enumeration members."""
    assert {type(value) for value in values(WHOLE.to_dict())} == {str, int, bool, type(None)}


def test_enumeration_of_five_is_not_shortened() -> None:
    """Only a longer one is."""
    assert either(list("abcde")) == "`a`, `b`, `c`, `d` or `e`"


@table("type", [PolicyType.SCP, PolicyType.RCP, PolicyType.VPC_ENDPOINT])
@table(
    ("standing", "reasons"),
    [
        (Standing.DENIES, ()),
        (Standing.LACKS_ALLOW, ()),
        (Standing.ALLOWS, WHOLE.reasons),
        (Standing.NEUTRAL, WHOLE.reasons),
    ],
)
def test_explanation_without_organization(type: PolicyType, standing: Standing, reasons: tuple[str, ...]) -> None:
    """Their policies, and the reasons if they decide, are omitted; their standing is kept, and all of other types."""
    own = TYPES[2]
    theirs = ExplainedType(type, standing, "why", TYPES[0].levels)
    whole = replace(WHOLE, types=(own, theirs), nearest=(MISSES[0], replace(MISSES[1], type=type)))
    assert without_organization(whole) == replace(
        whole, types=(own, replace(theirs, levels=())), nearest=MISSES[:1], reasons=reasons
    )
    assert own.standing is Standing.DENIES


def test_unrecorded_value_is_shown_as_such() -> None:
    """A value that a record lacks differs from no value, and its default from a value."""
    variables = (FilledVariable("${docs:n}", None, unknown=True), FilledVariable("${docs:m}", "7", unknown=True))
    element = Element("Resource", False, (ExplainedEntry("${docs:n}${docs:m}", False, variables),), ("*",))
    statement = replace(DENY, elements=(element,))
    levels = (ExplainedLevel(None, True, (ExplainedPolicy("p", None, (statement,)),)),)
    text = replace(WHOLE, types=(ExplainedType(PolicyType.IDENTITY, Standing.DENIES, None, levels),)).text()
    assert "(${docs:n} was not recorded, ${docs:m} was not recorded, and counts as `7`)" in text
