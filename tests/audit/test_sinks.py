"""Sinks: whole lines or an error, several processes at once, rotation, full disks, partial lines."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.sinks import FileSink, Sink, StreamSink, open_sink
from iam_guard.errors import ConfigurationError, InvalidInput


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def sink(file: Path) -> Iterator[FileSink]:
    opened = FileSink(file)
    yield opened
    opened.close()


def line(number: int, *, filler: str = "") -> bytes:
    return json.dumps({"eventVersion": "1.11", "number": number, "filler": filler}).encode() + b"\n"


def numbers(file: Path) -> list[int]:
    return [record["number"] for record in read_records(file)]


# --- the contract of every sink ----------------------------------------------------------------------------------


@pytest.fixture(params=["file", "stream"])
def sink_and_content(request: pytest.FixtureRequest, file: Path) -> Iterator[tuple[Sink, Callable[[], bytes]]]:
    """A sink of each kind, with a function that returns its content."""
    raw = io.BytesIO()
    stream = io.BufferedWriter(raw)
    sinks: dict[str, Callable[[], tuple[Sink, Callable[[], bytes]]]] = {
        "file": lambda: (FileSink(file), file.read_bytes),
        "stream": lambda: (StreamSink(stream), raw.getvalue),
    }
    sink, content = sinks[request.param]()
    yield sink, content
    sink.close()


def test_write_stores_lines_in_order_before_it_returns(sink_and_content: tuple[Sink, Callable[[], bytes]]) -> None:
    sink, content = sink_and_content
    for number in range(3):
        sink.write(line(number))
        assert content() == b"".join(line(index) for index in range(number + 1))


def test_concurrent_writes_do_not_mix_lines(sink_and_content: tuple[Sink, Callable[[], bytes]]) -> None:
    sink, content = sink_and_content

    def work(first: int) -> None:
        for number in range(first, first + 200):
            sink.write(line(number, filler="x" * 3000))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 1600, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = [json.loads(splitline)["number"] for splitline in content().splitlines()]
    assert sorted(written) == list(range(1600))


def test_second_close_does_nothing(sink_and_content: tuple[Sink, Callable[[], bytes]]) -> None:
    sink, _ = sink_and_content
    sink.close()
    sink.close()


# --- files ---------------------------------------------------------------------------------------------------------


WRITER = """
import json, sys
from iam_guard.audit.sinks import FileSink
sink, first = FileSink(sys.argv[1]), int(sys.argv[2])
for number in range(first, first + 500):
    filler = "x" * (number * 37 % 20000)
    sink.write(json.dumps({"eventVersion": "1.11", "number": number, "filler": filler}).encode() + b"\\n")
"""


def test_processes_do_not_mix_lines(file: Path) -> None:
    """Four processes append lines of up to 20 kB to one file; every line is complete and none is lost."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(first)]) for first in (0, 500, 1000, 1500)
    ]
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0, 0, 0]
    assert sorted(numbers(file)) == list(range(2000))


def test_file_is_created_with_mode_0600(sink: FileSink, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_opening_an_existing_file_appends(file: Path) -> None:
    file.write_bytes(line(1))
    sink = FileSink(file)
    sink.write(line(2))
    sink.close()
    assert numbers(file) == [1, 2]


def test_renamed_file_is_reopened(sink: FileSink, file: Path) -> None:
    """Lines go to a new file of the old name; nothing is lost."""
    sink.write(line(1))
    old = file.rename(file.with_suffix(".1"))
    sink.write(line(2))
    sink.write(line(3))
    assert numbers(old) == [1]
    assert numbers(file) == [2, 3]


def test_replaced_file_is_reopened(sink: FileSink, file: Path) -> None:
    """As with `logrotate create`."""
    sink.write(line(1))
    file.rename(file.with_suffix(".1"))
    file.touch()
    sink.write(line(2))
    assert numbers(file) == [2]


def test_rotation_closes_the_previous_file(sink: FileSink, file: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else pytest.skip("needs /proc")
    for number in range(20):
        file.unlink()
        sink.write(line(number))
    assert len(os.listdir("/proc/self/fd")) == before


def test_write_to_deleted_folder_raises(tmp_path: Path) -> None:
    """Nothing is written to an unreachable file."""
    folder = tmp_path / "log"
    folder.mkdir()
    sink = FileSink(folder / "audit.jsonl")
    (folder / "audit.jsonl").unlink()
    folder.rmdir()
    with pytest.raises(FileNotFoundError):
        sink.write(line(1))
    folder.mkdir()
    sink.write(line(2))
    assert numbers(folder / "audit.jsonl") == [2]
    sink.close()


def test_write_after_close_raises(sink: FileSink, file: Path) -> None:
    """It does not reopen the file."""
    sink.close()
    with pytest.raises(OSError, match="closed"):
        sink.write(line(1))
    assert file.read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_raises_enospc() -> None:
    sink = FileSink("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        sink.write(line(1))
    assert caught.value.errno == errno.ENOSPC
    sink.close()


def test_partial_write_breaks_only_one_line(file: Path) -> None:
    """The write raises; the next line starts on a new line, and the reader reports the broken one."""
    script = (
        "import resource, signal, sys\n"
        "from iam_guard.audit.sinks import FileSink\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "sink = FileSink(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150, resource.RLIM_INFINITY))\n"
        'line = b\'{"eventVersion": "1.11", "number": %d, "filler": "\' + b\'x\' * 60 + b\'"}\\n\'\n'
        "sink.write(line % 1)\n"
        "try:\n"
        "    sink.write(line % 2)\n"
        "except OSError:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "    sink.write(line % 3)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(file)], check=True)
    with pytest.raises(InvalidInput, match="in JSON"):
        numbers(file)
    broken: list[InvalidInput] = []
    assert [record["number"] for record in read_records(file, on_broken=broken.append)] == [1, 3]
    assert [error.place for error in broken] == [f"{file}:2"]


def test_partial_line_of_killed_process_stays_the_only_broken_one(file: Path) -> None:
    file.write_bytes(line(1) + line(2)[:20])
    sink = FileSink(file)
    sink.write(line(3))
    sink.close()
    broken: list[InvalidInput] = []
    assert [record["number"] for record in read_records(file, on_broken=broken.append)] == [1, 3]
    assert len(broken) == 1


# --- settings ------------------------------------------------------------------------------------------------------


def test_setting_selects_the_sink(file: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Empty for none, `-` for standard output, else a file."""
    assert open_sink("") is None
    stream = open_sink("-")
    assert isinstance(stream, StreamSink)
    stream.write(line(1))
    stream.close()
    assert capfdbinary.readouterr().out == line(1)
    opened = open_sink(str(file))
    assert isinstance(opened, FileSink)
    opened.close()


def test_unopenable_file_is_a_configuration_error(tmp_path: Path) -> None:
    """Raised at the start, with the file name."""
    with pytest.raises(ConfigurationError, match="cannot be opened: No such file") as caught:
        open_sink(str(tmp_path / "missing" / "audit.jsonl"))
    assert caught.value.place == str(tmp_path / "missing" / "audit.jsonl")
