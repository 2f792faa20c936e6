"""The store is told from the trail when things were used last (rules R-33, R-34): after a restore, or of many machines.

A consumer of the trail: verified records go in, and out come the same uses that a guard notes itself (`store.uses`),
written through the same door, which never sets a time back. So it may read a record twice, and in any order. What it
has written is acknowledged afterwards.

An attempt is a use, as it is for the guard, whatever became of it: denied, or refused for want of its record.

The trail knows less than the guard: who signed in without asking for anything is in no record; the region and service
of an access key are those of the request as recorded, not those that were signed. Temporary keys are nobody's own. Must
not live here: the rows (`store.use_rows`), what a guard notes by itself (`store.uses`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from iam_guard.analysis.activity.observations import TIME, is_spoilt
from iam_guard.audit.consumer.record_filter import action_of, member
from iam_guard.audit.consumer.subscription import Delivery, Offset, Subscription
from iam_guard.store.last_used import LastUsedStore, service_use
from iam_guard.store.last_used_rows import ApiKeyUse, KeyUse, ServiceUse, Use

GROUP = "uses"
"""What the consumer is called, where nothing else is said."""
MAX_RECORDS = 20_000
"""Records that are read before what they tell is written."""
MAX_USES = 200
"""Rows of one transaction, so that nobody waits long for the store."""

_TEMPORARY = "ASIA"
_SPOILING = ("/userIdentity/type", "/eventSource", "/eventName", "/eventTime", "/awsRegion")


@dataclass(slots=True)
class FeedResult:
    """How many records were read, and how many uses were given to the store."""

    records: int = 0
    uses: int = 0


def feed_uses(subscription: Subscription, store: LastUsedStore) -> FeedResult:
    """Read what a subscription has at present, and write what it tells; give how much that was.

    Raises `StoreUnavailable`; what was not written is not acknowledged, and comes again to the next subscription.
    """
    fed, feeding = FeedResult(), _Feeding(subscription, store)
    while batch := subscription.poll():
        fed.records += len(batch)
        feeding.take(batch)
        if feeding.is_full:
            fed.uses += feeding.write()
    fed.uses += feeding.write()
    return fed


class _Feeding:
    """Keeps the latest use of each thing, until it is written."""

    def __init__(self, subscription: Subscription, store: LastUsedStore) -> None:
        self._subscription = subscription
        self._store = store
        self._latest: dict[tuple[str, ...], Use] = {}
        self._read: dict[str, Offset] = {}
        self._records = 0

    @property
    def is_full(self) -> bool:
        return len(self._latest) >= MAX_USES or self._records >= MAX_RECORDS

    def take(self, batch: list[Delivery]) -> None:
        for offset, record in batch:
            self._read[offset.shard] = offset
            self._records += 1
            for use in uses_of(record):
                key = _key(use)
                known = self._latest.get(key)
                if known is None or known.at < use.at:
                    self._latest[key] = use

    def write(self) -> int:
        """Write what is kept, then acknowledge what it was read from."""
        uses = list(self._latest.values())
        for start in range(0, len(uses), MAX_USES):
            self._store.keep_uses(uses[start : start + MAX_USES])
        if self._read:
            self._subscription.ack(*self._read.values())
        self._latest, self._read, self._records = {}, {}, 0
        return len(uses)


def uses_of(record: Mapping[str, Any]) -> Iterator[Use]:
    """Return the uses in a record: a user or role with its action, and the access key."""
    said, identity, time = record.get("iamGuard"), record.get("userIdentity"), record.get("eventTime")
    if not isinstance(said, dict) or said.get("kind") != "decision" or said.get("error") is not None:
        return
    if not isinstance(identity, dict) or not isinstance(time, str) or not TIME.fullmatch(time):
        return
    if is_spoilt(said, _SPOILING):
        return
    try:
        at = int(datetime.fromisoformat(time).timestamp())
    except ValueError:
        return
    told = {name: each for name, each in identity.items() if not is_spoilt(said, (f"/userIdentity/{name}",))}
    yield from _uses(told, action_of(record), at, member(record, "awsRegion"))


def _uses(identity: Mapping[str, Any], action: str, at: int, region: str) -> Iterator[Use]:
    if identity.get("type") in ("IAMUser", "AssumedRole"):
        use = service_use(member(identity, "principalId").partition(":")[0], action, at, region)
        if use is not None:
            yield use
    key, bearer = member(identity, "accessKeyId"), member(identity, "credentialId")
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
