"""How the entries of `Principal` name a caller, and which callers `NotPrincipal` exempts."""

from __future__ import annotations

from dataclasses import replace

from iam_guard.evaluation.matching.principal import PrincipalMatch, Principals
from iam_guard.model.principal import Principal
from tests.tables import table

HERE, THERE = "111122223333", "444455556666"
ROOT_ARN = f"arn:aws:iam::{HERE}:root"
USER_ARN = f"arn:aws:iam::{HERE}:user/team/ann"
ROLE_ARN = f"arn:aws:iam::{HERE}:role/team/dev"
SESSION_ARN = f"arn:aws:sts::{HERE}:assumed-role/dev/ann"
FEDERATED_ARN = f"arn:aws:sts::{HERE}:federated-user/fred"
SERVICE_NAME = "events.amazonaws.com"

ROOT = Principal.from_arn(ROOT_ARN)
USER = Principal.from_arn(USER_ARN, userid="AIDAANN")
SESSION = Principal.from_arn(SESSION_ARN, role_arn=ROLE_ARN, userid="AROADEV:ann")
FEDERATED = Principal.from_arn(FEDERATED_ARN, user_arn=USER_ARN)
SERVICE = Principal.service(SERVICE_NAME)
PROVIDER_ARN = f"arn:aws:iam::{HERE}:oidc-provider/id.example.com"
WEB_IDENTITY = Principal.federated(PROVIDER_ARN, userid=f"{PROVIDER_ARN}:app:ann", keys={})
ANONYMOUS = Principal.anonymous()
CALLERS = {
    "root": ROOT,
    "user": USER,
    "session": SESSION,
    "federated": FEDERATED,
    "service": SERVICE,
    "web identity": WEB_IDENTITY,
    "anonymous": ANONYMOUS,
}
DIRECT, PARENT, ACCOUNT = PrincipalMatch.DIRECT, PrincipalMatch.PARENT, PrincipalMatch.ACCOUNT


@table(
    ("kind", "value", "expected"),
    [
        # G-45, E-61, E-62: every caller
        ("AWS", "*", dict.fromkeys(CALLERS, DIRECT)),
        # G-42, G-51, E-20: the account, in both spellings
        ("AWS", HERE, {"root": DIRECT, "user": ACCOUNT, "session": ACCOUNT, "federated": ACCOUNT}),
        ("AWS", ROOT_ARN, {"root": DIRECT, "user": ACCOUNT, "session": ACCOUNT, "federated": ACCOUNT}),
        ("AWS", THERE, {}),
        ("AWS", f"arn:aws:iam::{THERE}:root", {}),
        ("AWS", f"arn:aws-cn:iam::{HERE}:root", {}),  # M-16
        # E-20: the caller itself, and its parents
        ("AWS", USER_ARN, {"user": DIRECT, "federated": PARENT}),
        ("AWS", SESSION_ARN, {"session": DIRECT}),
        ("AWS", ROLE_ARN, {"session": PARENT}),
        ("AWS", FEDERATED_ARN, {"federated": DIRECT}),
        # P-3: the role with its path
        ("AWS", f"arn:aws:iam::{HERE}:role/dev", {}),
        # P-7: unique ids
        ("AWS", "AIDAANN", {"user": DIRECT}),
        ("AWS", "AROADEV", {"session": PARENT}),
        ("AWS", "AROADEV:ann", {}),
        ("AWS", "AROA", {}),
        # G-44, G-50: letter by letter, wildcards too
        ("AWS", USER_ARN.upper(), {}),
        ("AWS", f"arn:aws:iam::{HERE}:user/*", {}),
        ("AWS", "1111*", {}),
        # G-47, E-60
        ("Service", SERVICE_NAME, {"service": DIRECT}),
        ("Service", "events.eu-west-1.amazonaws.com", {}),
        ("Service", "EVENTS.amazonaws.com", {}),
        ("Service", HERE, {}),
        ("AWS", SERVICE_NAME, {}),
        ("AWS", "anonymous", {}),
        ("AWS", "", {}),
        # G-48: the provider, letter by letter, and under its own word
        ("Federated", PROVIDER_ARN, {"web identity": DIRECT}),
        ("Federated", PROVIDER_ARN.upper(), {}),
        ("Federated", PROVIDER_ARN + "/x", {}),
        ("AWS", PROVIDER_ARN, {}),
        ("Service", PROVIDER_ARN, {}),
        ("Federated", "accounts.google.com", {}),
        ("Federated", USER_ARN, {}),
        ("CanonicalUser", "f" * 64, {}),
        ("CanonicalUser", HERE, {}),
    ],
)
def test_entry_names_callers(kind: str, value: str, expected: dict[str, PrincipalMatch]) -> None:
    """Rules E-20, E-60 to E-62, G-42 to G-51, P-3, P-7, as marked in the table."""
    principals = Principals([(kind, value)])
    assert {name: kin for name, caller in CALLERS.items() if (kin := principals.match(caller))} == expected


