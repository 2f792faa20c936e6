"""The condition keys that a typical caller determines (table K-10, E.1), which a check must not vary by itself.

`caller_tests` are conditions that all requests of the caller meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from iam_guard.analysis.checks.callers import ANY_ACCOUNT, EXAMPLE, TypicalCaller
from iam_guard.analysis.checks.statement_forms import DocumentForm, Test
from iam_guard.evaluation.matching.condition_keys import Kind, row_of
from iam_guard.model.principal import PrincipalType
from iam_guard.policy.document import LATEST, ConditionTest

DERIVED = frozenset(
    {
        *("aws:principaltype", "aws:principalaccount", "aws:principalarn", "aws:username", "aws:userid"),
        *("aws:principalisawsservice", "aws:principalservicename", "aws:principalservicenameslist"),
        *("aws:principalorgid", "aws:principalorgpaths", "aws:resourceaccount"),
    }
)
"""The keys that depend on the caller or on the owner of the resource, in lower case; so do all principal tags."""
OF_PRINCIPAL = frozenset(
    {"aws:principaltype", "aws:principalaccount", "aws:principalarn", "aws:username", "aws:userid"}
)
"""Those that the evaluator derives from the principal (rule N-3): each is absent, or one text that is not empty."""
_PRINCIPAL_TAG = "aws:principaltag/"
_TYPES: Mapping[Kind, tuple[str, ...]] = {
    "Bool": ("BoolIfExists", "true", "false"),
    "Ip": ("IpAddressIfExists", "0.0.0.0/0", "::/0"),
}
"""What the values of keys of a type are."""
_WITHOUT_ACCOUNT = (PrincipalType.ANONYMOUS, PrincipalType.SERVICE, PrincipalType.FEDERATED)


def derived_keys(documents: Iterable[DocumentForm], more: Iterable[str] = ()) -> frozenset[str]:
    """Return the keys of conditions that depend on the caller; `more` are further keys that a check needs."""
    keys = {*more, *(key for document in documents for key in document.tests)}
    return frozenset(key for key in keys if key in DERIVED or key.startswith(_PRINCIPAL_TAG))


def letters_of(documents: Iterable[DocumentForm]) -> str:
    """Return the characters that accounts do not have and conditions on them do."""
    tests = [test for document in documents for key in _OF_ACCOUNTS for test, _ in document.tests.get(key, ())]
    return "".join(sorted({char for test in tests for value in test.values for char in value} - {*"0123456789*?"}))


_OF_ACCOUNTS = ("aws:principalaccount", "aws:userid")


def typed_tests(documents: Iterable[DocumentForm]) -> Iterator[Test]:
    """Yield conditions that every request meets: keys of AWS have values of their type, as booleans have one of two."""
    for key in sorted({key for document in documents for key in document.tests}):
        row = row_of(key)
        if row is not None and row.kind in _TYPES:
            yield _test(_TYPES[row.kind][0], key, *_TYPES[row.kind][1:])


def caller_tests(caller: TypicalCaller, keys: Iterable[str], named: Iterable[str], letters: str) -> Iterator[Test]:
    """Yield conditions on some keys that every request of a caller meets; `named` are all named accounts."""
    tests = _tests(caller, [*named], letters)
    for key in sorted(keys):
        if key.startswith(_PRINCIPAL_TAG) and caller.principal.type in _WITHOUT_ACCOUNT:
            yield _test("Null", key, "true")
        for operator, *values in tests.get(key, ()):
            yield _test(operator, key, *values)


def _test(operator: str, key: str, *values: str) -> Test:
    return ConditionTest(operator, key, values), LATEST


def _tests(caller: TypicalCaller, named: list[str], letters: str) -> Mapping[str, Iterable[tuple[str, ...]]]:
    """Return the conditions of table K-10 and of E.1, by key."""
    principal, kind = caller.principal, caller.principal.type
    has_account = kind not in _WITHOUT_ACCOUNT
    is_service = kind is PrincipalType.SERVICE
    absent = [("Null", "true")]
    others = [("StringNotEquals", *named)] if named else []
    derived = {key.lower(): str(value) for key, value in principal.condition_keys.items()}
    digits = [("StringNotLike", *(f"*{letter}*" for letter in letters))] if letters else []
    any_account = [("StringLike", ANY_ACCOUNT), *digits, *others] if caller.account is None and has_account else []
    found: dict[str, Iterable[tuple[str, ...]]] = {
        "aws:principaltype": _fixed(derived, "aws:principaltype"),
        "aws:principalaccount": any_account or _fixed(derived, "aws:principalaccount"),
        "aws:principalarn": _fixed(derived, "aws:principalarn"),
        "aws:username": _fixed(derived, "aws:username"),
        "aws:principalservicename": [("StringEqualsIfExists", principal.arn)] if is_service else absent,
        "aws:principalservicenameslist": [] if is_service else absent,
        "aws:principalisawsservice": (
            absent if kind is PrincipalType.ANONYMOUS else [("BoolIfExists", "true" if is_service else "false")]
        ),
        "aws:principalorgid": [] if has_account else absent,
        "aws:principalorgpaths": [] if has_account else absent,
        "aws:resourceaccount": [("StringEqualsIfExists", caller.owner)],
    }
    if kind in (*_WITHOUT_ACCOUNT, PrincipalType.ROOT, PrincipalType.FEDERATED_USER) or principal.userid:
        found["aws:userid"] = _fixed(derived, "aws:userid")
    elif kind is PrincipalType.ASSUMED_ROLE:
        session = "?*" if caller.account is None or principal.name == EXAMPLE else principal.name
        found["aws:userid"] = [("StringLikeIfExists", f"?*:{session}")]
    if caller.owner not in named:
        found["aws:resourceaccount"] = others
    if caller.arns:
        other_arns = [f"arn:*:*:*:{account}:*" for account in named]
        of_others = [("ArnNotLike", *other_arns)] if caller.account is None and other_arns else []
        found["aws:principalarn"] = [("ArnLike", *caller.arns), *of_others]
        if kind is PrincipalType.USER:
            found["aws:username"] = [("Null", "false"), ("StringNotLike", "*/*")]
        if kind is PrincipalType.ROOT:
            found["aws:userid"] = any_account
        if kind is PrincipalType.FEDERATED_USER:
            not_named = [("StringNotLike", *(f"{account}:*" for account in named))] if named else []
            of_account = ("StringLike", f"{caller.account or ANY_ACCOUNT}:?*")
            found["aws:userid"] = [of_account, *([] if caller.account else not_named)]
    return found


def _fixed(derived: Mapping[str, str], key: str) -> list[tuple[str, ...]]:
    value = derived.get(key)
    return [("Null", "true")] if value is None else [("StringEquals", value)]
