"""Query plans: a filled database is queried by index, and a decision with an empty cache takes few statements.

Also without table statistics, as right after a large insert.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import boto3
import pytest
from botocore.config import Config
from sqlalchemy import Connection, event, func, select

from iam_guard.api.protocol.app import aws_api
from iam_guard.audit.trail import Trail
from iam_guard.errors import StoreUnavailable
from iam_guard.factory import guard_with_store
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.change_feed import KEPT
from iam_guard.store.database.engine import reading, writing
from iam_guard.store.opening import create_store
from iam_guard.store.schema import changes, meta, metadata
from iam_guard.store.sql_store import SqlStore
from tests.serving import serving
from tests.store.bulk_rows import (
    account_of,
    analyze,
    create_access_key,
    fill,
    resource_arn,
    role_arn,
    user_arn,
)
from tests.store.databases import SEALING_KEY, Server, do_without

USERS = 10_000
LARGE = 5_000
"""The number of rows from which a table must not be scanned."""
JIT_ABOVE_COST = 100_000
"""The estimated cost from which PostgreSQL compiles a query, by default."""

Statement = tuple[str, Any]
DOCUMENT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"docs:Get*","Resource":"*"}]}'
CALLERS = {
    "user": Principal.from_arn(user_arn(77)),
    "role session": Principal.from_arn(f"arn:aws:sts::{account_of(77)}:assumed-role/role77/s", role_arn=role_arn(77)),
    "federated user": Principal.from_arn(f"arn:aws:sts::{account_of(77)}:federated-user/f", user_arn=user_arn(77)),
    "root user": Principal.from_arn(f"arn:aws:iam::{account_of(77)}:root"),
    "federated by root": Principal.from_arn(
        f"arn:aws:sts::{account_of(77)}:federated-user/f", user_arn=f"arn:aws:iam::{account_of(77)}:root"
    ),
}


@pytest.fixture(scope="module", params=["file", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    """A store with many users, before the database has statistics."""
    url = f"sqlite:///{tmp_path_factory.mktemp('filled')}/iam-guard.db"
    server: Server | str = request.getfixturevalue("found_server")
    if request.param == "postgresql":
        if isinstance(server, str):
            do_without(server)
        assert isinstance(server, Server)
        url = server.create()
    store = create_store(url, Settings(sealing_keys=(SEALING_KEY,)))
    fill(store, USERS)
    yield store
    store.close()
    if request.param == "postgresql":
        assert isinstance(server, Server)
        server.drop(url)


@contextmanager
def recorded(store: SqlStore) -> Iterator[list[Statement]]:
    """Record the statements that are sent to a store."""
    found: list[Statement] = []

    def record(_: Connection, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if not statement.startswith("SET LOCAL"):  # a time limit, which has no plan
            found.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", record)
    try:
        yield found
    finally:
        event.remove(store.engine, "before_cursor_execute", record)


def large_tables(store: SqlStore) -> set[str]:
    with reading(store.engine) as connection:
        counts = {
            t.name: connection.execute(select(func.count()).select_from(t)).scalar_one() for t in metadata.sorted_tables
        }
    return {name for name, count in counts.items() if count >= LARGE}


def scanned_tables(store: SqlStore, statement: Statement) -> set[str]:
    """Return the tables that the plan of a statement scans."""
    rows = explained(store, statement)
    if store.engine.dialect.name == "postgresql":
        return set(_scans(rows[0][0][0]["Plan"]))
    return {found[1] for row in rows if (found := re.match(r"SCAN (\w+)", row[-1]))}


def explained(store: SqlStore, statement: Statement) -> Sequence[Any]:
    """Return the plan of a statement, in the form of its database."""
    explain = "EXPLAIN (FORMAT JSON) " if store.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    with reading(store.engine) as connection:
        return connection.exec_driver_sql(explain + statement[0], statement[1]).all()


def _scans(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the tables that a node of a PostgreSQL plan, or its children, read without an index condition."""
    if plan["Node Type"] == "Seq Scan" or (plan["Node Type"].startswith("Index") and "Index Cond" not in plan):
        yield plan["Relation Name"]
    for child in plan.get("Plans", ()):
        yield from _scans(child)


def decide(store: SqlStore, principal: Principal, resource: str) -> list[Statement]:
    """Return the statements of a decision by a guard that has just been opened."""
    settings = Settings(epoch_poll=3600)  # a second poll would load the ARNs that have a record
    guard = Guard(CachedStore(store, settings), Trail(None), settings)
    with recorded(store) as statements:
        assert guard.decide(principal, "docs:Get", resource).error is None
    guard.uses.close()  # or its thread uses the store when it is closed
    return statements


def authenticate(store: SqlStore) -> list[Statement]:
    """Return the statements of authentication by keys, and of loading the certificate trust."""
    with recorded(store) as statements:
        for find in (store.access_key, store.api_key):
            for id in ("AKIA77", "key77", "ACCA77", "nothing"):
                with suppress(StoreUnavailable, ValueError):  # the keys of `fill` are not valid
                    find(id)
        store.certificate_trust()
        store.epoch()
    return statements


