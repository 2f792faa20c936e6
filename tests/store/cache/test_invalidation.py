"""Invalidation by changes: the sets of tables agree with the queries of the store (rule T-9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, Table
from sqlalchemy.sql import visitors
from sqlalchemy.sql.expression import ClauseElement

from iam_guard.store.cache import invalidation
from iam_guard.store.database import queries
from iam_guard.store.database.engine import make_engine, reading, writing
from iam_guard.store.database.records import Records
from iam_guard.store.migrations import upgrade
from iam_guard.store.policies.decision_query import decision_query
from iam_guard.store.schema import (
    access_keys,
    accounts,
    api_keys,
    attachments,
    browser_sessions,
    control_attachments,
    control_policies,
    federated_sessions,
    identities,
    inline_policies,
    login_profiles,
    memberships,
    metadata,
    oidc_providers,
    organizations,
    placements,
    policies,
    policy_versions,
    resources,
    trust_anchors,
    units,
)
from iam_guard.store.schema.facts import UNCACHED, facts_of
from tests.tables import table

ACME, UMBRELLA = "111122223333", "444455556666"
QUERIES: list[ClauseElement] = [
    queries.epoch(),
    decision_query("sqlite", has_principal=True, account_count=2, has_resource=True),
    queries.access_key("AKIA1"),
    queries.api_key("abcd"),
    queries.browser_session(),
    queries.federated_session(),
    queries.anchors(),
    queries.anchors_lists(),
    queries.profiles(),
    queries.default_texts(["ANPA1"]),
    queries.resource_arns("arn:aws:docs:::1", 10),
]


def read_tables() -> set[str]:
    """Return the tables that cached answers are read from."""
    return {table.name for query in QUERIES for table in visitors.iterate(query) if isinstance(table, Table)}


def test_every_query_is_in_the_list() -> None:
    """A new function in `queries` must be added to the list here."""
    names = {name for name, value in vars(queries).items() if getattr(value, "__module__", "") == queries.__name__}
    assert {name for name in names if name[0] != "_"} - {"storable"} == {
        "epoch", "access_key", "api_key", "browser_session", "federated_session", "anchors", "anchors_lists",
        "profiles", "default_texts", "resource_arns",
    }  # fmt: skip


def test_cached_tables_invalidate_something() -> None:
    """Their changes do; a new row may be in no cached answer yet."""
    cached = {name for name, table in metadata.tables.items() if facts_of(table).names != UNCACHED}
    assert read_tables() - {"meta"} <= cached  # the epoch
    assert all(facts_of(metadata.tables[name]).on_delete for name in cached)


def test_declared_names_have_columns_of_their_table() -> None:
    for name, declared in metadata.tables.items():
        facts, columns = facts_of(declared), set(declared.columns.keys())
        for names in (facts.on_insert, facts.names, facts.on_delete):
            assert set(invalidation._columns(names)) <= columns, name
            assert not set(invalidation._columns(names)) & set(facts.unread.split()), name
        assert {*facts.unread.split(), *facts.key.split()} <= columns, name


WRITES: dict[str, tuple[Callable[[Records], object], set[str]]] = {
    "user's policy": (lambda r: r.delete(attachments, identity_id="AIDA1", policy_id="ANPA1"), {"identity:AIDA1"}),
    "group's policy": (
        lambda r: r.update(inline_policies, {"text": "{}"}, identity_id="AGPA1", folded="x"),
        {"identity:AIDA1", "identity:AIDA2"},
    ),
    "all of a policy's attachments": (lambda r: r.delete(attachments, policy_id="ANPA1"), {"identity:AIDA1"}),
    "moved attachment": (
        lambda r: r.update(attachments, {"identity_id": "AIDA2"}, identity_id="AIDA1"),
        {"identity:AIDA1", "identity:AIDA2"},
    ),
    "membership": (
        lambda r: r.insert(memberships, user_id="AIDA3", group_id="AGPA1"),
        {"identity:AIDA3"},
    ),
    "emptied group": (lambda r: r.delete(memberships, group_id="AGPA1"), {"identity:AIDA1", "identity:AIDA2"}),
    "deleted group": (
        lambda r: r.delete(identities, id="AGPA1"),
        {"identity:AIDA1", "identity:AIDA2", f"newcomers:{ACME}", "bound:AGPA1", "bound", "trust"},
    ),
    "default version": (
        lambda r: r.update(policies, {"default_version": 2}, id="ANPA1"),
        {"policy:ANPA1", "identity:AIDA1", "identity:AROA1"},
    ),
    "tags of a policy": (lambda r: r.update(policies, {"tags": {"a": "b"}}, id="ANPA1"), set()),
    "new version": (
        lambda r: r.insert(policy_versions, policy_id="ANPA1", version=3, text="{}", digest="", created=0),
        set(),
    ),
    "tags of a user": (lambda r: r.update(identities, {"tags": {}}, id="AIDA1"), {"identity:AIDA1"}),
    "renamed user": (
        lambda r: r.update(identities, {"name": "x", "folded": "x"}, id="AIDA1"),
        {"identity:AIDA1", f"newcomers:{ACME}", "bound:AIDA1", "bound", "trust"},
    ),
    "user of another account": (
        lambda r: r.update(identities, {"account": UMBRELLA}, id="AIDA1"),
        {"identity:AIDA1", f"newcomers:{ACME}", f"newcomers:{UMBRELLA}", "bound:AIDA1", "bound", "trust"},
    ),
    "description of a role": (lambda r: r.update(identities, {"description": "x"}, id="AROA1"), set()),
    "trust policy": (
        lambda r: r.update(identities, {"trust_text": "{}"}, id="AROA1"),
        {"identity:AROA1", f"trust:{ACME}"},
    ),
    "resource": (lambda r: r.update(resources, {"text": "{}"}, arn="arn:x"), {"resource:arn:x"}),
    "an account's resources": (lambda r: r.delete(resources, account=ACME), {"resource:arn:x", "resource:arn:y"}),
    "status of an access key": (
        lambda r: r.update(access_keys, {"status": "Inactive"}, id="AKIA1"),
        {"credential:AKIA1", "session:fd1"},
    ),
    "use of a session without a person": (lambda r: r.update(federated_sessions, {"seen": 7}, digest="fd1"), set()),
    "session without a person": (lambda r: r.delete(federated_sessions, parent_key_id="AKIA1"), {"session:fd1"}),
    "use of an API key": (lambda r: r.update(api_keys, {"used": 7}, id="key"), set()),
    "state of an API key": (lambda r: r.update(api_keys, {"status": "Inactive"}, id="key"), {"credential:key"}),
    "use of a session": (lambda r: r.update(browser_sessions, {"seen": 7}, id="bs-1"), set()),
    "ended session": (lambda r: r.delete(browser_sessions, id="bs-1"), {"session:d1"}),
    "ended sessions of a user": (
        lambda r: r.delete(browser_sessions, account=ACME, user_id="AIDA1"),
        {"session:d1", "session:d2"},
    ),
    "ended session of a root user": (
        lambda r: r.delete(browser_sessions, account=ACME, user_id=None),
        {"session:d3"},
    ),
    "done task of a session": (lambda r: r.update(browser_sessions, {"task": None}, digest="d1"), {"session:d1"}),
    "control policy": (
        lambda r: r.update(control_policies, {"text": "{}"}, id="p-1"),
        {f"account:{ACME}", f"account:{UMBRELLA}"},
    ),
    "attachment to a unit": (
        lambda r: r.delete(control_attachments, policy_id="p-1", target="r-1"),
        {f"account:{ACME}", f"account:{UMBRELLA}"},
    ),
    "attachment to an account": (
        lambda r: r.insert(control_attachments, policy_id="p-1", target=ACME, account=ACME),
        {f"account:{ACME}"},
    ),
    "moved unit": (lambda r: r.update(units, {"parent_id": "r-1"}, id="ou-1"), {f"account:{UMBRELLA}"}),
    "placed account": (lambda r: r.update(placements, {"unit_id": "r-1"}, account=UMBRELLA), {f"account:{UMBRELLA}"}),
    "alias": (lambda r: r.update(accounts, {"alias": "x"}, id=ACME), set()),
    "deleted account": (lambda r: r.delete(accounts, id=UMBRELLA), {"*"}),
    "provider": (lambda r: r.delete(oidc_providers, account=ACME), {f"trust:{ACME}"}),
    "anchor": (lambda r: r.delete(trust_anchors, account=ACME), {"certificates"}),
    "login profile": (lambda r: r.delete(login_profiles, account=ACME), set()),
}
"""A change of rows -> the names that it invalidates."""


@table(("write", "names"), WRITES.values(), ids=list(WRITES))
def test_change_names_what_it_invalidates(rows: Engine, write: Callable[[Records], object], names: set[str]) -> None:
    with reading(rows) as connection:
        records = Records(lambda: connection, writes=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(records, "_change", lambda *_: 0)  # a change of what is read next would need other rows
            write(records)
        assert records.invalidation.names == names


def test_many_names_are_replaced_by_wider_ones(rows: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """All callers of the account; in the end, everything."""
    monkeypatch.setattr(invalidation, "MAX_NAMES", 1)
    for write, names in (
        (WRITES["group's policy"][0], {f"callers:{ACME}"}),
        (WRITES["default version"][0], {"*"}),
        (WRITES["control policy"][0], {"*"}),
    ):
        with reading(rows) as connection, monkeypatch.context() as patch:
            records = Records(lambda connection=connection: connection, writes=True)
            patch.setattr(records, "_change", lambda *_: 0)
            write(records)
            assert records.invalidation.names == names


@pytest.fixture(scope="module")
def rows() -> Iterator[Engine]:
    """A store with two accounts in an organization, users, a group, a role and their policies."""
    engine = make_engine("sqlite://")
    upgrade(engine)
    shared = {"tags": {}, "created": 0}
    with writing(engine) as connection:
        records = Records(lambda: connection, writes=True)
        for id in (ACME, UMBRELLA):
            records.insert(accounts, id=id, name="x", created=0)
        policy = {"account": ACME, "path": "/", "name": "p", "folded": "p", "description": "", "default_version": 1}
        records.insert(policies, id="ANPA1", **policy, **shared)
        for id, kind in (
            ("AIDA1", "user"),
            ("AIDA2", "user"),
            ("AIDA3", "user"),
            ("AGPA1", "group"),
            ("AROA1", "role"),
        ):
            named = {"account": ACME, "kind": kind, "path": "/", "name": id, "folded": id, "description": ""}
            boundary = "ANPA1" if kind == "role" else None
            records.insert(identities, id=id, **named, **shared, trust_bindings={}, boundary_id=boundary)
        for user in ("AIDA1", "AIDA2"):
            records.insert(memberships, user_id=user, group_id="AGPA1")
        records.insert(attachments, identity_id="AIDA1", policy_id="ANPA1")
        for arn in ("arn:x", "arn:y"):
            records.insert(resources, arn=arn, account=ACME, tags={}, bindings={})
        records.insert(organizations, id="o-1", management_account=ACME, scps_enabled=True, rcps_enabled=True)
        records.insert(units, id="r-1", organization_id="o-1", parent_id=None, name="Root", folded="root")
        records.insert(units, id="ou-1", organization_id="o-1", parent_id="r-1", name="Unit", folded="unit")
        records.insert(placements, account=ACME, unit_id="r-1")
        records.insert(placements, account=UMBRELLA, unit_id="ou-1")
        control = {"type": "SCP", "name": "x", "folded": "x", "description": "", "text": "{}", "digest": ""}
        records.insert(control_policies, id="p-1", organization_id="o-1", **control)
        records.insert(control_attachments, policy_id="p-1", target="r-1", unit_id="r-1")
        times = {"created": 0, "seen": 0, "expires": 9, "methods": [], "address": "", "user_agent": ""}
        for number, owner in ((1, "AIDA1"), (2, "AIDA1"), (3, None)):
            session = {"digest": f"d{number}", "id": f"bs-{number}", "account": ACME, "user_id": owner}
            records.insert(browser_sessions, **session, **times)
        records.insert(access_keys, id="AKIA1", account=ACME, sealed=b"", status="Active", created=0)
        session = {"digest": "fd1", "id": "fs-1", "account": ACME, "parent_key_id": "AKIA1", "userid": "1:eve"}
        times = {"created": 0, "seen": 0, "expires": 1, "terms": [], "method": "credentials"}
        records.insert(federated_sessions, address="", user_agent="", **session, **times)
    yield engine
    engine.dispose()
