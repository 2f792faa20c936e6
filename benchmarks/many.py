"""The time of a decision with warm caches among many statements, policies and principals, compared with every peer's.

Always an Allow with two conditions, and the request built within the call. A peer is omitted at a size where one
decision would take more than about a second, judged by the size before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

from benchmarks.clock import CALIBRATION, Call, calibrate, least
from benchmarks.ours import built, compiled
from benchmarks.peers.peer import Peer
from benchmarks.peers.table import Loaded, installed
from benchmarks.row import Row
from benchmarks.world import MAX_IN_ONE_DOCUMENT, Question, Rule, fifty_actions, folder, one_action
from iam_guard.model.decision import Outcome

OURS = "ours"
FEWEST = "the fewest"
SIZES = (10, 100, 1_000, 10_000, 100_000)
MAX_POLICIES = 10_000
"""Policies of one statement each; more are not realistic."""
MAX_OF_PEERS = 10_000
MAX_SECONDS = 1.0
PRINCIPALS, POLICIES_EACH, POOL = 50, 20, 200


def measure() -> Iterator[Row]:
    """Measure statements about one action, policies about fifty, and principals in turn."""
    yield from _sizes("statements, 1 action", one_action, SIZES, MAX_IN_ONE_DOCUMENT)
    policies = [size for size in SIZES if 50 <= size <= MAX_POLICIES]
    yield from _sizes("policies, 50 actions", fifty_actions, policies, 1)
    yield _implicit_deny(SIZES[-1])
    yield from _principals()


# --- more statements, more policies ------------------------------------------------------------------------------


def _sizes(
    what: str, make: Callable[[int], list[Rule]], sizes: Sequence[int], most_in_one_document: int
) -> Iterator[Row]:
    """Compare each size with the smallest and with the peers that are fast enough."""
    smallest = _ours(make(sizes[0]), most_in_one_document)
    peers = {peer.name: peer for peer in installed()}
    for number, size in enumerate(sizes):
        rules = make(size)
        calls = {OURS: _ours(rules, most_in_one_document), FEWEST: smallest, CALIBRATION: calibrate}
        asked = peers if size <= MAX_OF_PEERS else {}
        calls |= {name: _theirs(peer, rules) for name, peer in asked.items()}
        taken = least(calls)
        for peer, seconds in taken.items():
            if peer != OURS and not (number == 0 and peer == FEWEST):
                shown = f"{sizes[0]:,} of them" if peer == FEWEST else peer
                yield Row(f"{size:,} {what}", taken[OURS] * 1e6, "us", taken[OURS] / seconds, shown)
        peers = {name: peer for name, peer in asked.items() if taken[name] * 10 < MAX_SECONDS}


def _implicit_deny(size: int) -> Row:
    """Measure a request that no statement matches, though all have its action."""
    question = Question("docs:Get", f"{folder(size)}draft", allowed=False)
    authorizer = compiled(one_action(size), MAX_IN_ONE_DOCUMENT)
    taken = least({OURS: built(authorizer, question, Outcome.IMPLICITLY_DENIED), CALIBRATION: calibrate})
    name = f"{size:,} statements, 1 action: implicit deny"
    return Row(name, taken[OURS] * 1e6, "us", taken[OURS] / taken[CALIBRATION], CALIBRATION)


def _ours(rules: Sequence[Rule], most_in_one_document: int) -> Call:
    return built(compiled(rules, most_in_one_document), _question(rules), Outcome.ALLOWED)


def _theirs(peer: Peer, rules: Sequence[Rule]) -> Call:
    return Loaded(peer, peer.load(rules)).call(_question(rules))


def _question(rules: Sequence[Rule]) -> Question:
    """Return the request that the middle rule allows."""
    rule = rules[len(rules) // 2]
    return Question(rule.action, f"{rule.folder}draft", allowed=True)


# --- more principals ---------------------------------------------------------------------------------------------


def _principals() -> Iterator[Row]:
    """Measure decisions for principals in turn; their policies, 3 statements each, are from one pool."""
    pool = [[_of_pool(policy, number) for number in range(3)] for policy in range(POOL)]
    held = [
        [rule for number in range(POLICIES_EACH) for rule in pool[(principal * 7 + number) % POOL]]
        for principal in range(PRINCIPALS)
    ]
    calls = {
        OURS: _in_turn([built(compiled(rules, 3), _question(rules), Outcome.ALLOWED) for rules in held]),
        CALIBRATION: calibrate,
        **{peer.name: _in_turn([_theirs(peer, rules) for rules in held]) for peer in installed()},
    }
    taken = least(calls)
    name = f"{PRINCIPALS} principals in turn, {POLICIES_EACH} policies each"
    for peer in list(taken)[1:]:
        yield Row(name, taken[OURS] * 1e6, "us", taken[OURS] / taken[peer], peer)


def _of_pool(policy: int, number: int) -> Rule:
    return Rule(f"docs:Get{number}", folder(policy * 3 + number))


def _in_turn(calls: Sequence[Call]) -> Call:
    """Return one call that makes each of the calls in turn."""
    following = cycle(calls).__next__
    return lambda: following()()
