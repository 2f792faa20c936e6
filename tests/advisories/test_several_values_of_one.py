"""Advisory: a Deny of a tag was bypassed by a list with that tag.

The hole: a plain operator never matches several values (C-7). If an application fills `aws:RequestTag/…` from JSON, a
list did not match the Deny, and the application set the tag. Now several values of a single-valued key can't be
decided, and the request is denied.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Principal, open_guard

TAGGER = Principal.from_arn("arn:aws:iam::111122223333:user/tagger")
STATEMENTS = [
    {"Effect": "Allow", "Action": "docs:*", "Resource": "*"},
    {
        "Effect": "Deny",
        "Action": "docs:*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:RequestTag/team": "red"}},
    },
    {"Effect": "Deny", "Action": "docs:*", "Resource": "*", "Condition": {"StringEquals": {"docs:Kind": "red"}}},
]


@pytest.mark.parametrize(
    ("context", "is_allowed"),
    [
        ({"aws:RequestTag/team": "blue"}, True),
        ({"aws:RequestTag/team": ["blue"]}, True),
        ({"aws:RequestTag/team": "red"}, False),
        ({"aws:RequestTag/team": ["red"]}, False),
        ({"aws:RequestTag/team": ["red", "x"]}, False),
        ({"AWS:requesttag/TEAM": ["x", "red"]}, False),
        ({"aws:RequestTag/team": lambda: ["x", "red"]}, False),
        ({"aws:RequestTag/team": []}, True),  # no tag
        ({"aws:RequestTag/other": ["red", "x"]}, True),  # not in a condition
        ({"aws:TagKeys": ["red", "x"]}, True),  # multivalued
        ({"docs:Kind": ["red", "x"]}, True),  # not declared as single-valued: C-7
    ],
)
def test_deny_is_not_bypassed_by_a_list(tmp_path: Path, context: dict[str, Any], is_allowed: bool) -> None:
    user = {"name": "tagger", "inline": {"P": {"Version": "2012-10-17", "Statement": STATEMENTS}}}
    seed = {"version": 1, "accounts": [{"id": "111122223333", "name": "acme", "users": [user]}]}
    (tmp_path / "iam.json").write_text(json.dumps(seed))
    guard = open_guard(tmp_path / "iam.json")
    decision = guard.decide(TAGGER, "docs:TagDocument", "*", context)
    assert decision.allowed is is_allowed
    assert decision.error is None or "expected one value" in decision.error
    guard.close()
