"""`iam-guard why`: explain a recorded request, and its decision with the current policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import click

from iam_guard.analysis.replay import Replayer
from iam_guard.analysis.replay.recorded_requests import RecordedDecision, describe_recorded_reason, read_decision
from iam_guard.audit.consumer.record_filter import action_of, member, principal_of, resource_of
from iam_guard.audit.verify.shard import require_shards
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.trail_events import refused_event
from iam_guard.cli.kit.audit_sources import KEYS, NO_VERIFY, keys_for, records_of
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.errors import ConfigurationError, IamGuardError, InvalidInput
from iam_guard.evaluation.explanation import Explanation
from iam_guard.evaluation.matching.condition_keys import spelled
from iam_guard.model.decision import Decision
from iam_guard.policy.grammar import shown
from iam_guard.settings import Settings, load_settings
from iam_guard.store.opening import open_store

Record = Mapping[str, Any]

_NOT_RECORDED = "then rejected: the audit record could not be written, and nothing was done"


class Replayed(NamedTuple):
    """The decision of a store now; `problem` says why there is none, or why it is not reliable.

    `unknown` has the condition keys whose values were missing, each with the reason. `difference` says why the outcome
    is not that of the record.
    """

    explanation: Explanation | None = None
    is_same_policies: bool = False
    problem: str | None = None
    unknown: Mapping[str, str] = MappingProxyType({})
    difference: str | None = None


@click.command()
@click.argument("request_id")
@click.option(
    *("--trail", "source"),
    type=click.Path(exists=True, path_type=Path),
    help="Read this trail (a folder) or file of records; default: the setting `audit`.",
)
@NO_VERIFY
@KEYS
@STORE
@answering
def command(request_id: str, source: Path | None, no_verify: bool, keys: tuple[str, ...], store: str) -> Answer:
    """Explain why REQUEST_ID (or an event's id) was allowed or denied; exit code 1 if any request was denied."""
    settings = load_settings()
    trail = source or _configured(settings)
    if trail.is_dir():
        require_shards(trail)
    found, refused = _records(trail, request_id, keys_for([trail], keys, store, no_verify=no_verify))
    if not found:
        unsigned = "; the last second may not be signed yet" if trail.is_dir() else ""
        raise click.UsageError(f"the trail has no record of `{shown(request_id)}`{unsigned}")
    answers = _replay_all(found, store, settings)
    rows = [(record, now, record.get("eventID") in refused) for record, now in zip(found, answers, strict=True)]
    is_denied = any(is_refused or member(record, "errorCode") for record, _, is_refused in rows)
    text = "\n\n".join("\n".join(_lines(*row)) for row in rows)
    return Answer([_as_dict(*row) for row in rows], text, exit_code=int(is_denied))


def _configured(settings: Settings) -> Path:
    path = Path(settings.audit)
    if not settings.audit or not path.exists():
        raise ConfigurationError("expected the trail, pass `--trail` or set `IAM_GUARD_AUDIT`", place="--trail")
    return path


def _records(source: Path, id: str, ring: KeyRing | None) -> tuple[list[Record], set[str | None]]:
    """Return the records of a request or event, and the ids of all events whose requests were rejected afterwards.

    Raises `InvalidInput` if a line of a file is broken.
    """
    broken: list[str] = []
    found: list[Record] = []
    refused: set[str | None] = set()
    with records_of([source], ring, broken) as records:
        for record in records:
            if broken:
                break
            if id in (record.get("requestID"), record.get("eventID")):
                found.append(record)
            if (event_id := refused_event(record)) is not None:
                refused.add(event_id)
    if broken:
        raise InvalidInput(broken[0])
    return found, refused


# --- replay ------------------------------------------------------------------------------------------------------


def _replay_all(records: Sequence[Record], store: str, settings: Settings) -> list[Replayed]:
    try:
        opened = open_store(store, settings)
    except IamGuardError as error:
        return [Replayed(problem=str(error))] * len(records)
    with closing(opened):
        replayer = Replayer(opened, settings)
        return [_replay(record, replayer) for record in records]


def _replay(record: Record, replayer: Replayer) -> Replayed:
    recorded = read_decision(record)
    if recorded is None:
        return Replayed(problem="the record has no decision")
    if isinstance(recorded, str):
        return Replayed(problem=recorded)
    replayed = replayer.decide(recorded)
    decision = replayed.decision
    if decision is None or decision.error is not None:
        return Replayed(problem=replayed.problem)
    is_same = decision.policy_set == recorded.policies
    difference = None
    if decision.outcome is not recorded.outcome:
        difference = _difference(recorded, decision, is_same=is_same, is_certain=not replayed.unknown)
    explanation = cast(Explanation, decision.explain())
    return Replayed(explanation, is_same, replayed.problem, replayed.unknown, difference)


def _difference(recorded: RecordedDecision, decision: Decision, *, is_same: bool, is_certain: bool) -> str:
    """Return why the outcome is not that of the record."""
    reasons = []
    if not is_same:
        epochs = "" if recorded.epoch == decision.epoch else f" (epoch {recorded.epoch} then, {decision.epoch} now)"
        reasons.append(f"the policies have changed since{epochs}")
    if not is_certain:
        reasons.append("values were not recorded")
    if not reasons:
        reasons.append("the record was changed, or the request had data that the record lacks")
    return f"{decision.outcome}, not {recorded.outcome} as recorded: {', and '.join(reasons)}"


# --- output --------------------------------------------------------------------------------------------------------


def _as_dict(record: Record, replayed: Replayed, is_refused: bool) -> dict[str, object]:
    return {
        "record": record,
        "refused": is_refused,
        "now": None if replayed.explanation is None else replayed.explanation.to_dict(),
        "samePolicies": replayed.is_same_policies,
        "problem": replayed.problem,
        "unknown": dict(replayed.unknown),
        "difference": replayed.difference,
    }


def _lines(record: Record, replayed: Replayed, is_refused: bool) -> Iterator[str]:
    outcome = member(record, "iamGuard.outcome") or _without_outcome(record)
    message = _NOT_RECORDED if is_refused else member(record, "errorMessage")
    yield shown(f"{outcome}: {message}" if message else outcome)
    yield shown(f"    {member(record, 'eventTime')} {principal_of(record)} {action_of(record)} {resource_of(record)}")
    yield from (f"    because {shown(reason)}" for reason in _reasons(record))
    yield from (f"    {shown(condition)}" for condition in _conditions(record))
    if replayed.explanation is None:
        yield f"    not replayed: {shown(replayed.problem or 'unknown reason')}"
        return
    yield ""
    state = "are the same" if replayed.is_same_policies else "have changed"
    yield f"With the current policies of the store, which {state}:"
    for key, how in replayed.unknown.items():
        yield f"    {shown(spelled(key))} counts as missing: its value was {how}"
    if replayed.difference is not None:
        yield f"    {replayed.difference}"
    yield replayed.explanation.text()


def _without_outcome(record: Record) -> str:
    """Return what to show of a record without a decision; only one with an error refuses the request."""
    return "Refused" if member(record, "errorCode") else member(record, "iamGuard.kind")


def _reasons(record: Record) -> list[str]:
    """Return the statements that decided; fewer if the record is incomplete."""
    try:
        return [describe_recorded_reason(reason) for reason in record["iamGuard"].get("reasons", ())]
    except (KeyError, TypeError, AttributeError):
        return []


def _conditions(record: Record) -> Iterator[str]:
    extension = record.get("iamGuard")
    read = extension.get("conditions") if isinstance(extension, dict) else None
    for condition in read if isinstance(read, list) else ():
        if isinstance(condition, dict):
            default = "missing" if condition.get("missing") else "not recorded"
            value = condition.get("value", condition.get("values", default))
            yield f"{condition.get('key')}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