def test_most_direct_match_counts() -> None:
    """Rules E-22, G-41: entries are ORed, and the most direct match counts, in any position."""
    entries = [("AWS", HERE), ("AWS", ROLE_ARN), ("Service", SERVICE_NAME)]
    for order in (entries, entries[::-1]):
        assert Principals(order).match(SESSION) is PARENT
        assert Principals(order).match(USER) is ACCOUNT
        assert Principals(order).match(SERVICE) is DIRECT
    assert Principals([*entries, ("AWS", SESSION_ARN)]).match(SESSION) is DIRECT
    assert ACCOUNT < PARENT < DIRECT


def test_empty_element_names_no_caller() -> None:
    """Rule G-27."""
    assert not any(Principals([]).match(caller) for caller in CALLERS.values())


def test_missing_id_matches_no_entry() -> None:
    """A caller without an id is not matched by an id or by an empty entry."""
    entries = [("AWS", ""), ("AWS", "None"), ("AWS", "AIDA"), ("AWS", "AROA")]
    assert Principals(entries).match(replace(USER, userid=None)) is None
    assert Principals(entries).match(replace(SESSION, userid=None)) is None
    assert Principals(entries).match(FEDERATED) is None


def test_root_arn_has_the_partition_of_the_caller() -> None:
    """Rules G-51, M-16."""
    caller = Principal.from_arn(f"arn:aws-cn:iam::{HERE}:user/ann")
    assert Principals([("AWS", f"arn:aws-cn:iam::{HERE}:root")]).match(caller) is ACCOUNT
    assert Principals([("AWS", ROOT_ARN)]).match(caller) is None


def test_user_id_is_never_taken_for_an_account() -> None:
    """Rule P-7: also if it looks like an account id or an ARN."""
    assert Principals([("AWS", THERE)]).match(replace(USER, userid=THERE)) is None
    assert (
        Principals([("AWS", f"arn:aws:iam::{THERE}:root")]).match(replace(USER, userid=f"arn:aws:iam::{THERE}:root"))
        is None
    )


@table(
    ("entries", "exempt"),
    [
        # E-71: the leaf and all its parents
        ([HERE], {"root"}),
        ([ROOT_ARN], {"root"}),
        ([HERE, USER_ARN], {"root", "user"}),
        ([ROOT_ARN, USER_ARN], {"root", "user"}),
        ([HERE, "AIDAANN"], {"root", "user"}),
        ([HERE, ROLE_ARN, SESSION_ARN], {"root", "session"}),
        ([HERE, "AROADEV", SESSION_ARN], {"root", "session"}),
        ([HERE, FEDERATED_ARN], {"root", "federated"}),
        # E-72, strict: a parent is missing
        ([USER_ARN], set()),
        ([SESSION_ARN], set()),
        ([ROLE_ARN, SESSION_ARN], set()),
        ([HERE, SESSION_ARN], {"root"}),
        ([FEDERATED_ARN], set()),
        # E-73: the role does not exempt its sessions
        ([HERE, ROLE_ARN], {"root"}),
        ([HERE, ROLE_ARN, f"arn:aws:sts::{HERE}:assumed-role/dev/*"], {"root"}),
        ([THERE, USER_ARN], set()),
        # E-75
        (["*"], set()),
        ([], set()),
        ([SERVICE_NAME, "anonymous"], set()),
    ],
)
def test_not_principal_exempts_callers_with_all_parents_listed(entries: list[str], exempt: set[str]) -> None:
    """Rules E-70 to E-75."""
    principals = Principals([("AWS", entry) for entry in entries])
    assert {name for name, caller in CALLERS.items() if principals.exempts(caller)} == exempt


def test_not_principal_exempts_a_listed_service() -> None:
    """Rule E-75."""
    assert Principals([("Service", SERVICE_NAME)]).exempts(SERVICE)
    assert not Principals([("Service", "sns.amazonaws.com")]).exempts(SERVICE)


def test_not_principal_exempts_callers_of_a_listed_provider() -> None:
    """Rule E-71: the provider is sufficient; the account of its registration need not be listed."""
    assert Principals([("Federated", PROVIDER_ARN)]).exempts(WEB_IDENTITY)
    assert not Principals([("AWS", HERE), ("AWS", PROVIDER_ARN)]).exempts(WEB_IDENTITY)


def test_not_principal_exempts_no_caller_with_a_boundary() -> None:
    """Rule E-74."""
    principals = Principals([("AWS", HERE), ("AWS", USER_ARN), ("AWS", ROLE_ARN), ("AWS", SESSION_ARN)])
    for caller in (USER, SESSION):
        assert principals.exempts(caller)
        assert not principals.exempts(replace(caller, has_boundary=True))


def test_role_id_ends_at_the_first_colon() -> None:
    """Rules P-3, P-7: for any session name, or without one."""
    for userid in ("AROADEV", "AROADEV:ann", "AROADEV:ann:x"):
        session = replace(SESSION, userid=userid)
        assert Principals([("AWS", "AROADEV")]).match(session) is PARENT
    assert Principals([("AWS", "AROADEV")]).match(replace(SESSION, userid=None)) is None
