"""Logging libraries as peers of the audit trail: three ways to write the same facts to a file.

- `logging` of the standard library, with a queue and a listener that writes JSON: the request puts a record into the
  queue, a thread writes the line.
- `structlog` with `orjson`, which writes the line in the thread of the request, as in its documentation.
- the logs SDK of OpenTelemetry, with its batch processor and an exporter into a file. Its queue is as long as ours,
  since the default of 2,048 would drop records.

None hashes, signs, redacts, or reports missing records.
"""

from __future__ import annotations

import json
import logging
import queue
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path

import orjson
import structlog
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult

from iam_guard.model.decision import Decision
from iam_guard.model.request import Call

QUEUE = 10_000

Facts = dict[str, str | int | bool | None]
Noter = Callable[[Decision, Call], None]


def facts_of(decision: Decision, call: Call) -> Facts:
    """Return the facts of a record, as an application would log a decision."""
    request, reason = decision.request, decision.reasons[0]
    return {
        "eventID": str(uuid.uuid4()),
        "eventTime": datetime.now(UTC).isoformat(),
        "principal": request.principal.arn,
        "action": request.action,
        "resource": request.resource,
        "account": request.owner,
        "outcome": decision.outcome.value,
        "policy": None if reason.policy is None else reason.policy.arn,
        "digest": None if reason.policy is None else reason.policy.digest,
        "statement": reason.statement,
        "sid": reason.sid,
        "epoch": decision.epoch,
        "stale": decision.stale,
        "sourceIPAddress": call.source_ip,
        "userAgent": call.user_agent,
        "method": call.method,
        "path": call.path,
        "host": call.host,
        "requestID": call.request_id,
    }


@contextmanager
def standard_library(path: Path) -> Iterator[Noter]:
    """Log through a queue to a file of JSON lines."""
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    file = logging.FileHandler(path)
    file.setFormatter(_JsonFormatter())
    listener = QueueListener(waiting, file)
    logger = logging.Logger("benchmark", logging.INFO)
    logger.addHandler(QueueHandler(waiting))
    listener.start()
    try:
        yield lambda decision, call: logger.info("decision", extra={"facts": facts_of(decision, call)})
    finally:
        listener.stop()
        file.close()


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"event": record.getMessage(), "level": record.levelname, **vars(record)["facts"]})


@contextmanager
def structlog_and_orjson(path: Path) -> Iterator[Noter]:
    """Log at once to a file of JSON lines."""
    with path.open("ab") as file:
        logger = structlog.wrap_logger(
            structlog.BytesLogger(file),
            processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer(orjson.dumps)],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=True,
        ).bind()
        yield lambda decision, call: logger.info("decision", **facts_of(decision, call))


@contextmanager
def opentelemetry_logs(path: Path) -> Iterator[Noter]:
    """Emit log records that the SDK exports in batches to a file."""
    provider = LoggerProvider()
    with path.open("a", encoding="utf-8") as file:
        provider.add_log_record_processor(BatchLogRecordProcessor(_FileExporter(file.write), max_queue_size=QUEUE))
        logger = provider.get_logger("benchmark")

        def note(decision: Decision, call: Call) -> None:
            logger.emit(
                severity_number=SeverityNumber.INFO,
                event_name="decision",
                attributes={name: value for name, value in facts_of(decision, call).items() if value is not None},
            )

        try:
            yield note
        finally:
            provider.shutdown()


class _FileExporter(LogRecordExporter):
    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        self._write("".join(f"{each.to_json(indent=None)}\n" for each in batch))
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return True

    def shutdown(self) -> None:
        """Do nothing: the caller closes the file."""


PEERS = {
    "logging with a queue, JSON": standard_library,
    "structlog, orjson": structlog_and_orjson,
    "OpenTelemetry's logs SDK": opentelemetry_logs,
}
