"""Strategies for odd and nearly valid values, for tests that no input crashes.

`TEXTS` are texts with special parts, `ODD_VALUES` values of every type, `nearly(whole, odd)` draws valid values with up
to two invalid parts.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from iam_guard.model.decision import PolicyType
from tests.policy.strategies import json_values

WORDS = [
    *"arn aws : * ? / root user role assumed-role iam sts docs s3 kms key Get 111122223333 AIDA AROA".split(),
    *"${aws:username} ${ } ${*} ${aws:TagKeys} ForAnyValue: IfExists sts:AssumeRole <> {{ }} %s ' \" \\".split(),
    *"true 1.5 -0 2026-01-01T00:00:00Z 10.0.0.0/8 ::1 fe80::1%eth0 AAA= İ ß ſ ǅ".split(),
    *[
        "",
        " ",
        "\n",
        "\x00",
        "\x85",
        "\u0301",
        "\u202e",
        "\ufeff",
        "\ud800",
        "\udfff",
        "\U0001f600",
        "${aws:userid, 'b'}",
    ],
]
TEXTS = st.text(st.characters(), max_size=12) | st.lists(st.sampled_from(WORDS), max_size=8).map("".join)
EAST = timezone(timedelta(hours=14))
ODD: list[Any] = [
    *[None, True, 0, -1, 10**308, 10**4000, 1e308, 5e-324, float("nan"), float("-inf"), 1j],
    *[Decimal("1e1000000000"), Decimal("sNaN"), Decimal("-0E-999"), datetime.min.replace(tzinfo=EAST)],
    *[b"\xff", bytearray(b"a"), {1}, {1: 2}, {None: "a"}, {"a": {"b": []}}, [[[]]], (), ("a",), range(3)],
    *[MappingProxyType({"a": ("b",)}), OrderedDict(a=1), "", "x" * 3000, "9" * 5000, PolicyType.SCP, object()],
]
ODD_VALUES = st.sampled_from(ODD) | TEXTS | json_values() | st.integers() | st.floats() | st.decimals() | st.datetimes()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Iterate over the paths of all parts of a value."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*path, key))


@st.composite
def nearly(draw: st.DrawFn, whole: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> Any:
    """Draw a valid value with up to two parts replaced, renamed, removed or doubled."""
    changed = {"": copy.deepcopy(draw(whole))}
    for _ in range(draw(st.integers(0, 2))):
        paths = [path for path in places(changed) if path]
        *ancestors, last = draw(st.sampled_from(paths))
        parent: Any = changed
        for step in ancestors:
            parent = parent[step]
        match draw(st.sampled_from(["replace", "replace", "rename", "remove", "wrap"])):
            case "rename" if isinstance(parent, dict) and ancestors:
                parent[draw(TEXTS | st.sampled_from([1, None, "Sid", "Principal", "Condition"]))] = parent.pop(last)
            case "remove" if ancestors:
                parent.pop(last)
            case "wrap":
                parent[last] = [parent[last], parent[last]]
            case _:
                value = draw(odd)
                parent[last] = copy.deepcopy(value) if isinstance(value, (dict, list)) else value
    return changed[""]
