"""`guard.sharing`: who gets access, in decisions and lists, and what is recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, select
from sqlalchemy.orm import Session

from iam_guard import Guard, Principal, Resource
from iam_guard.errors import (
    NoSuchEntity,
)
from iam_guard.policy.share_statements import Share
from iam_guard.store.schema import identities
from tests.administration.sharing.sharing_parts import (
    ACME,
    AUDITOR,
    BOB,
    EVE,
    GLOBEX,
    MAX,
    ONE_STATEMENT,
    PLAN,
    SESSION,
    Base,
    Document,
    may,
    reset,
    seeded,
    sids,
)
from tests.tables import table


@table(
    ("grantee", "allowed", "denied", "sid"),
    [
        ({"with_account": GLOBEX}, [EVE, MAX, SESSION], [BOB], f"ShareWithAccount{GLOBEX}"),
        ({"with_principal": EVE}, [EVE], [BOB, MAX, SESSION], f"ShareWithUserEveOf{GLOBEX}"),
        ({"with_principal": MAX}, [MAX], [BOB, EVE], f"ShareWithUserMaxOf{GLOBEX}"),
        ({"with_principal": BOB}, [BOB], [EVE], f"ShareWithUserBobOf{ACME}"),
        ({"with_principal": AUDITOR}, [SESSION], [EVE], f"ShareWithRoleAuditorOf{GLOBEX}"),
        ({"with_principal": SESSION}, [SESSION], [f"{SESSION}2"], f"ShareWithSessionAuditorJaneOf{GLOBEX}"),
        ({"public": True}, [BOB, EVE, SESSION], [], "ShareWithEveryone"),
    ],
)
def test_share_allows_its_grantee_at_once(
    opened: Guard, grantee: dict[str, Any], allowed: list[str], denied: list[str], sid: str
) -> None:
    """And no other caller, nor another action; without the share, the policy is gone."""
    reset(opened)
    assert not any(may(opened, arn) for arn in allowed)
    share = opened.sharing.share(PLAN, actions="docs:GetDocument", **grantee)
    assert share == Share(share.grantee, ("docs:GetDocument",), sid, is_written_by_hand=False)
    assert opened.sharing.shares_of(PLAN) == [share]
    assert [may(opened, arn) for arn in (*allowed, *denied)] == [True] * len(allowed) + [False] * len(denied)
    assert not any(may(opened, arn, "docs:PutDocument") for arn in allowed)
    assert opened.sharing.unshare(PLAN, **grantee) == []
    assert not any(may(opened, arn) for arn in allowed)
    assert opened.resource_policies.get(PLAN) is None


def test_lists_of_another_account_have_the_share(guard: Guard) -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(insert(Document), [{"id": 1, "account": ACME}, {"id": 2, "account": ACME}])

        def listed(arn: str) -> list[int]:
            query = guard.filter(select(Document.id), "docs:GetDocument", principal=Principal.from_arn(arn))
            return list(session.scalars(query))

        assert listed(EVE) == []
        guard.sharing.share(PLAN, with_account=GLOBEX, actions=["docs:GetDocument"])
        assert (listed(EVE), listed(SESSION), listed(BOB)) == ([1], [1], [])
        guard.sharing.unshare(PLAN, with_account=GLOBEX)
        assert listed(EVE) == []
    engine.dispose()


def test_share_of_the_same_grantee_is_extended(guard: Guard) -> None:
    """One statement; names are those that are declared, and each action is there once."""
    guard.sharing.share(PLAN, with_principal=EVE, actions=["docs:PutDocument"])
    guard.sharing.share(PLAN, with_account=GLOBEX, actions=["docs:ListDocuments"])
    share = guard.sharing.share(PLAN, with_principal=EVE, actions=["docs:getdocument", "docs:PutDocument"])
    assert share.actions == ("docs:GetDocument", "docs:PutDocument")
    assert sids(guard) == [f"ShareWithUserEveOf{GLOBEX}", f"ShareWithAccount{GLOBEX}"]
    remaining = guard.sharing.unshare(PLAN, with_principal=EVE, actions="docs:PUTDOCUMENT")
    assert [found.actions for found in remaining] == [("docs:GetDocument",), ("docs:ListDocuments",)]
    assert (may(guard, EVE), may(guard, EVE, "docs:PutDocument")) == (True, False)


def test_policy_is_readable(guard: Guard) -> None:
    guard.sharing.share(PLAN, with_account=GLOBEX, actions=["docs:PutDocument", "docs:GetDocument"])
    assert guard.resource_policies.current(PLAN) == json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": f"ShareWithAccount{GLOBEX}",
                    "Effect": "Allow",
                    "Principal": {"AWS": GLOBEX},
                    "Action": ["docs:GetDocument", "docs:PutDocument"],
                    "Resource": PLAN,
                }
            ],
        },
        indent=2,
    )


def test_policy_that_was_shown_and_saved_again_keeps_its_shares(guard: Guard) -> None:
    """With the root of the account, which `get` shows, for its id."""
    guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:GetDocument")
    guard.resource_policies.put(PLAN, guard.resource_policies.get(PLAN) or "")
    guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:PutDocument")
    assert sids(guard) == [f"ShareWithAccount{GLOBEX}"]
    assert guard.sharing.unshare(PLAN, with_account=GLOBEX) == []


@table("arn", ["arn:aws:docs:::document/$1", "arn:aws:docs:::document/${aws:username}", "arn:aws:docs:::document/é"])
def test_resource_name_is_taken_literally(opened: Guard, arn: str) -> None:
    """In either version of the language; the owner of an ARN without account is given."""
    for before in (None, ONE_STATEMENT):
        reset(opened)
        if before is not None:
            opened.resource_policies.put(arn, before, account=ACME)
        opened.sharing.share(arn, with_principal=EVE, actions="docs:GetDocument", account=ACME)
        eve, described = Principal.from_arn(EVE), Resource(arn, ACME)
        assert opened.decide(eve, "docs:GetDocument", described).allowed
        opened.sharing.unshare(arn, with_principal=EVE, account=ACME)
        assert not opened.decide(eve, "docs:GetDocument", described).allowed


def test_new_user_of_the_same_name_has_no_share(guard: Guard) -> None:
    """It can get one of its own; that of the deleted user is ended by its unique id (P-6)."""
    guard.sharing.share(PLAN, with_principal=EVE, actions="docs:GetDocument")
    with guard.store.write_transaction() as records:
        records.delete(identities, account=GLOBEX, folded="eve")
    seeded(guard)
    guard.sharing.share(PLAN, with_principal=BOB, actions="docs:PutDocument")
    assert not may(guard, EVE)
    with pytest.raises(NoSuchEntity):
        guard.sharing.unshare(PLAN, with_principal=EVE)
    guard.sharing.share(PLAN, with_principal=EVE, actions="docs:PutDocument")
    assert (may(guard, EVE), may(guard, EVE, "docs:PutDocument")) == (False, True)
    deleted = guard.sharing.shares_of(PLAN)[0].grantee
    assert deleted.startswith("AIDA")
    guard.sharing.unshare(PLAN, with_principal=deleted)
    assert [share.grantee for share in guard.sharing.shares_of(PLAN)] == [BOB, EVE]


def test_renamed_user_keeps_the_share(guard: Guard) -> None:
    """Its new name extends and ends it (P-10)."""
    guard.sharing.share(PLAN, with_principal=EVE, actions="docs:GetDocument")
    with guard.store.write_transaction() as records:
        records.update(identities, {"name": "eva", "folded": "eva"}, account=GLOBEX, folded="eve")
    guard.refresh()
    renamed = EVE.replace("eve", "eva")
    share = guard.sharing.share(PLAN, with_principal=renamed, actions="docs:PutDocument")
    assert (share.sid, share.actions) == (f"ShareWithUserEveOf{GLOBEX}", ("docs:GetDocument", "docs:PutDocument"))
    assert may(guard, renamed)
    assert guard.sharing.unshare(PLAN, with_principal=renamed) == []
