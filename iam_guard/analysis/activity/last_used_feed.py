"""Write last-used times to the store from the trail (rules R-33, R-34): after a restore, or of several machines.

A consumer of the trail. It derives the same uses from verified records as the guard (`store.last_used`), and writes
them the same way, which never sets a time back; so records may come twice and in any order. Records are acknowledged
after their uses are written. Every attempt is a use, as for the guard, also if it was denied or rejected.

The trail has less than the guard: an authentication without a request is in no record; the region and service of an
access key are those of the request as recorded, not those that were signed. Temporary keys have no last-used time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from iam_guard.analysis.activity.observations import TIME, is_altered
from iam_guard.audit.consumer.record_filter import action_of, member
from iam_guard.audit.consumer.subscription import Delivery, Offset, Subscription
from iam_guard.store.credentials.last_used import LastUsedStore, service_use
from iam_guard.store.credentials.last_used_rows import ApiKeyUse, KeyUse, ServiceUse, SessionUse, Use

GROUP = "uses"
"""The default name of the consumer group."""
MAX_RECORDS = 20_000
"""The maximum number of records read before their uses are written."""
MAX_USES = 200
"""The maximum number of rows per transaction, which limits how long others wait for the store."""

_TEMPORARY = "ASIA"
_REQUIRED_MEMBERS = ("/userIdentity/type", "/eventSource", "/eventName", "/eventTime", "/awsRegion")


@dataclass(slots=True)
class FeedResult:
    """How many records were read, and how many uses were written."""

    records: int = 0
    uses: int = 0


def feed_uses(subscription: Subscription, store: LastUsedStore) -> FeedResult:
    """Read all available records of a subscription and write their uses; return how many.

    Raises `StoreUnavailable`; records whose uses were not written are not acknowledged and are delivered again.
    """
    feed = _Feed(subscription, store)
    while batch := subscription.poll():
        feed.add(batch)
        if feed.is_full:
            feed.write()
    feed.write()
    return feed.result


@dataclass(slots=True)
class _Feed:
    """Collects the latest use of each item until it is written."""

    subscription: Subscription
    store: LastUsedStore
    latest: dict[tuple[str, ...], Use] = field(default_factory=dict)
    read: dict[str, Offset] = field(default_factory=dict)
    records: int = 0
    result: FeedResult = field(default_factory=FeedResult)

    @property
    def is_full(self) -> bool:
        return len(self.latest) >= MAX_USES or self.records >= MAX_RECORDS

    def add(self, batch: list[Delivery]) -> None:
        self.records += len(batch)
        self.result.records += len(batch)
        for offset, record in batch:
            self.read[offset.shard] = offset
            for use in uses_of(record):
                key = _key(use)
                known = self.latest.get(key)
                if known is None or known.at < use.at:
                    self.latest[key] = use

    def write(self) -> None:
        """Write the collected uses, then acknowledge the records."""
        uses = list(self.latest.values())
        for start in range(0, len(uses), MAX_USES):
            self.store.save_uses(uses[start : start + MAX_USES])
        if self.read:
            self.subscription.ack(*self.read.values())
        self.result.uses += len(uses)
        self.latest, self.read, self.records = {}, {}, 0


def latest_uses(records: Iterable[Mapping[str, Any]]) -> list[Use]:
    """Return the latest use of each item in records, without writing it."""
    latest: dict[tuple[str, ...], Use] = {}
    for record in records:
        for use in uses_of(record):
            known = latest.setdefault(_key(use), use)
            if known.at < use.at:
                latest[_key(use)] = use
    return list(latest.values())


def uses_of(record: Mapping[str, Any]) -> Iterator[Use]:
    """Return the uses in a record: of a user or role with the action, and of the access key."""
    extension, identity, time = record.get("iamGuard"), record.get("userIdentity"), record.get("eventTime")
    if not isinstance(extension, dict) or extension.get("kind") != "decision" or extension.get("error") is not None:
        return
    if not isinstance(identity, dict) or not isinstance(time, str) or not TIME.fullmatch(time):
        return
    if is_altered(extension, _REQUIRED_MEMBERS):
        return
    try:
        at = int(datetime.fromisoformat(time).timestamp())
    except ValueError:
        return
    known = {name: value for name, value in identity.items() if not is_altered(extension, (f"/userIdentity/{name}",))}
    action, region = action_of(record), member(record, "awsRegion")
    if known.get("type") in ("IAMUser", "AssumedRole"):
        use = service_use(member(known, "principalId").partition(":")[0], action, at, region)
        if use is not None:
            yield use
    key, bearer = member(known, "accessKeyId"), member(known, "credentialId")
    if key and not key.startswith(_TEMPORARY):
        yield KeyUse(key, at, region, action.partition(":")[0].lower())
    if bearer:
        yield ApiKeyUse(bearer, at)


def _key(use: Use) -> tuple[str, ...]:
    match use:
        case ServiceUse():
            return "action", use.identity_id, use.service, use.action
        case KeyUse():
            return "key", use.access_key_id
        case ApiKeyUse():
            return "API key", use.api_key_id
        case SessionUse():
            return "session", use.session_id
