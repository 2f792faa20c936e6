"""`iam-guard why`: one recorded request, and its decision with the current policies."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, cast

import click

from iam_guard.analysis.replay import Replayer
from iam_guard.analysis.replay.recorded_requests import read_decision, reason_in_words
from iam_guard.audit.consumer.record_filter import action_of, member, principal_of, resource_of
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.trail_events import refused_event
from iam_guard.cli.audit_sources import KEYS, NO_VERIFY, keys_for, records_of
from iam_guard.cli.options import JSON, STORE
from iam_guard.errors import ConfigurationError, IamGuardError, InvalidInput
from iam_guard.evaluation.explanation import Explanation
from iam_guard.policy.grammar import shown
from iam_guard.settings import Settings, load
from iam_guard.store.open_store import open_store

Record = Mapping[str, Any]

_NOT_RECORDED = "refused all the same, for want of this record when it was answered; nothing was done"


class Again(NamedTuple):
    """What a store says to a recorded decision now; `problem` where it cannot say it."""

    explanation: Explanation | None = None
    is_same_policies: bool = False
    problem: str | None = None


@click.command()
@click.argument("request_id")
@click.option(
    *("--trail", "source"),
    type=click.Path(exists=True, path_type=Path),
    help="The trail's folder, or a file of records; else what the setting `audit` names.",
)
@NO_VERIFY
@KEYS
@STORE
@JSON
def why(
    request_id: str, source: Path | None, no_verify: bool, keys: tuple[str, ...], store: str, as_json: bool
) -> None:
    """Return why REQUEST_ID (or an event's id) was allowed or denied; exit code 1 when anything was denied."""
    settings = load()
    trail = source or _configured(settings)
    found, refused = _records(trail, request_id, keys_for([trail], keys, store, no_verify=no_verify))
    if not found:
        raise click.UsageError(
            f"the trail has no record of `{shown(request_id)}`; the last second may not be signed yet"
        )
    answers = _decided_again(found, store, settings)
    told = [(each, again, each.get("eventID") in refused) for each, again in zip(found, answers, strict=True)]
    if as_json:
        click.echo(json.dumps([_as_dict(*each) for each in told]))
    else:
        click.echo("\n\n".join("\n".join(_in_words(*each)) for each in told))
    sys.exit(1 if any(is_refused or member(record, "errorCode") for record, _, is_refused in told) else 0)


def _configured(settings: Settings) -> Path:
    path = Path(settings.audit)
    if not settings.audit or not path.exists():
        raise ConfigurationError("expected the trail, give `--trail` or set `IAM_GUARD_AUDIT`", place="--trail")
    return path


def _records(source: Path, wanted: str, ring: KeyRing | None) -> tuple[list[Record], set[str | None]]:
    """Return the records of a request, or the one event, and the ids of all whose requests were refused all the same.

    Raises `InvalidInput` where a line of a file is broken.
    """
    broken: list[str] = []
    found: list[Record] = []
    refused: set[str | None] = set()
    for record in records_of([source], ring, broken):
        if broken:
            break
        if _is_about(record, wanted):
            found.append(record)
        if (event_id := refused_event(record)) is not None:
            refused.add(event_id)
    if broken:
        raise InvalidInput(broken[0])
    return found, refused


def _is_about(record: Record, wanted: str) -> bool:
    return wanted in (record.get("requestID"), record.get("eventID"))


# --- decided again -----------------------------------------------------------------------------------------------


def _decided_again(records: Sequence[Record], store: str, settings: Settings) -> list[Again]:
    try:
        opened = open_store(store, settings, create=False)
    except IamGuardError as error:
        return [Again(problem=str(error))] * len(records)
    with closing(opened):
        replayer = Replayer(opened, settings)
        return [_again(record, replayer) for record in records]


def _again(record: Record, replayer: Replayer) -> Again:
    recorded = read_decision(record)
    if recorded is None:
        return Again(problem="the record tells no decision")
    if isinstance(recorded, str):
        return Again(problem=recorded)
    redecided = replayer.decide(recorded)
    if redecided.decision is None or redecided.problem is not None:
        return Again(problem=redecided.problem)
    explanation = cast(Explanation, redecided.decision.explain())
    return Again(explanation, is_same_policies=redecided.decision.policy_set == recorded.policies)


# --- told ----------------------------------------------------------------------------------------------------------


def _as_dict(record: Record, again: Again, is_refused: bool) -> dict[str, object]:
    return {
        "record": record,
        "refused": is_refused,
        "now": None if again.explanation is None else again.explanation.to_dict(),
        "samePolicies": again.is_same_policies,
        "problem": again.problem,
    }


def _in_words(record: Record, again: Again, is_refused: bool) -> Iterator[str]:
    outcome = member(record, "iamGuard.outcome") or "Refused"
    said = _NOT_RECORDED if is_refused else member(record, "errorMessage")
    yield shown(f"{outcome}: {said}" if said else outcome)
    yield shown(f"    {member(record, 'eventTime')} {principal_of(record)} {action_of(record)} {resource_of(record)}")
    yield from (f"    because {shown(reason)}" for reason in _reasons(record))
    yield from (f"    {shown(condition)}" for condition in _conditions(record))
    if again.explanation is None:
        yield f"    not decided again: {shown(again.problem or 'no reason is known')}"
        return
    yield ""
    yield f"With the policies of the store now, which {'are the same' if again.is_same_policies else 'have changed'}:"
    yield again.explanation.text()


def _reasons(record: Record) -> list[str]:
    """Return who spoke; a record that is not whole says less."""
    try:
        return [reason_in_words(each) for each in record["iamGuard"].get("reasons", ())]
    except (KeyError, TypeError, AttributeError):
        return []


def _conditions(record: Record) -> Iterator[str]:
    extension = record.get("iamGuard")
    read = extension.get("conditions") if isinstance(extension, dict) else None
    for each in read if isinstance(read, list) else ():
        if isinstance(each, dict):
            told = each.get("value", each.get("values", "missing" if each.get("missing") else "not recorded"))
            yield f"{each.get('key')}: {', '.join(map(str, told)) if isinstance(told, list) else told}"