def manage(store: SqlStore) -> Iterator[list[Statement]]:
    """Yield the statements of the most frequent operations of the IAM API."""
    key = create_access_key(store, None)
    guard = guard_with_store(store, Settings(sealing_keys=(SEALING_KEY,)))
    with serving(aws_api(guard)) as url:
        options = {"aws_access_key_id": key[0], "aws_secret_access_key": key[1], "region_name": "us-east-1"}
        iam = boto3.client("iam", endpoint_url=url, config=Config(retries={"max_attempts": 1}), **options)
        for operation, parameters in OPERATIONS:
            with recorded(store) as statements:
                getattr(iam, operation)(**parameters)
            yield statements
    guard.uses.close()


USER, ROLE, GROUP = ({f"{kind}Name": f"{kind.lower()}100"} for kind in ("User", "Role", "Group"))
POLICY = {"PolicyArn": f"arn:aws:iam::{account_of(77)}:policy/policy100"}
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("create_user", {"UserName": "new", "Tags": [{"Key": "a", "Value": "b"}]}),
    ("tag_user", {"UserName": "new", "Tags": [{"Key": "c", "Value": "d"}]}),
    ("attach_user_policy", {"UserName": "new"} | POLICY),
    ("put_user_policy", {"UserName": "new", "PolicyName": "p", "PolicyDocument": DOCUMENT}),
    ("add_user_to_group", {"UserName": "new"} | GROUP),
    ("create_access_key", {"UserName": "new"}),
    ("update_user", {"UserName": "new", "NewUserName": "newer"}),
    ("untag_user", {"UserName": "newer", "TagKeys": ["a"]}),
    ("detach_user_policy", {"UserName": "newer"} | POLICY),
    ("delete_user_policy", {"UserName": "newer", "PolicyName": "p"}),
    ("remove_user_from_group", {"UserName": "newer"} | GROUP),
    ("create_user", {"UserName": "short-lived"}),
    ("delete_user", {"UserName": "short-lived"}),
    ("get_user", USER),
    ("get_role", ROLE),
    ("get_group", GROUP | {"MaxItems": 10}),
    ("get_policy", POLICY),
    ("list_users", {"MaxItems": 10}),
    ("list_users", {"MaxItems": 10, "PathPrefix": "/none/"}),
    ("list_roles", {"MaxItems": 10}),
    ("list_groups", {"MaxItems": 10}),
    ("list_policies", {"MaxItems": 10}),
    ("list_attached_user_policies", USER),
    ("list_attached_group_policies", GROUP),
    ("list_user_policies", USER),
    ("list_user_tags", USER),
    ("list_groups_for_user", USER),
    ("list_access_keys", USER),
    ("list_entities_for_policy", POLICY),
    ("list_mfa_devices", USER),
    ("list_service_specific_credentials", USER),
]


RESOURCES = (resource_arn(77), resource_arn(10**9), f"arn:aws:docs:us-east-1:{account_of(5_000)}:document/none", "*")


def test_long_feed_is_read_by_index(filled: SqlStore) -> None:
    """And PostgreSQL does not compile the query, which would take it longer than all the rest."""
    state = filled.changes(None).state
    with writing(filled.engine) as connection:
        connection.execute(changes.insert(), [row_of_feed(state.epoch + number) for number in range(1, KEPT + 1)])
        connection.execute(meta.update().values(epoch=state.epoch + KEPT))
    for since in (state._replace(epoch=state.epoch + KEPT - 5), None):
        with recorded(filled) as statements:
            filled.changes(since)
        (statement,) = statements
        assert "changes" not in scanned_tables(filled, statement)
        if filled.is_remote:
            assert explained(filled, statement)[0][0][0]["Plan"]["Total Cost"] < JIT_ABOVE_COST


def row_of_feed(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "mark": f"{epoch:016}", "names": ["*"], "time": 0}


def test_decision_on_filled_store_scans_no_table(filled: SqlStore, subtests: pytest.Subtests) -> None:
    """Every statement of authentication and of decisions, with and without table statistics."""
    large = large_tables(filled)
    assert {"identities", "attachments", "memberships", "placements", "control_attachments", "resources"} <= large
    for state in ("without statistics", "with statistics"):
        for name, principal in CALLERS.items():
            for resource in RESOURCES:
                with subtests.test(f"{state}: {name} on {resource}"):
                    for statement in decide(filled, principal, resource):
                        assert scanned_tables(filled, statement) & large == set()
        with subtests.test(f"{state}: sign-in"):
            for statement in authenticate(filled):
                assert scanned_tables(filled, statement) & large == set()
        analyze(filled)


def test_cold_decision_takes_two_statements(filled: SqlStore, subtests: pytest.Subtests) -> None:
    """The epoch poll, and one query for everything else; the access key is a third."""
    for name, principal in CALLERS.items():
        for resource in RESOURCES:
            with subtests.test(f"{name} on {resource}"):
                assert len(decide(filled, principal, resource)) == 2
    with recorded(filled) as statements, suppress(StoreUnavailable):
        filled.access_key("AKIA77")
    assert len(statements) == 1


def test_api_operation_on_filled_store_scans_no_table(filled: SqlStore, subtests: pytest.Subtests) -> None:
    """An operation on one user costs the same as in a small store; a page, as much as its rows."""
    large = large_tables(filled)
    for (operation, _), statements in zip(OPERATIONS, manage(filled), strict=True):
        for statement in statements:
            if statement[0].startswith(("SELECT resources.arn", "SELECT iam_guard.resources.arn")):
                continue  # the first page of the ARNs with a record, which each process reads once
            with subtests.test(operation, statement=statement[0]):
                assert scanned_tables(filled, statement) & large == set()
