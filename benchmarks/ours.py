"""Decide the questions of `world` with iam_guard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.clock import Call
from benchmarks.world import ACCOUNT, Question, Rule, documents
from iam_guard.evaluation.authorizer import Authorizer, compile_policies
from iam_guard.model.decision import Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest

ADA = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada")


def compiled(rules: Sequence[Rule], most: int) -> Authorizer:
    """Compile the rules as identity policies of at most so many statements each."""
    return compile_policies(identity=list(documents(rules, most)))


def context_of(question: Question) -> dict[str, Any]:
    """Return the condition keys of a question."""
    return {"aws:SourceIp": question.address, "aws:ResourceTag/class": question.document_class}


def built(authorizer: Authorizer, question: Question, outcome: Outcome) -> Call:
    """Return a call that builds the request and decides it, like the calls of the peers."""
    decide, action, resource = authorizer.decide, question.action, question.resource

    def ask() -> bool:
        return decide(AccessRequest(ADA, action, resource, context_of(question))).allowed

    _assure(authorizer, question, outcome)
    return ask


def ready(authorizer: Authorizer, question: Question, outcome: Outcome) -> Call:
    """Return a call that decides the same request each time."""
    request = AccessRequest(ADA, question.action, question.resource, context_of(question))
    decide = authorizer.decide
    _assure(authorizer, question, outcome)
    return lambda: decide(request)


def _assure(authorizer: Authorizer, question: Question, outcome: Outcome) -> None:
    decision = authorizer.decide(AccessRequest(ADA, question.action, question.resource, context_of(question)))
    if decision.outcome is not outcome or decision.allowed is not question.allowed:
        raise SystemExit(f"expected {outcome}, got {decision.outcome} for {question}")
