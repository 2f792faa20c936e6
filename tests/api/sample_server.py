"""A server with two accounts that each have one of each entity (`sample_entities`), and an audit trail in memory.

The first account manages an organization, in which a service control policy limits the second. The first has users with
every permission, with none, with an explicit Deny, and one whose permissions each test sets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from sqlalchemy import select

from iam_guard.api.protocol.app import aws_api
from iam_guard.audit.trail import Trail
from iam_guard.guard.guard import Guard
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from iam_guard.store.schema import access_key_uses, metadata, service_uses
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import Snapshot
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running
from tests.api.every_operation import ARN
from tests.api.sample_entities import NONE_OF_IAM, create_entities, key_of, seeded_account, seeded_user
from tests.audit.list_sink import ListSink
from tests.serving import serving

GIVEN_POLICY = f"{ARN}policy/team/given"
OTHER_POLICY = f"{ARN}policy/other"
THEIR_SECRET = "known-to-globex-alone"
"""In the other account's entities; the first account must never see it."""

_ADMINISTRATOR: Mapping[str, Any] = {"attached": ["AdministratorAccess"]}
ACME = ("acme", "red")
GLOBEX = ("globex", THEIR_SECRET)
ACCOUNTS = [
    {
        **seeded_account(
            ACCOUNT,
            *ACME,
            seeded_user("admin", **_ADMINISTRATOR),
            seeded_user("nobody"),
            seeded_user("denied", **_ADMINISTRATOR, inline={"Deny": NONE_OF_IAM}),
            seeded_user("asker"),
        ),
        "alias": "given",
    },
    seeded_account(OTHER_ACCOUNT, *GLOBEX, seeded_user("member", **_ADMINISTRATOR)),
]
ORGANIZATION = {
    "id": "o-exampleorg",
    "management_account": ACCOUNT,
    "root_id": "r-ab12",
    "policies": [{"type": "SCP", "name": "NoIam", "document": NONE_OF_IAM}],
    "accounts": [ACCOUNT, {"id": OTHER_ACCOUNT, "scps": ["FullAWSAccess", "NoIam"]}],
}


@dataclass(frozen=True)
class SampleServer(Running):
    """The server. `parameters` are by member name, for `parameters_of`; `other_parameters` are the other account's."""

    sink: ListSink
    parameters: Mapping[str, Any]
    other_parameters: Mapping[str, Any]

    @cached_property
    def admin(self) -> Client:
        """Return the client of the user with every permission."""
        return self.client(key_of("admin"))

    def anonymous(self) -> Client:
        """Return an unsigned client."""
        config = Config(signature_version=UNSIGNED, retries={"max_attempts": 1})
        return boto3.client("iam", endpoint_url=self.url, region_name="us-east-1", config=config)

    def unvalidated(self) -> Client:
        """Return an administrator's client without parameter validation."""
        config = Config(retries={"max_attempts": 1}, parameter_validation=False)
        id, secret = key_of("admin")
        keys = {"aws_access_key_id": id, "aws_secret_access_key": secret}
        return boto3.client("iam", endpoint_url=self.url, region_name="us-east-1", config=config, **keys)

    def set_permissions(self, *statements: Mapping[str, Any]) -> None:
        """Set the statements of the user `asker`, its only permissions."""
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.admin.put_user_policy(UserName="asker", PolicyName="asked", PolicyDocument=document)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows, except last uses, which denied requests update too (R-34)."""
        with self.store.engine.connect() as connection:
            return {
                table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
                for table in metadata.sorted_tables
                if table not in (access_key_uses, service_uses)
            }

    def recorded(self, act: Callable[[], object]) -> list[dict[str, Any]]:
        """Run a function, and return the audit records that it causes."""
        before = len(self.sink.lines)
        act()
        return [json.loads(line) for line in self.sink.lines[before:]]


class NoSnapshot:
    """The snapshot of a database that can't be reset."""

    def close(self) -> None: ...


@contextmanager
def sample_server(url: str = "sqlite://", settings: Settings | None = None) -> Iterator[SampleServer]:
    """Run the server; `reset` needs a store in memory."""
    settings, sink = settings or Settings(), ListSink()
    store = create_store(url, settings)
    take: Callable[..., Any] = Snapshot if url == "sqlite://" else lambda engine: NoSnapshot()
    apply_seed(store, load_seed_text(json.dumps({"version": 1, "accounts": ACCOUNTS})))
    guard = Guard(CachedStore(store, settings), Trail(sink), settings)
    with serving(aws_api(guard)) as address:
        bare = SampleServer(address, guard, store, take(store.engine), sink, {}, {})
        theirs = create_entities(bare.client(key_of("member")), OTHER_ACCOUNT, *GLOBEX)
        given = create_entities(bare.admin, ACCOUNT, *ACME)
        bare.snapshot.close()
        organized = {"version": 1, "accounts": ACCOUNTS, "organization": ORGANIZATION}
        apply_seed(store, load_seed_text(json.dumps(organized)))
        guard.refresh()
        report = bare.admin.generate_organizations_access_report(EntityPath=given["EntityPath"])
        given["GetOrganizationsAccessReport.JobId"] = report["JobId"]
        sample = SampleServer(address, guard, store, take(store.engine), sink, given, theirs)
        yield sample
    sample.snapshot.close()
    guard.close()
