"""Findings follow the store: before they are read, what has changed since the last analysis is analysed again (AA-9).

An analyzer has the state of the store that its findings are of. Since the analysis may take long, it runs outside the
transaction that stores its result, which is discarded if another process was faster. If the store changes meanwhile,
the next reading analyses the same resources once more.

Statuses (AA-3): what is found for the first time is ACTIVE, or ARCHIVED if an archive rule matches; what is no longer
found becomes RESOLVED; when it returns, it is as new. An error is deleted once its cause is gone.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final

from iam_guard.api.access_analyzer.analyzer_rows import find_analyzer, name_in_arn
from iam_guard.api.access_analyzer.analyzer_settings import AnalyzerKind
from iam_guard.api.access_analyzer.archive_rules import filters_of_rules
from iam_guard.api.access_analyzer.finding_analysis import (
    UNUSED_SECONDS,
    AnalysisScope,
    AnalyzedAccess,
    Arns,
    affected_resources,
    analyse,
    analysis_scope,
)
from iam_guard.api.access_analyzer.finding_filters import attributes_of
from iam_guard.api.call import Input
from iam_guard.api.operation import MAX_TRIES, OperationRequest
from iam_guard.errors import ConcurrentModification
from iam_guard.forking import on_fork
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.reference import ServiceReference
from iam_guard.store.cache.change_feed import State
from iam_guard.store.database.records import Records, Row
from iam_guard.store.protocol import SourceStore
from iam_guard.store.schema import analyzers, findings

KEPT_SECONDS: Final = 90 * 86400
"""How long a resolved finding is kept."""
MAX_EPOCHS_BEHIND: Final = 1_000
"""Epochs after which the state of an analyzer is stored although nothing concerns it, as the feed is trimmed."""
_CHUNK = 400


class _Turns:
    """Lets one thread of the process analyse for an analyzer, while the others wait for its result."""

    def __init__(self) -> None:
        self.begin_in_child()
        on_fork(self)

    def begin_in_child(self) -> None:
        self._locks = [threading.Lock() for _ in range(16)]

    def of(self, account: str, name: str) -> threading.Lock:
        return self._locks[hash((account, name)) % len(self._locks)]


_TURNS: Final = _Turns()


def analysis_turn(account: str, name: str) -> threading.Lock:
    """Return the lock of the thread that analyses for an analyzer of an account."""
    return _TURNS.of(account, name)


def bring_up_to_date(request: OperationRequest, account: str, parameters: Input) -> None:
    """Analyse what has changed since the last analysis of the call's analyzer, if it has one."""
    refresh_findings(request, account, _name(parameters))


def scan_resource(request: OperationRequest, account: str, parameters: Input) -> None:
    """Analyse the resource of the call now, whether or not it has changed."""
    refresh_findings(request, account, _name(parameters), scanned=parameters["resourceArn"])


def _name(parameters: Input) -> str:
    return parameters.get("analyzerName") or name_in_arn(parameters["analyzerArn"])


def refresh_findings(request: OperationRequest, account: str, name: str, *, scanned: str | None = None) -> None:
    """Analyse what has changed, and a resource to scan, for an analyzer of an account.

    Raises `ConcurrentModification` if other processes analyse for it all the time.
    """
    store = request.server.source
    for is_alone in (False, *[True] * MAX_TRIES):
        with analysis_turn(account, name) if is_alone else nullcontext():
            if _refresh_once(request, store, account, name, scanned, may_analyse=is_alone):
                return
    raise ConcurrentModification("The findings are being updated by other requests, try again.")


def _refresh_once(
    request: OperationRequest, store: SourceStore, account: str, name: str, scanned: str | None, *, may_analyse: bool
) -> bool:
    """Return whether the findings are up to date; without `may_analyse`, only look."""
    with store.read_transaction() as records:
        analyzer = find_analyzer(records, account, name)
        scope = None if analyzer is None else analysis_scope(records, analyzer, request.now)
    if analyzer is None or scope is None:
        return True
    state, arns = _outdated(store, analyzer, scope)
    if arns is not None and scanned is not None:
        arns |= {scanned}
    if arns is not None and not arns and not _is_far_behind(analyzer, state):
        return True
    if not may_analyse:
        return False
    found = list(analyse(store, scope, arns, _references(request)))
    return _save(store, analyzer, state, arns, found, request.now)


def _references(request: OperationRequest) -> list[ServiceReference]:
    """Return the references of the application's services that declare actions; of others, any action may exist."""
    joined: dict[str, Catalogue] = {}
    for catalogue in request.server.catalogues:
        joined.setdefault(catalogue.service, Catalogue(catalogue.service)).add(catalogue)
    references = [catalogue.reference() for catalogue in joined.values()]
    return [reference for reference in references if reference.actions]


