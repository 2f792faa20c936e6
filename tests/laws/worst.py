"""Worst-case documents: as long as IAM accepts, and full of entries that are expensive to match with their request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from string import ascii_lowercase
from typing import Any

from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest

CHARACTERS = 131_072
"""Rule G-74."""

CALLER = Principal.from_arn("arn:aws:iam::111122223333:user/ann", userid="AIDA1")
PREFIX = "arn:aws:docs::111122223333:"
LETTERS = "abcdefghij"
RESOURCE = PREFIX + "document/" + LETTERS * 5
LONG_RESOURCE = PREFIX + "abcdefghijklmnopqrstuvwxyz" * 38


@dataclass(frozen=True, slots=True)
class Worst:
    """One document, and the request that is expensive to decide with it."""

    statements: list[dict[str, Any]]
    resource: str = RESOURCE
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The document as JSON text."""
        return json.dumps({"Version": "2012-10-17", "Statement": self.statements})

    def request(self) -> AccessRequest:
        """Return a new request."""
        return AccessRequest(CALLER, "docs:GetDocument", self.resource, self.context)


def _full(make: Callable[[int], Any]) -> list[Any]:
    """Create values until the document is full."""
    values: list[Any] = []
    left = CHARACTERS - 300
    for number in count():
        value = make(number)
        left -= len(json.dumps(value)) + 2
        if left < 0:
            return values
        values.append(value)
    raise AssertionError


def _word(number: int, length: int, letters: str = ascii_lowercase) -> str:
    word = ""
    for _ in range(length):
        number, index = divmod(number, len(letters))
        word += letters[index]
    return word


def _resources(make: Callable[[int], str], **rest: Any) -> Worst:
    return Worst([{"Effect": "Allow", "Action": "docs:*", "Resource": _full(make)}], **rest)


def _values(operator: str, make: Callable[[int], str], value: str, **variables: str) -> Worst:
    condition = {operator: {"docs:value": _full(make)}}
    statement = {"Effect": "Allow", "Action": "docs:*", "Resource": "*", "Condition": condition}
    return Worst([statement], context={"docs:value": value} | {f"docs:{key}": text for key, text in variables.items()})


def _one(text: str) -> Callable[[int], str]:
    """Return a function that creates one value; the second one is over the size limit and ends the document."""
    return lambda number: text if number == 0 else "x" * CHARACTERS


def _spaced(number: int) -> str:
    return "?".join(_word(number, 3, LETTERS)) + "?" * (number // 1000)


def _all() -> Iterator[tuple[str, Worst]]:
    yield "runs: *a*a*a", _resources(_one("arn:*" + "a*" * 60_000), resource=PREFIX + "a" * 2000)
    yield "ones: *a?a?a", _resources(_one("arn:*" + "a?" * 60_000), resource=PREFIX + "a" * 2000)
    yield "ones that fit: *a?a?a", _resources(_one("arn:*" + "a?" * 900 + "b"), resource=PREFIX + "a" * 2000)
    yield "suffixes", _resources(lambda number: "arn:*" + _word(number, 3))
    yield "parts", _resources(lambda number: f"arn:*{_word(number, 2)}*{_word(number // 676, 2)}*")
    yield "ones behind a run", _resources(lambda number: "arn:*?" + _word(number, 3))
    yield "ones between letters", _resources(lambda number: f"arn:*{_spaced(number)}*")
    yield "ones, long resource", _resources(lambda number: f"arn:*{_spaced(number)}*!", resource=LONG_RESOURCE)
    yield "wildcards in fields", _resources(lambda number: f"arn:aws:docs:*s:1?1*2*:{_word(number, 4)}*")
    yield "one prefix", _resources(lambda number: f"{PREFIX}document/{_word(number, 4)}?x*")
    yield "variables", _resources(lambda n: f"{PREFIX}${{docs:j}}*{_word(n, 3)}*", context={"docs:j": "document"})
    yield "variables and ones", _resources(lambda n: f"{PREFIX}*${{docs:j}}*?{_word(n, 3)}*", context={"docs:j": "d"})
    yield "StringLike", _values("StringLike", lambda n: f"*{_spaced(n)}*!", LETTERS * 100)
    yield (
        "StringLike, variables",
        _values("StringLike", lambda n: f"*${{docs:j}}?{_word(n, 3, LETTERS)}*", LETTERS * 10, j="abc"),
    )
    yield "StringEquals, variables", _values("StringEquals", lambda n: f"${{docs:j}}{_word(n, 3)}", "abc" * 30, j="abc")
    yield "ArnNotLike", _values("ArnNotLike", lambda n: f"arn:*:s?:*:1*:*{_word(n, 3)}?", "arn:aws:s3::1:" + "abc" * 30)
    yield (
        "ArnLike, variables",
        _values("ArnLike", lambda n: f"arn:aws:s3:::${{docs:j}}*{_word(n, 3)}*", "arn:aws:s3:::" + "abc" * 30, j="abc"),
    )
    yield "IpAddress", _values("IpAddress", lambda n: f"10.{n % 250}.{n // 250}.0/{8 + n % 25}", "11.1.2.3")
    yield "numbers", _values("NumericEquals", lambda n: str(n) * 4, "7")
    yield "one long number", _values("NumericGreaterThan", _one("9" * 100_000), "7")
    yield (
        "small statements",
        Worst(_full(lambda n: {"Effect": "Allow", "Action": "*", "Resource": f"arn:*?{_word(n, 3)}"})),
    )
    yield (
        "small denies with conditions",
        Worst(
            _full(
                lambda n: {
                    "Effect": "Deny",
                    "Action": "*",
                    "Resource": "*",
                    "Condition": {"StringLike": {"docs:value": f"*?{_word(n, 2, 'abcdefgh')}?*"}},
                }
            ),
            context={"docs:value": "ABCDEF" * 10},
        ),
    )


WORST = dict(_all())
