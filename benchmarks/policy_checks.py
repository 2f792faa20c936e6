"""The CPU time of `check no-new-access` on AWS's managed policies and on changes of them.

`python -m benchmarks.policy_checks [EVERY]` measures every policy, or each EVERYth one, and prints a row per change.
Documents are parsed before. Not part of `make bench`: the peers of `check_peers` take too long for all policies.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any, TypeAlias

from moto.iam.aws_managed_policies import aws_managed_policies_data

from iam_guard.analysis.checks.comparison import compare
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.statement_forms import form_of
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.policy.parser import parse

Doc: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Doc], tuple[Doc, Doc] | None]
"""Returns the existing and the new policy; None if it does not apply."""


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def with_statements(document: Doc, statements: list[Doc]) -> Doc:
    return {**document, "Statement": statements}


def in_first_allow(element: str, change: Callable[[Doc], Doc]) -> Change:
    """Return the change of the first Allow statement that has an element."""

    def changed(document: Doc) -> tuple[Doc, Doc] | None:
        statements = listed(document["Statement"])
        for index, statement in enumerate(statements):
            if statement["Effect"] == "Allow" and element in statement:
                new = [*statements[:index], change(statement), *statements[index + 1 :]]
                return document, with_statements(document, new)
        return None

    return changed


def narrowed(document: Doc) -> tuple[Doc, Doc]:
    """Return the policy with every final wildcard of an Allow narrowed."""
    statements = [
        {
            key: [narrow(text) for text in listed(value)] if key in ("Action", "Resource") else value
            for key, value in statement.items()
        }
        if statement["Effect"] == "Allow"
        else statement
        for statement in listed(document["Statement"])
    ]
    return document, with_statements(document, statements)


def narrow(text: str) -> str:
    return f"{text[:-1]}x*" if text.endswith("*") and ":" in text else text


def without_last(document: Doc) -> tuple[Doc, Doc] | None:
    statements = listed(document["Statement"])
    return (document, with_statements(document, statements[:-1])) if len(statements) > 1 else None


def with_deny(document: Doc) -> tuple[Doc, Doc]:
    deny = {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}
    return document, with_statements(document, [*listed(document["Statement"]), deny])


def whole_service(statement: Doc) -> Doc:
    first, *others = listed(statement["Action"])
    return {**statement, "Action": [f"{first.partition(':')[0]}:*" if ":" in first else "*", *others]}


CHANGES: dict[str, Change] = {
    "none": lambda document: (document, dict(document)),
    "a statement less": without_last,
    "a Deny more": with_deny,
    "narrower": narrowed,
    "reversed": lambda document: (document, with_statements(document, listed(document["Statement"])[::-1])),
    "an action more": in_first_allow(
        "Action", lambda allow: {**allow, "Action": [*listed(allow["Action"]), "new:Thing"]}
    ),
    "a condition less": in_first_allow(
        "Condition", lambda allow: {name: value for name, value in allow.items() if name != "Condition"}
    ),
    "all of a service": in_first_allow("Action", whole_service),
}


def compiled(document: Doc) -> CompiledDocument:
    found = CompiledDocument(parse(document))
    form_of(found)
    return found


def measure(name: str, pairs: Iterable[tuple[Doc, Doc]]) -> None:
    """Print the verdicts and the times of some pairs, in milliseconds."""
    verdicts: Counter[str] = Counter()
    times = []
    gc.disable()  # a collection of all parsed policies takes longer than a check
    for existing, new in [(compiled(one), compiled(other)) for one, other in pairs]:
        start = time.process_time()
        try:
            verdict = "PASS" if compare(existing, new).witness is None else "FAIL"
        except Undecided:
            verdict = "UNKNOWN"
        times.append((time.process_time() - start) * 1000)
        verdicts[verdict] += 1
    gc.enable()
    times.sort()
    parts = " ".join(f"p{part} {times[len(times) * part // 100]:6.2f}" for part in (50, 95, 99))
    print(f"{name:18} {len(times):5}  {parts}  max {times[-1]:6.0f}  {dict(verdicts)}", flush=True)


def main(every: int) -> None:
    policies = {name: policy["Document"] for name, policy in json.loads(aws_managed_policies_data).items()}
    documents = [policies[name] for name in sorted(policies)][::every]
    for name, change in CHANGES.items():
        measure(name, [pair for document in documents if (pair := change(document)) is not None])
    random = Random(1)
    measure("another policy", [(random.choice(documents), random.choice(documents)) for _ in range(2 * len(documents))])
    largest = sorted(documents, key=lambda document: -len(json.dumps(document)))[:14]
    measure("the largest", _pairs(largest))


def _pairs(documents: list[Doc]) -> Iterator[tuple[Doc, Doc]]:
    return ((one, other) for one in documents for other in documents)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
