"""The processes of `changes`: each opens the same store, and runs the tasks that `changes` sends it.

Times are seconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Collection, Iterator
from itertools import count
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from benchmarks import own_tests  # noqa: F401  before `tests`
from iam_guard.audit.trail import Trail
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store import schema, sql_store
from iam_guard.store.cache import change_feed
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.change_feed import State, Step, record_change
from iam_guard.store.database.records import Records
from iam_guard.store.opening import open_database
from tests.store.bulk_rows import USERS_OF_AN_ACCOUNT, account_of, resource_arn, user_arn

CALLERS: Final = range(1, 201)
"""The users who call. No change concerns them, except the marker: a policy of the first one."""
COLLEAGUES: Final = range(CALLERS.stop, USERS_OF_AN_ACCOUNT)
"""Other users of their account."""
OTHERS: Final = range(USERS_OF_AN_ACCOUNT, 2 * USERS_OF_AN_ACCOUNT)
"""Users, policies, API keys and resources of another account."""
DECISIONS_A_SECOND: Final = 100
"""Of each process that waits for a change."""

AS_IT_IS, WITHOUT_NOTIFICATIONS, WITHOUT_FEED = "as it is", "without notifications", "without a feed"
_ADDED: Final = change_feed._ADDED["postgresql"]
_UNNOTIFIED: Final = schema.changes.insert().values(time=change_feed._MILLISECONDS).returning(change_feed._MARK)

Change = Callable[[Records], object]
Task = Callable[..., Any]


class Participant:
    """A process's store, and a guard on it. Its cache is not notified of changes if `is_notified` is false."""

    def __init__(self, url: str, settings: Settings, *, is_notified: bool) -> None:
        self.store = open_database(url, settings)
        if not is_notified:
            self.store.listen = lambda wake: None  # type: ignore[method-assign]
        self.guard = Guard(CachedStore(self.store, settings), Trail(None), settings)
        self.callers = {number: Principal.from_arn(user_arn(number)) for number in CALLERS}
        self.unrelated = _unrelated()

    def decide(self, number: int) -> tuple[int, bool]:
        """Decide about a caller; return the epoch of the decision, and whether it is an Allow."""
        decision = self.guard.decide(self.callers[number], "docs:GetDocument", resource_arn(number))
        if decision.error is not None:
            raise SystemExit(f"expected a decision, got {decision.error}")
        return decision.epoch, decision.allowed


def serve(pipe: Pipe, url: str, settings: Settings, is_notified: bool) -> None:
    """Run the tasks that come through the pipe, and send their results, until None comes.

    They begin when the process listens, which it does after its second poll.
    """
    participant = Participant(url, settings, is_notified=is_notified)
    participant.decide(CALLERS[0])
    while is_notified and participant.store.is_remote and not participant.guard.usage().changes.is_notified:
        time.sleep(0.01)
        participant.decide(CALLERS[0])
    pipe.send(None)
    while (received := pipe.recv()) is not None:
        task, arguments = received
        pipe.send(task(participant, *arguments))
    participant.guard.close()


# --- changes -----------------------------------------------------------------------------------------------------


def _unrelated() -> Iterator[Change]:
    """Yield changes that concern no caller: one of each kind in turn."""
    for turn in count():
        colleague, other = (users[turn % len(users)] for users in (COLLEAGUES, OTHERS))
        yield _inline_policy(colleague, "Allow" if turn % 2 else "Deny")
        yield _default_version(other)
        yield _update(schema.api_keys, {"status": "Inactive" if turn % 2 else "Active"}, id=f"key{other}")
        yield _update(schema.resources, {"tags": {"turn": str(turn)}}, arn=resource_arn(other))
        yield _new_user(account_of(COLLEAGUES[0]))


def _update(table: schema.Table, values: dict[str, Any], **where: Any) -> Change:
    return lambda records: records.update(table, values, **where)


def _inline_policy(user: int, effect: str) -> Change:
    text = f'{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"docs:*","Resource":"*"}}]}}'
    values = {"text": text, "digest": hashlib.sha256(text.encode()).hexdigest()}
    return _update(schema.inline_policies, values, identity_id=f"AIDA{user}", folded="own")


def _default_version(user: int) -> Change:
    return _update(schema.policies, {"default_version": 1}, id=f"ANPA{user}")


def _new_user(account: str) -> Change:
    name = f"new-{random.getrandbits(64):x}"
    values = {"account": account, "kind": "user", "path": "/", "name": name, "folded": name, "description": ""}
    return lambda records: records.insert(
        schema.identities, id=f"AIDA{name}", tags={}, trust_bindings={}, created=0, **values
    )


