"""The policies and questions of the benchmarks, independent of a policy language; `peers/` translates them.

A rule allows or denies an action on the resources in one folder; an Allow has two conditions, an equal attribute and
an address in a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

ACCOUNT = "111122223333"
ARN = f"arn:aws:docs:us-east-1:{ACCOUNT}"
CLASS = "public"
NETWORK = "10.0.0.0/8"
ADDRESS = "10.1.2.3"
MAX_IN_ONE_DOCUMENT = 500
"""Statements; a document has at most 131,072 characters."""
MAX_OF_TYPICAL = 3
"""Statements of a typical policy."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One statement. `conditions` are that the document's class is `CLASS`, and that the caller is in `NETWORK`."""

    action: str
    folder: str
    allows: bool = True

    @property
    def conditions(self) -> bool:
        return self.allows


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and the answer that every peer must return."""

    action: str
    resource: str
    allowed: bool
    document_class: str = CLASS
    address: str = ADDRESS


# --- the rules ---------------------------------------------------------------------------------------------------


def folder(number: int) -> str:
    """Return the prefix of the ARNs of the resources in a folder."""
    return f"{ARN}:document/{number}/"


def few() -> list[Rule]:
    """Return 75 rules of one principal: each about a different action, every fifteenth a Deny."""
    return [
        Rule(f"docs:Delete{number}", folder(number), allows=False)
        if number % 15 == 7
        else Rule(f"docs:Get{number}", folder(number))
        for number in range(75)
    ]


def one_action(count: int) -> list[Rule]:
    """Return rules that are all about the same action, each in a different folder."""
    return [Rule("docs:Get", folder(number)) for number in range(count)]


def fifty_actions(count: int) -> list[Rule]:
    """Return rules that are about 50 actions in turn, each in a different folder."""
    return [Rule(f"docs:Get{number % 50}", folder(number)) for number in range(count)]


def typical(policies: int = 10_000) -> list[Rule]:
    """Return rules for policies of typical size: three statements each, the third of every fifth a Deny."""
    return [
        Rule(f"docs:{verb}{number % 100}", folder(number), allows=verb != "Delete" or number % 5 != 0)
        for number in range(policies)
        for verb in ("Get", "Put", "Delete")
    ]


# --- as policies of ours -----------------------------------------------------------------------------------------


def documents(rules: Iterable[Rule], most: int = MAX_IN_ONE_DOCUMENT) -> Iterator[dict[str, Any]]:
    """Return policy documents of at most so many statements each."""
    for chunk in _batches(list(rules), most):
        yield {"Version": "2012-10-17", "Statement": [_statement(rule) for rule in chunk]}


def _batches(rules: Sequence[Rule], most: int) -> Iterator[Sequence[Rule]]:
    for start in range(0, len(rules), most):
        yield rules[start : start + most]


def _statement(rule: Rule) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow" if rule.allows else "Deny",
        "Action": rule.action,
        "Resource": f"{rule.folder}*",
    }
    if rule.conditions:
        statement["Condition"] = {
            "StringEquals": {"aws:ResourceTag/class": CLASS},
            "IpAddress": {"aws:SourceIp": NETWORK},
        }
    return statement
