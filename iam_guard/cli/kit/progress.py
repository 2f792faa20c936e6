"""A progress bar for commands that take longer than a second.

The bar is drawn on standard error, if that is a terminal, by a thread that reads how far the command is; so the command
only adds to a number, and one that is done within a second neither draws nor imports anything. The bar is removed
before the command writes its result.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Event, Thread

from iam_guard.errors import IamGuardError

DELAY = 1.0
"""Seconds before the bar is shown."""
_INTERVAL = 0.1

Count = Callable[[], int | None]


@contextmanager
def progress(
    title: str, total: Count = lambda: None, *, unit: str = "", is_quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs; yield the function that adds to what is done.

    Without a total, which is counted when the bar is shown, it only moves. The unit is `bytes`, or that of the count
    beside the bar. `is_quiet` is for commands that write to the terminal meanwhile.
    """
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count

    if is_quiet or not is_shown():
        yield advance
        return
    end = Event()
    thread = Thread(target=draw, args=(title, total, unit, lambda: done, end), daemon=True)
    thread.start()
    try:
        yield advance
    finally:
        end.set()
        thread.join()


def is_shown() -> bool:
    return sys.stderr.isatty()


def draw(title: str, total: Count, unit: str, done: Count, end: Event) -> None:
    """Draw the bar until the end. Without rich, or if the total can't be counted, there is no bar."""
    if end.wait(DELAY):
        return
    with suppress(ModuleNotFoundError, OSError, IamGuardError):
        rich, console, whole = import_module("rich.progress"), import_module("rich.console"), total()
        count = rich.DownloadColumn() if unit == "bytes" else rich.TextColumn(f"{{task.completed:,}} {unit}")
        time = rich.TimeElapsedColumn() if whole is None else rich.TimeRemainingColumn()
        columns = rich.TextColumn("{task.description}"), rich.BarColumn(), *([count] if unit else []), time
        with rich.Progress(
            *columns,
            console=console.Console(stderr=True),
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,  # standard output may be a file
            redirect_stderr=False,
        ) as bar:
            task = bar.add_task(title, total=whole)
            while not end.wait(_INTERVAL):
                bar.update(task, completed=done(), refresh=True)