class Marker(NamedTuple):
    """A change of the first caller's permissions: when it was committed, and the epoch it led to."""

    time: float
    epoch: int
    is_allowed: bool


def write(participant: Participant, seconds: float, rate: float, marker_every: int = 0) -> list[Marker]:
    """Make unrelated changes at a rate, each `marker_every`th of them a marker; return the markers."""
    markers: list[Marker] = []
    for number, _ in enumerate(_paced(seconds, rate)):
        if marker_every and number % marker_every == 0:
            is_allowed = len(markers) % 2 == 1
            epoch = _commit(participant, _inline_policy(CALLERS[0], "Allow" if is_allowed else "Deny"))
            markers.append(Marker(time.monotonic(), epoch, is_allowed))
        else:
            _commit(participant, next(participant.unrelated))
    return markers


def _paced(seconds: float, rate: float, offset: float = 0.0) -> Iterator[float]:
    """Yield the planned times at a rate, or without pauses if it is 0, each when it comes, until the end."""
    begun = time.monotonic()
    for number in count():
        now = time.monotonic()
        due = max(now, begun + (number + offset) / rate) if rate else now
        if due >= begun + seconds:
            return
        time.sleep(due - now)
        yield due


class Writes(NamedTuple):
    """How many changes were made, in which time, and the CPU seconds of the process."""

    count: int
    seconds: float
    cpu_seconds: float


def write_steadily(participant: Participant, seconds: float, way: str) -> Writes:
    """Change policies one after the other, as it is, without notifications, or without a feed."""
    change_feed._ADDED["postgresql"] = _ADDED if way == AS_IT_IS else _UNNOTIFIED
    sql_store.record_change = _raise_epoch if way == WITHOUT_FEED else record_change
    begun, cpu_begun = time.monotonic(), time.process_time()
    written = 0
    for _ in _paced(seconds, 0):
        _commit(participant, _inline_policy(random.choice(COLLEAGUES), random.choice(("Allow", "Deny"))))
        written += 1
    return Writes(written, time.monotonic() - begun, time.process_time() - cpu_begun)


def _raise_epoch(connection: Connection, _names: Collection[str]) -> Step:
    """Only raise the epoch, as before there was a feed."""
    epoch = int(connection.execute(change_feed._RAISED).scalar_one())
    return Step(State(epoch - 1), State(epoch))


def _commit(participant: Participant, change: Change) -> int:
    with participant.store.write_transaction() as records:
        change(records)
    assert records.step is not None
    return records.step.after.epoch


# --- decisions ---------------------------------------------------------------------------------------------------


class Use(NamedTuple):
    """A decision about the first caller: how late it began, when it was made, of which epoch, and if it allows."""

    late: float
    time: float
    epoch: int
    is_allowed: bool


def follow(participant: Participant, seconds: float) -> tuple[list[Use], float]:
    """Decide about the first caller at a pace; return the decisions, and the process's CPU time for each second."""
    uses: list[Use] = []
    cpu_begun = time.process_time()
    for due in _paced(seconds, DECISIONS_A_SECOND, random.random()):
        late = time.monotonic() - due
        epoch, is_allowed = participant.decide(CALLERS[0])
        uses.append(Use(late, time.monotonic(), epoch, is_allowed))
    return uses, (time.process_time() - cpu_begun) / seconds


class Load(NamedTuple):
    """The cost of decisions: CPU seconds, and the hits and misses of all caches."""

    decisions: int
    cpu_seconds: float
    hits: int
    misses: int


def decide(participant: Participant, seconds: float, rate: float) -> Load:
    """Decide about all callers in turn, at a rate, or without a pause if it is 0."""
    for number in CALLERS:
        participant.decide(number)
    hits, misses = _hits_and_misses(participant)
    cpu_begun, turns = time.process_time(), 0
    for _ in _paced(seconds, rate / len(CALLERS)):
        for number in CALLERS:
            participant.decide(number)
        turns += 1
    cpu_seconds = time.process_time() - cpu_begun
    hits_after, misses_after = _hits_and_misses(participant)
    return Load(turns * len(CALLERS), cpu_seconds, hits_after - hits, misses_after - misses)


def _hits_and_misses(participant: Participant) -> tuple[int, int]:
    caches = participant.guard.usage().caches.values()
    return sum(cache.hits for cache in caches), sum(cache.misses for cache in caches)
