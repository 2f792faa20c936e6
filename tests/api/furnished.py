"""A server with two accounts that each have one of everything (`belongings`), and a trail that is kept in memory.

The first account manages an organization, in which the second is bound by a service control policy. In the first there
are users with every permission, with none, with none that wins, and one whose permissions a test writes. Must not live
here: what is asked of it (`test_…`).
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
from iam_guard.audit.sinks import ListSink
from iam_guard.audit.trail import Trail
from iam_guard.guard.guard import Guard
from iam_guard.settings import Settings
from iam_guard.store.cached_store import CachedStore
from iam_guard.store.open_store import init_store
from iam_guard.store.schema import access_key_uses, metadata, service_uses
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import Snapshot
from tests.api.belongings import NONE_OF_IAM, furnish, key_of, seeded_account, seeded_user
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running
from tests.api.every_operation import ARN
from tests.serving import serving

GIVEN_POLICY = f"{ARN}policy/team/given"
OTHER_POLICY = f"{ARN}policy/other"
THEIR_SECRET = "known-to-globex-alone"
"""Stands in what the other account has; the first account must never be told."""

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
class House(Running):
    """The server. `given` are parameters by the names of their members, for `parameters_of`.

    `theirs` are those of the same things in the other account.
    """

    sink: ListSink
    given: Mapping[str, Any]
    theirs: Mapping[str, Any]

    @cached_property
    def admin(self) -> Client:
        """Return the client of the user with every permission."""
        return self.client(key_of("admin"))

    def anonymous(self) -> Client:
        """Return a client that does not sign."""
        config = Config(signature_version=UNSIGNED, retries={"max_attempts": 1})
        return boto3.client("iam", endpoint_url=self.url, region_name="us-east-1", config=config)

    def careless(self) -> Client:
        """Return a client of the user with every permission that sends whatever it is given."""
        config = Config(retries={"max_attempts": 1}, parameter_validation=False)
        id, secret = key_of("admin")
        keys = {"aws_access_key_id": id, "aws_secret_access_key": secret}
        return boto3.client("iam", endpoint_url=self.url, region_name="us-east-1", config=config, **keys)

    def let(self, *statements: Mapping[str, Any]) -> None:
        """Let the user `asker` do what the statements say, and nothing else."""
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.admin.put_user_policy(UserName="asker", PolicyName="asked", PolicyDocument=document)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all that is stored, but what was used last, which a refused request is noted in too (R-34)."""
        with self.store.engine.connect() as connection:
            return {
                table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
                for table in metadata.sorted_tables
                if table not in (access_key_uses, service_uses)
            }

    def noted(self, act: Callable[[], object]) -> list[dict[str, Any]]:
        """Do something, and give what the audit trail has of it."""
        before = len(self.sink.lines)
        act()
        return [json.loads(line) for line in self.sink.lines[before:]]


class NoSnapshot:
    """For a database that cannot be reset."""

    def close(self) -> None: ...


@contextmanager
def furnished(url: str = "sqlite://", settings: Settings | None = None) -> Iterator[House]:
    """Serve it; on a store in memory, `reset` goes back to the beginning."""
    settings, sink = settings or Settings(), ListSink()
    store = init_store(url, settings)
    take: Callable[..., Any] = Snapshot if url == "sqlite://" else lambda engine: NoSnapshot()
    apply_seed(store, load_seed_text(json.dumps({"version": 1, "accounts": ACCOUNTS})))
    guard = Guard(CachedStore(store, settings), Trail(sink), settings)
    with serving(aws_api(guard)) as address:
        bare = House(address, guard, store, take(store.engine), sink, {}, {})
        theirs = furnish(bare.client(key_of("member")), OTHER_ACCOUNT, *GLOBEX)
        given = furnish(bare.admin, ACCOUNT, *ACME)
        bare.snapshot.close()
        organized = {"version": 1, "accounts": ACCOUNTS, "organization": ORGANIZATION}
        apply_seed(store, load_seed_text(json.dumps(organized)))
        guard.refresh()
        report = bare.admin.generate_organizations_access_report(EntityPath=given["EntityPath"])
        given["GetOrganizationsAccessReport.JobId"] = report["JobId"]
        house = House(address, guard, store, take(store.engine), sink, given, theirs)
        yield house
    house.snapshot.close()
    guard.close()
