"""Sinks: whole lines or an error, several processes at once, rotation, full disks, torn lines."""

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

from iam_guard.audit.consumer.reader import read
from iam_guard.audit.sinks import FileSink, ListSink, Sink, StreamSink, open_sink
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
    return [record["number"] for record in read(file)]


# --- the contract of every sink ----------------------------------------------------------------------------------


@pytest.fixture(params=["file", "stream", "list"])
def kept(request: pytest.FixtureRequest, file: Path) -> Iterator[tuple[Sink, Callable[[], bytes]]]:
    """A sink of each kind, with a way to look at what it has kept."""
    beneath = io.BytesIO()
    stream = io.BufferedWriter(beneath)
    memory = ListSink()
    sinks: dict[str, Callable[[], tuple[Sink, Callable[[], bytes]]]] = {
        "file": lambda: (FileSink(file), file.read_bytes),
        "stream": lambda: (StreamSink(stream), beneath.getvalue),
        "list": lambda: (memory, lambda: b"".join(memory.lines)),
    }
    made, look = sinks[request.param]()
    yield made, look
    made.close()


def test_sink_keeps_lines_in_order_at_once(kept: tuple[Sink, Callable[[], bytes]]) -> None:
    """When `write` returns the lines are kept, as they are and in their order."""
    sink, look = kept
    for number in range(3):
        sink.write(line(number))
        assert look() == b"".join(line(each) for each in range(number + 1))


def test_sink_keeps_lines_whole_between_threads(kept: tuple[Sink, Callable[[], bytes]]) -> None:
    """Threads that write at the same moment do not mix their lines."""
    sink, look = kept

    def work(first: int) -> None:
        for number in range(first, first + 200):
            sink.write(line(number, filler="x" * 3000))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 1600, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [json.loads(splitline)["number"] for splitline in look().splitlines()]
    assert sorted(found) == list(range(1600))


def test_closing_twice_is_harmless(kept: tuple[Sink, Callable[[], bytes]]) -> None:
    sink, _ = kept
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


def test_processes_do_not_mix_their_lines(file: Path) -> None:
    """Four processes append lines of up to 20 kB to one file; every line is whole and none is lost."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(first)]) for first in (0, 500, 1000, 1500)
    ]
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0, 0, 0]
    assert sorted(numbers(file)) == list(range(2000))


def test_file_belongs_to_its_owner_only(sink: FileSink, file: Path) -> None:
    """The file is made with mode 0600."""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_existing_lines_are_kept(file: Path) -> None:
    """Opening a file appends to it."""
    file.write_bytes(line(1))
    sink = FileSink(file)
    sink.write(line(2))
    sink.close()
    assert numbers(file) == [1, 2]


def test_rotation_is_followed(sink: FileSink, file: Path) -> None:
    """After the file was renamed away, lines go to a new file of the old name; nothing is lost."""
    sink.write(line(1))
    old = file.rename(file.with_suffix(".1"))
    sink.write(line(2))
    sink.write(line(3))
    assert numbers(old) == [1]
    assert numbers(file) == [2, 3]


def test_another_file_of_the_same_name_is_followed(sink: FileSink, file: Path) -> None:
    """A rotation that puts a new file in the place (`create`) is followed as well."""
    sink.write(line(1))
    file.rename(file.with_suffix(".1"))
    file.touch()
    sink.write(line(2))
    assert numbers(file) == [2]


def test_rotation_leaks_no_descriptor(sink: FileSink, file: Path) -> None:
    """Following a rotation closes the file that is left."""
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else pytest.skip("needs /proc")
    for number in range(20):
        file.unlink()
        sink.write(line(number))
    assert len(os.listdir("/proc/self/fd")) == before


def test_vanished_folder_is_a_failure(tmp_path: Path) -> None:
    """When the file cannot be made anew, `write` raises; nothing is written to a file that nobody can find."""
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


def test_closed_file_is_a_failure(sink: FileSink, file: Path) -> None:
    """A line after `close` raises instead of opening the file again."""
    sink.close()
    with pytest.raises(OSError, match="closed"):
        sink.write(line(1))
    assert file.read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_a_failure() -> None:
    """A disk without room raises ENOSPC."""
    sink = FileSink("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        sink.write(line(1))
    assert caught.value.errno == errno.ENOSPC
    sink.close()


def test_line_cut_short_by_a_full_disk_spoils_no_other(file: Path) -> None:
    """A write that the disk takes in part raises; the next line begins anew, and the reader names the broken one."""
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
    assert [record["number"] for record in read(file, on_broken=broken.append)] == [1, 3]
    assert [error.place for error in broken] == [f"{file}:2"]


def test_half_a_line_of_a_killed_process_spoils_no_other(file: Path) -> None:
    """A torn last line that another process left stays the only broken one."""
    file.write_bytes(line(1) + line(2)[:20])
    sink = FileSink(file)
    sink.write(line(3))
    sink.close()
    broken: list[InvalidInput] = []
    assert [record["number"] for record in read(file, on_broken=broken.append)] == [1, 3]
    assert len(broken) == 1


# --- choosing ------------------------------------------------------------------------------------------------------


def test_setting_chooses_the_sink(file: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Empty is nowhere, `-` standard output, all else a file."""
    assert open_sink("") is None
    stream = open_sink("-")
    assert isinstance(stream, StreamSink)
    stream.write(line(1))
    stream.close()
    assert capfdbinary.readouterr().out == line(1)
    opened = open_sink(str(file))
    assert isinstance(opened, FileSink)
    opened.close()


def test_file_that_cannot_be_opened_is_a_wrong_setting(tmp_path: Path) -> None:
    """The error comes at the start and names the file."""
    with pytest.raises(ConfigurationError, match="cannot be opened: No such file") as caught:
        open_sink(str(tmp_path / "missing" / "audit.jsonl"))
    assert caught.value.place == str(tmp_path / "missing" / "audit.jsonl")


def test_list_gives_its_records_back() -> None:
    sink = ListSink()
    sink.write(line(1) + line(2))
    sink.write(line(3))
    assert [record["number"] for record in sink.records] == [1, 2, 3]
