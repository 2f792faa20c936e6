"""The time until the findings of external access are up to date: the first reading, without a change, after one change.

`python -m benchmarks.analyzer_updates [RESOURCES…] [--store URL]` creates stores with that many resources, each shared
with another account, and prints a row for each number. A reading is a call of ListFindings without the network. Not
part of `make bench`: there is no peer with an API like it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from iam_guard.api.access_analyzer.operation_table import ACCESS_ANALYZER
from iam_guard.api.call import ApiServer
from iam_guard.api.operation import OperationRequest, run
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from iam_guard.store.policies.resource_policies import ResourcePolicies
from iam_guard.store.schema import accounts, resources
from iam_guard.store.sql_store import SqlStore

ACCOUNT: Final = "111122223333"
ROOT: Final = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:root", userid=ACCOUNT)
NOW: Final = 1_800_000_000
CHANGES: Final = 30


def arn_of(number: int) -> str:
    return f"arn:aws:docs:us-east-1:{ACCOUNT}:document/{number}"


def policy_of(number: int, vpc: str) -> dict[str, Any]:
    """Return a policy that lets another account in from one network."""
    arn = arn_of(number)
    shared = {
        "Effect": "Allow",
        "Principal": {"AWS": [f"{900_000_000_000 + number % 50}", ACCOUNT]},
        "Action": ["docs:Get", "docs:List"],
        "Resource": arn,
        "Condition": {"StringEquals": {"aws:SourceVpc": vpc}},
    }
    own = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "docs:*", "Resource": arn}
    return {"Version": "2012-10-17", "Statement": [shared, own]}


def fill(store: SqlStore, count: int) -> None:
    """Insert an account and resources."""
    with store.write_transaction() as records:
        records.insert(accounts, id=ACCOUNT, name="acme", created=NOW)
        for number in range(count):
            text = json.dumps(policy_of(number, f"vpc-{number % 7}"))
            digest = hashlib.sha256(text.encode()).hexdigest()
            row = {"arn": arn_of(number), "account": ACCOUNT, "text": text, "digest": digest, "listed_digest": digest}
            records.insert(resources, **row, tags={}, bindings={})


def seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measured(url: str, count: int) -> tuple[float, float, list[float]]:
    """Return the seconds of the first reading, of one without a change, and of those after one change each."""
    with closing(create_store(url, Settings())) as store:
        fill(store, count)
        cached, policies = CachedStore(store, Settings()), ResourcePolicies(store)

        def call(operation: str, **parameters: Any) -> dict[str, Any]:
            return run(
                OperationRequest(ApiServer(cached), ACCESS_ANALYZER, operation, parameters, ROOT, NOW), id
            ).output

        arn = call("CreateAnalyzer", analyzerName="a", type="ACCOUNT")["arn"]

        def read() -> None:
            call("ListFindings", analyzerArn=arn, maxResults=10)

        first, unchanged, after = seconds_of(read), seconds_of(read), []
        for change in range(CHANGES):
            number = change * 37 % count
            policies.put(arn_of(number), policy_of(number, f"vpc-new-{change}"))
            after.append(seconds_of(read))
        return first, unchanged, sorted(after)


def main(arguments: list[str]) -> None:
    url = "sqlite://"
    if "--store" in arguments:
        place = arguments.index("--store")
        url = arguments[place + 1]
        del arguments[place : place + 2]
    print("resources  first reading  no change  after a change: median, maximum")
    for count in map(int, arguments or ("100", "1000", "10000")):
        first, unchanged, after = measured(url, count)
        times = f"{after[len(after) // 2] * 1000:.1f} ms, {after[-1] * 1000:.1f} ms"
        print(f"{count:9}  {first:11.1f} s  {unchanged * 1000:6.1f} ms  {times}")


if __name__ == "__main__":
    main(sys.argv[1:])
