"""The sinks `file` and `stdout`: complete lines, synced before they are confirmed, also after a crash."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.export import FORMS
from iam_guard.audit.shipping.destination import Gone, Refused, Unreachable
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.shipping.to_file import LineFile, connector
from iam_guard.audit.shipping.to_stdout import StandardOutput
from iam_guard.audit.sinks import StreamSink
from iam_guard.audit.verify.shard import segments_of
from tests.audit.shipping.destinations import ship_once
from tests.audit.trails import only_shard, written


def file_at(path: Path, options: str = "") -> LineFile:
    return connector(SinkUrl.parse(f"file:{path}#name=file{options}"))()


def test_file_sink_copies_lines_byte_for_byte(tmp_path: Path) -> None:
    """So the lines of the file have the hashes of the trail."""
    trail, out = tmp_path / "trail", tmp_path / "out.jsonl"
    written(trail, 40)
    ship_once(trail, *open_sinks([SinkUrl.parse(f"file:{out}")]))
    assert out.read_bytes() == b"".join(segment.lines.read_bytes() for segment in segments_of(only_shard(trail)))
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("form", "mark"), [("ocsf", "class_uid"), ("otel", "resourceLogs")])
def test_file_sink_form_is_configurable(tmp_path: Path, batch: Sequence[Delivery], form: str, mark: str) -> None:
    path = tmp_path / "out.jsonl"
    sink = file_at(path, f"&form={form}")
    sink.send(batch)
    sink.close()
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(found) == len(batch)
    assert all(mark in each for each in found)


def test_unformattable_record_is_refused_without_content(tmp_path: Path, batch: Sequence[Delivery]) -> None:
    """It must not block the records after it."""

    def form(record: Mapping[str, Any]) -> str:
        raise KeyError(record["eventID"])

    sink = LineFile(tmp_path / "out.jsonl", form)
    with pytest.raises(Refused, match="KeyError") as refused:
        sink.send(batch)
    sink.close()
    assert batch[0].record["eventID"] not in str(refused.value)


def test_file_sink_syncs_before_confirming(
    tmp_path: Path, batch: Sequence[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def sync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr("os.fsync", sync)
    sink = file_at(tmp_path / "out.jsonl")
    sink.send(batch)
    sink.close()
    assert (tmp_path / "out.jsonl").stat().st_size in synced


def test_file_sink_after_half_line_breaks_one_line(tmp_path: Path, batch: Sequence[Delivery]) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"eventVersion":"1.11"}\n{"eventVersion":"1.')
    sink = file_at(path)
    sink.send(batch)
    sink.close()
    broken: list[object] = []
    records = list(read_records(path, on_broken=broken.append))
    assert len(broken) == 1
    assert records[1:] == [each.record for each in batch]


def test_file_sink_on_full_disk_is_retried(
    tmp_path: Path, batch: Sequence[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The incomplete line is malformed, and the complete batch follows."""
    path = tmp_path / "out.jsonl"
    sink, real = file_at(path), os.write
    monkeypatch.setattr("os.write", lambda descriptor, data: real(descriptor, bytes(data)[:100]))
    with pytest.raises(Unreachable, match="cannot be written"):
        sink.send(batch)
    monkeypatch.undo()
    sink.send(batch)
    sink.close()
    broken: list[object] = []
    assert list(read_records(path, on_broken=broken.append)) == [each.record for each in batch]
    assert len(broken) == 1


def test_file_sink_follows_rotation(tmp_path: Path, batch: Sequence[Delivery]) -> None:
    path = tmp_path / "out.jsonl"
    sink = file_at(path)
    sink.send(batch[:3])
    path.rename(tmp_path / "out.jsonl.1")
    sink.send(batch[3:])
    sink.close()
    assert [each["eventID"] for each in read_records(path)] == [each.record["eventID"] for each in batch[3:]]


def test_file_sink_without_folder_is_retried(tmp_path: Path, batch: Sequence[Delivery]) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = file_at(folder / "out.jsonl")
    folder.rmdir()
    with pytest.raises(Unreachable, match="No such file"):
        sink.send(batch)
    folder.mkdir()
    sink.send(batch)
    sink.close()


def test_stdout_sink_writes_lines(batch: Sequence[Delivery]) -> None:
    stream = io.BytesIO()
    StandardOutput(FORMS["record"], StreamSink(stream)).send(batch)
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [each.record for each in batch]


def test_stdout_sink_with_closed_pipe_is_gone(batch: Sequence[Delivery]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as stream, pytest.raises(Gone, match="closed"):
        StandardOutput(FORMS["record"], StreamSink(stream)).send(batch)  # type: ignore[arg-type]
