"""The same findings on PostgreSQL as on SQLite: lists, orders, filters, changes, previews."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iam_guard.api.protocol.app import aws_api
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.access_analyzer.analyzer_parts import create, document_arn, listed, share
from tests.api.conftest import ACCOUNT, ADMIN_KEY, OTHER_ACCOUNT, SEED, Running
from tests.api.sample_server import NoSnapshot
from tests.api.test_on_postgresql import on_postgresql
from tests.serving import serving
from tests.store.databases import SEALING_KEY

QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:orders"


@contextmanager
def running(url: str, settings: Settings) -> Iterator[Running]:
    store = create_store(url, settings)
    apply_seed(store, load_seed_text(SEED))
    guard = guard_with_store(store, settings)
    with serving(aws_api(guard)) as address:
        yield Running(address, guard, store, NoSnapshot())  # type: ignore[arg-type]
    guard.close()


def outcome(server: Running) -> list[Any]:
    """Share, list, change, archive, preview; return what does not depend on ids and times."""
    client = server.client(ADMIN_KEY, "accessanalyzer")
    for name in ("b", "A", "a", "Z"):
        share(server, document_arn(name), "*" if name == "a" else OTHER_ACCOUNT)
    arn = create(client, "first", tags={"team": "red"})
    sort = {"attributeName": "resource", "orderBy": "DESC"}
    lists: tuple[dict[str, Any], ...] = ({}, {"sort": sort}, {"filter": {"isPublic": {"eq": ["true"]}}})
    found: list[Any] = [[entry["resource"] for entry in listed(client, arn, **more)] for more in lists]
    share(server, document_arn("b"))
    client.update_findings(analyzerArn=arn, status="ARCHIVED", resourceArn=document_arn("A"))
    found.append([(entry["resource"], entry["status"]) for entry in listed(client, arn)])
    found.append(client.get_findings_statistics(analyzerArn=arn)["findingsStatistics"])
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": QUEUE}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    configurations = {QUEUE: {"sqsQueue": {"queuePolicy": document}}}
    id = client.create_access_preview(analyzerArn=arn, configurations=configurations)["id"]
    previewed = client.list_access_preview_findings(analyzerArn=arn, accessPreviewId=id)["findings"]
    found.append([(entry["changeType"], entry["isPublic"]) for entry in previewed])
    create(client, "second", "ACCOUNT_UNUSED_ACCESS")
    found.append([entry["name"] for entry in client.list_analyzers()["analyzers"]])
    client.delete_analyzer(analyzerName="first")
    found.append([entry["name"] for entry in client.list_analyzers()["analyzers"]])
    return found


def test_findings_are_alike_on_postgresql() -> None:
    with running("sqlite://", Settings()) as server:
        expected = outcome(server)
    assert expected[0] == [document_arn(name) for name in ("A", "Z", "a", "b")]
    with (
        on_postgresql() as url,
        running(url, Settings(sealing_keys=(SEALING_KEY,))) as server,
    ):
        assert outcome(server) == expected
