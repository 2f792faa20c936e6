"""Finding the records of one person: whole values, and unique ones in sentences."""

from __future__ import annotations

from typing import Any

from iam_guard.audit.consumer.personal_records import PersonRecords
from tests.tables import table

ACME, UMBRELLA = "111122223333", "444455556666"
ARN = f"arn:aws:iam::{ACME}:user/al.ice"
FINDER = PersonRecords(ACME, {"al.ice"}, {ARN, "AIDAEXAMPLEALICE00001", "AKIAALICE"}, {"pseudonym:1f"})


def record(identity: dict[str, Any] | None = None, account: str = ACME, **members: Any) -> dict[str, Any]:
    return {"userIdentity": identity or {"type": "Root", "accountId": account}, "recipientAccountId": account} | members


@table(
    "found",
    [
        record({"type": "IAMUser", "arn": ARN}),
        record({"type": "IAMUser", "userName": "al.ice"}),
        record({"type": "IAMUser", "principalId": "AIDAEXAMPLEALICE00001"}),
        record({"type": "Unknown", "accessKeyId": "AKIAALICE"}, UMBRELLA),
        record({"type": "IAMUser", "arn": "pseudonym:1f"}, UMBRELLA),
        record({"type": "AssumedRole", "sessionContext": {"sessionIssuer": {"userName": "al.ice"}}}),
    ],
)
def test_own_request_is_found(found: dict[str, Any]) -> None:
    assert FINDER.relation(found) == "caller"


@table(
    "found",
    [
        record(requestParameters={"userName": "al.ice"}),
        record(requestParameters={"tags": [{"x": ARN}]}),
        record(resources=[{"ARN": ARN}], account=UMBRELLA),
        record(errorMessage=f"User: {ARN} is not authorized"),
        record(errorMessage=f"no policy names {ARN}."),
        record(errorMessage=f'"{ARN}"', account=UMBRELLA),
        record(additionalEventData={"UserName": "al.ice"}),
        record(responseElements={"x": "pseudonym:1f"}),
    ],
)
def test_record_that_names_the_person_is_found(found: dict[str, Any]) -> None:
    assert FINDER.relation(found) == "named"


@table(
    "other",
    [
        record(),
        record({"type": "IAMUser", "arn": f"{ARN}2", "userName": "al.ice2"}),
        record({"type": "IAMUser", "arn": ARN.replace("al.ice", "alxice")}),
        record({"type": "IAMUser", "arn": f"{ARN}.smith", "userName": "AL.ICE"}),
        record({"type": "IAMUser", "userName": "al.ice"}, UMBRELLA),
        record(requestParameters={"groupName": "al.ice", "description": "al.ice", "path": "al.ice"}),
        record(errorMessage=f"User: {ARN}/x and {ARN}.b and x{ARN} and {ARN}@x"),
        record(requestParameters={"x": "pseudonym:1f0", "y": "AKIAALICE2", "z": None, "n": 7}),
        {},
    ],
)
def test_record_of_another_is_not_found(other: dict[str, Any]) -> None:
    """A name that begins with it, another letter case, another account, a group of that name."""
    assert FINDER.relation(other) is None


def test_person_without_unique_values_matches_no_sentence() -> None:
    assert PersonRecords(ACME, {"al.ice"}, (), ()).relation(record(errorMessage="al.ice, or any text")) is None
