"""Advisory: a Deny of a tag was got around by a list with that tag in it.

A plain operator is not met by several values, whatever they are (C-7). So where an application makes `aws:RequestTag/…`
of what JSON brings, a list made a Deny miss, and the application set the tag all the same. Of a key that has one value,
several are none that can be decided about.
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
        ({"aws:RequestTag/team": []}, True),  # which is no tag
        ({"aws:RequestTag/other": ["red", "x"]}, True),  # which nobody asks about
        ({"aws:TagKeys": ["red", "x"]}, True),  # which has several
        ({"docs:Kind": ["red", "x"]}, True),  # of which nobody has said how many it has: C-7
    ],
)
def test_a_deny_is_not_got_around_by_a_list(tmp_path: Path, context: dict[str, Any], is_allowed: bool) -> None:
    user = {"name": "tagger", "inline": {"P": {"Version": "2012-10-17", "Statement": STATEMENTS}}}
    seed = {"version": 1, "accounts": [{"id": "111122223333", "name": "acme", "users": [user]}]}
    (tmp_path / "iam.json").write_text(json.dumps(seed))
    guard = open_guard(tmp_path / "iam.json")
    decision = guard.decide(TAGGER, "docs:TagDocument", "*", context)
    assert decision.allowed is is_allowed
    assert decision.error is None or "expected one value" in decision.error
    guard.close()
