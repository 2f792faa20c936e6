"""`assert_no_new_access` and `assert_invariants`: proofs about policies and stores, which fail with a request.

Each passes only if it is proved. One that could not be decided fails, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

from iam_guard.analysis.checks.check_results import CheckResult, CheckVerdict, request_members
from iam_guard.analysis.checks.policy_checks import check_no_new_access
from iam_guard.analysis.invariants.declared_services import declared_services
from iam_guard.analysis.invariants.invariant_checks import InvariantResult, check_invariants
from iam_guard.analysis.invariants.invariant_file import read_invariants
from iam_guard.analysis.invariants.store_access import StoreAccess, read_store_access
from iam_guard.analysis.invariants.store_comparison import StoreComparison
from iam_guard.analysis.invariants.store_findings import violation_lines
from iam_guard.analysis.request_sentences import request_sentence
from iam_guard.errors import InvalidInput
from iam_guard.model.decision import PolicyType
from iam_guard.model.reference import ServiceReference
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_store

TestedPolicy: TypeAlias = Mapping[str, Any] | str | os.PathLike[str]
"""A policy document, decoded or as JSON text; or the path of a JSON file. With `type="store"`: a seed, or a URL."""

_TYPES = {"identity": PolicyType.IDENTITY, "resource": PolicyType.RESOURCE}


def assert_no_new_access(
    old: TestedPolicy, new: TestedPolicy, *, type: str = "identity", references: Iterable[ServiceReference] = ()
) -> None:
    """Assert that `new` allows no request that `old` does not; fail with such a request.

    `type` is `identity` or `resource` for two policies, or `store` for two seed files or database URLs. With
    `references`, only their actions and those of IAM and STS exist. Raises `InvalidInput` for another type,
    `PolicyError` for a policy that is refused, `SeedError` for an invalid seed.
    """
    __tracebackhide__ = True
    services = declared_services(references)
    if type == "store":
        before, after = _read_store(_location(old)), _read_store(_location(new))
        compared = StoreComparison(before, after, services.prefixes, services.actions)
        lines = [
            line
            for found in compared.new_access()
            for line in (f"{found.subject} {found.name}", *violation_lines(found.result, after))
        ]
        if lines:
            raise AssertionError("\n".join(["expected no new access", *lines]))
        return
    if type not in _TYPES:
        raise InvalidInput(f"expected one of {', '.join(_TYPES)}, store, got `{type}`")
    result = check_no_new_access(_document(old), _document(new), _TYPES[type], actions=services.actions)
    if result.verdict is not CheckVerdict.PASS:
        raise AssertionError(_failure(result))


def assert_invariants(
    invariants: str | os.PathLike[str] | Mapping[str, Any],
    store: str | os.PathLike[str],
    *,
    references: Iterable[ServiceReference] = (),
) -> None:
    """Assert that invariants hold for a whole store; fail with a request for each principal that breaks one.

    `invariants` is the path of a file, or its decoded content; `store` is a seed file or a database URL. With
    `references`, only their actions and those of IAM and STS exist. Raises `InvalidInput` for an invalid file, with its
    line and column, and `SeedError` for an invalid seed.
    """
    __tracebackhide__ = True
    services = declared_services(references)
    if isinstance(invariants, (str, os.PathLike)):
        name = os.fspath(invariants)
        text = _text(name)
    else:
        name, text = "invariants", json.dumps(invariants)
    listed = read_invariants(text, name, services.actions, load_settings().partition)
    access = _read_store(os.fspath(store))
    results = check_invariants(access, listed, services.prefixes)
    broken = [result for result in results if result.verdict is not CheckVerdict.PASS]
    if broken:
        raise AssertionError("\n".join(line for result in broken for line in _lines(result, access, name)))


def _lines(result: InvariantResult, access: StoreAccess, name: str) -> list[str]:
    invariant = result.invariant
    return [
        f"{result.verdict}: {invariant.name}",
        f"  {name}:{invariant.line}:{invariant.column}: {invariant.sentence}",
        *(f"  {line}" for violation in result.violations for line in violation_lines(violation, access)),
        *(f"  not decided: {problem}" for problem in result.problems),
    ]


def _failure(result: CheckResult) -> str:
    lines = [f"{result.verdict}: {result.message}", *(f"  {reason.description}" for reason in result.reasons)]
    if result.witness is not None:
        members = request_members(result.witness)
        lines += [f"  For example, {request_sentence(members)}.", f"  {json.dumps({'request': members})}"]
    return "\n".join(lines)


def _read_store(location: str) -> StoreAccess:
    with closing(open_store(location, load_settings())) as opened:
        return read_store_access(opened)


def _location(store: TestedPolicy) -> str:
    if isinstance(store, Mapping):
        raise InvalidInput("expected a seed file or a database URL, got a mapping")
    return os.fspath(store)


def _document(policy: TestedPolicy) -> Mapping[str, Any] | str:
    is_document = isinstance(policy, Mapping) or (isinstance(policy, str) and policy.lstrip().startswith("{"))
    return policy if is_document else _text(policy)  # type: ignore[return-value,arg-type]  # checked above


def _text(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"cannot read the file: {error.strerror}", place=os.fspath(path)) from None
    except UnicodeDecodeError:
        raise InvalidInput("cannot read the file: it is not UTF-8", place=os.fspath(path)) from None