def _outdated(store: SourceStore, analyzer: Row, scope: AnalysisScope) -> tuple[State, Arns]:
    """Return the present state of the store, and the resources whose findings are of an older one."""
    known = None if analyzer["epoch"] is None else State(analyzer["epoch"], analyzer["mark"])
    changes = store.changes(known)
    is_due = scope.kind is AnalyzerKind.UNUSED and scope.now - (analyzer["analyzed"] or 0) >= UNUSED_SECONDS
    if changes.names is None or is_due:
        return changes.state, None
    if not changes.names:
        return changes.state, frozenset()
    with store.read_transaction() as records:
        return changes.state, affected_resources(records, scope, changes.names, store.partition)


def _is_far_behind(analyzer: Row, state: State) -> bool:
    return state.epoch - (analyzer["epoch"] or 0) > MAX_EPOCHS_BEHIND


# --- storing the result ------------------------------------------------------------------------------------------


def _save(
    store: SourceStore, analyzer: Row, state: State, arns: Arns, found: Sequence[AnalyzedAccess], now: int
) -> bool:
    """Store the findings of an analysis; return False if the analyzer changed meanwhile."""
    with store.write_transaction() as records:
        current = records.one(analyzers, id=analyzer["id"])
        columns = ("epoch", "mark", "configuration")
        if current is None or any(current[name] != analyzer[name] for name in columns):
            return False
        _reconcile(records, analyzer["id"], arns, found, now)
        if (analyzer["analyzed"] or 0) // 86400 != now // 86400:
            _delete_expired(records, analyzer["id"], now)
        values: dict[str, Any] = {"epoch": state.epoch, "mark": state.mark}
        if arns is None or arns:
            last = max(arns) if arns else max((found_access.resource for found_access in found), default=None)
            values |= {"analyzed": now, "last_resource": last or analyzer["last_resource"]}
        records.update(analyzers, values, id=analyzer["id"])
    return True


def _reconcile(records: Records, analyzer_id: str, arns: Arns, found: Sequence[AnalyzedAccess], now: int) -> None:
    """Make the stored findings on these resources those that were found."""
    stored = {row["digest"]: row for row in _stored(records, analyzer_id, arns)}
    rules = filters_of_rules(records, analyzer_id)
    present = {found_access.digest: found_access for found_access in found}

    def status_of(row: Mapping[str, Any]) -> str:
        return "ARCHIVED" if any(rule.matches(attributes_of(row)) for rule in rules) else "ACTIVE"

    unchanged: list[str] = []
    for digest, found_access in present.items():
        row = stored.get(digest)
        if row is None:
            values = _new_row(analyzer_id, digest, found_access, now)
            records.insert(findings, **values, status=status_of({**values, "status": "ACTIVE"}))
        elif row["status"] == "RESOLVED":
            changed = {**row, "content": found_access.content, "status": "ACTIVE"}
            _change(records, row, {"content": found_access.content, "status": status_of(changed)}, now)
        elif row["content"] != found_access.content:
            _change(records, row, {"content": found_access.content}, now)
        else:
            unchanged.append(row["id"])
    for start in range(0, len(unchanged), _CHUNK):
        records.update(findings, {"analyzed": now}, id=unchanged[start : start + _CHUNK])
    for digest, row in stored.items():
        if digest in present:
            continue
        if row["content"]["error"] is not None:
            records.delete(findings, id=row["id"])
        elif row["status"] != "RESOLVED":
            _change(records, row, {"status": "RESOLVED"}, now)


def _stored(records: Records, analyzer_id: str, arns: Arns) -> Iterator[Row]:
    if arns is None:
        yield from records.all(findings, analyzer_id=analyzer_id)
        return
    listed = sorted(arns)
    for start in range(0, len(listed), _CHUNK):
        yield from records.all(findings, analyzer_id=analyzer_id, resource=listed[start : start + _CHUNK])


def _new_row(analyzer_id: str, digest: str, found: AnalyzedAccess, now: int) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "analyzer_id": analyzer_id,
        "type": found.type,
        "resource": found.resource,
        "resource_type": found.resource_type,
        "owner": found.owner,
        "content": found.content,
        "digest": digest,
        **dict.fromkeys(("created", "analyzed", "updated"), now),
    }


def _change(records: Records, row: Row, values: Mapping[str, Any], now: int) -> None:
    records.update(findings, {**values, "analyzed": now, "updated": now}, id=row["id"])


def _delete_expired(records: Records, analyzer_id: str, now: int) -> None:
    """Delete findings that were resolved long ago (AA-3)."""
    columns = ("id", "updated")
    for row in records.all(findings, columns=columns, analyzer_id=analyzer_id, status="RESOLVED"):
        if row["updated"] <= now - KEPT_SECONDS:
            records.delete(findings, id=row["id"])
