"""Which callers the principals of an invariant select."""

from __future__ import annotations

import pytest

from iam_guard.analysis.checks.callers import TypicalCaller
from iam_guard.analysis.invariants.access_parties import AnalyzedCaller
from iam_guard.analysis.invariants.principal_selection import PrincipalPattern
from iam_guard.errors import InvalidInput
from iam_guard.model.principal import Principal
from tests.tables import table

ACME, OTHER = "111122223333", "444455556666"
ADA, ADMIN = f"arn:aws:iam::{ACME}:user/ada", f"arn:aws:iam::{ACME}:role/path/admin"
GROUPS = {ADA: frozenset({f"arn:aws:iam::{ACME}:group/legal"})}


def stored(arn: str, principal: Principal, kind: str = "user") -> AnalyzedCaller:
    return AnalyzedCaller(arn, kind, TypicalCaller(principal, ACME, ACME))


def outside(principal: Principal, account: str | None, *, is_any_name: bool = False) -> AnalyzedCaller:
    typical = TypicalCaller(principal, ACME, account)
    return AnalyzedCaller("x", "user", typical, is_outside=True, is_any_name=is_any_name)


CALLERS = {
    "ada": stored(ADA, Principal.from_arn(ADA)),
    "admin": stored(ADMIN, Principal.from_arn(f"arn:aws:sts::{ACME}:assumed-role/admin/x", role_arn=ADMIN), "role"),
    "root": stored(f"arn:aws:iam::{ACME}:root", Principal.from_arn(f"arn:aws:iam::{ACME}:root"), "root"),
    "eve": outside(Principal.from_arn(f"arn:aws:iam::{OTHER}:user/eve"), OTHER),
    "any": outside(Principal.from_arn(f"arn:aws:iam::{OTHER}:user/eve"), None, is_any_name=True),
    "service": outside(Principal.service("backup.amazonaws.com"), None),
    "anonymous": outside(Principal.anonymous(), None),
}


@table(
    ("text", "selected"),
    [
        ("*", {*CALLERS}),
        ("outside", {"eve", "any", "service", "anonymous"}),
        ("anonymous", {"anonymous"}),
        (ACME, {"ada", "admin", "root"}),
        (OTHER, {"eve"}),
        ("user/ada", {"ada"}),
        ("user/*", {"ada", "eve"}),
        ("role/admin", set()),
        ("role/path/admin", {"admin"}),
        ("role/*", {"admin"}),
        ("group/legal", {"ada"}),
        ("group/l?gal", {"ada"}),
        ("root", {"root"}),
        (f"arn:aws:iam::{ACME}:user/ada", {"ada"}),
        (f"arn:aws:iam::{OTHER}:user/ada", set()),
        ("arn:aws:iam::*:user/eve", {"eve"}),
        ("backup.amazonaws.com", {"service"}),
    ],
)
def test_pattern_selects_callers(text: str, selected: set[str]) -> None:
    pattern = PrincipalPattern(text)
    assert {name for name, caller in CALLERS.items() if pattern.selects(caller, GROUPS)} == selected


@table("text", ["", "admin", "role/", "Role/x", "12345", "arn:aws:s3:::b", "arn:aws:sts::1:assumed-role/a/b", "a b.c"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected a principal such as"):
        PrincipalPattern(text)


@table(
    ("text", "arn"),
    [
        (f"arn:aws:iam::{OTHER}:user/eve", f"arn:aws:iam::{OTHER}:user/eve"),
        (f"arn:aws:iam::{OTHER}:role/a/b", f"arn:aws:sts::{OTHER}:assumed-role/b/example"),
        (f"arn:aws:iam::{OTHER}:root", f"arn:aws:iam::{OTHER}:root"),
        ("backup.amazonaws.com", "backup.amazonaws.com"),
        (ADA, None),
        (f"arn:aws:iam::{OTHER}:user/*", None),
        ("user/eve", None),
    ],
)
def test_principals_outside_of_the_store_are_known_by_name(text: str, arn: str | None) -> None:
    found = PrincipalPattern(text).outsider({ACME: None})
    assert (None if found is None else found.arn) == arn
