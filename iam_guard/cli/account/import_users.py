"""`iam-guard account import-users`: create the users of a file, such as an existing table of users.

The file has a JSON object in each line. What is invalid stops the import before its batch, or is written to a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import click

from iam_guard.administration.user_import import BATCH, MAX_BATCH, ImportedUsers, NumberedRow, UserImport
from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.cli.kit.progress import progress
from iam_guard.errors import ConfigurationError, SeedError

_MAX_LINE: Final = 256 * 1024
"""Bytes of a line: far beyond those of a user with the largest tags."""
_MAX_SHOWN: Final = 20


@click.command()
@ACCOUNT
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--api-keys", type=click.Path(dir_okay=False, path_type=Path), help="Append new API keys to this file.")
@click.option("--create-groups", is_flag=True, help="Create missing groups.")
@click.option(
    "--skip-invalid",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Go on after invalid lines, and append them to this file with their problems.",
)
@click.option("--batch", type=click.IntRange(1, MAX_BATCH), default=BATCH, show_default=True, help="Lines at a time.")
@STORE
@answering
def command(
    account: str,
    file: Path,
    api_keys: Path | None,
    create_groups: bool,
    skip_invalid: Path | None,
    batch: int,
    store: str,
) -> Answer:
    """Create the users of FILE in ACCOUNT (12 digits); `-` reads standard input.

    Each line is a JSON object with `name`, and optionally `path`, `tags`, `groups`, `attached` (managed policies),
    `boundary`, `api_key` (true for a new one) and `password_digest`. Users that exist are not changed, so an
    interrupted import is continued by the same command. Exit code 1 if existing users differ from their lines, or
    lines were skipped.
    """
    is_stdin = str(file) == "-"
    total = 0 if is_stdin else _count_lines(file)
    with (
        recorded_store(store) as (opened, change_recorder),
        _skipping(skip_invalid) as skip,
        click.open_file(str(file), "rb") as source,
        progress("importing", lambda: total or None, unit="users") as advance,
    ):
        run = UserImport(
            opened,
            change_recorder,
            account,
            clock=lambda: datetime.now(UTC),
            create_groups=create_groups,
            name="standard input" if is_stdin else file.name,
        )
        try:
            done = run.run(_rows(source), total=total, batch=batch, keys=api_keys, skip=skip, progress=advance)
        except SeedError as error:
            raise _shortened(error) from None
    return Answer(asdict(done), _summary(done, api_keys), exit_code=1 if done.differing or done.skipped else 0)


def _shortened(error: SeedError) -> SeedError:
    """Return the error with its first problems only."""
    shown, more = error.problems[:_MAX_SHOWN], len(error.problems) - _MAX_SHOWN
    problems = (*shown, f"and {more} more problems in these lines") if more > 0 else shown
    return SeedError(error.message, place=error.place, line=error.line, problems=problems)


def _count_lines(file: Path) -> int:
    """Return the number of lines that are not empty."""
    try:
        with file.open("rb") as source:
            return sum(1 for line in source if line.strip())
    except OSError as error:
        raise ConfigurationError(f"cannot read `{file}`: {error.strerror}", place="file") from None


def _rows(source: IO[bytes]) -> Iterator[NumberedRow]:
    """Yield the lines with their numbers; a text that says what is wrong with an invalid one."""
    number = 0
    while line := source.readline(_MAX_LINE + 1):
        number += 1
        if len(line) > _MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = source.readline(_MAX_LINE)
            yield number, f"expected a line of at most {_MAX_LINE} bytes"
        elif line.strip():
            yield number, _parsed(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)


def _parsed(line: bytes) -> object:
    """Parse a line; the messages don't quote it, since it may contain digests."""
    try:
        row: object = _DECODER.decode(line.decode())
    except UnicodeDecodeError:
        return "expected text in UTF-8"
    except _RepeatedKeyError as error:
        return f"the key `{error.args[0][:200]}` occurs twice"
    except (ValueError, RecursionError):
        return (
            "expected a JSON object" if line.endswith(b"\n") else "expected a JSON object: the last line is incomplete"
        )
    return "expected a JSON object" if isinstance(row, str) else row


class _RepeatedKeyError(ValueError):
    pass


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))
    return found


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_without_repeats)


@contextmanager
def _skipping(path: Path | None) -> Iterator[Callable[[int, object, str], None] | None]:
    """Yield what appends skipped rows to a file, which only its owner can read: rows may contain digests."""
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"cannot open `{path}`: {error.strerror}", place="skip_invalid") from None
    if os.fstat(descriptor).st_mode & 0o077:
        os.close(descriptor)
        raise ConfigurationError(f"expected `{path}` with mode 0600: rows may contain digests", place="skip_invalid")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:

        def skip(line: int, row: object, problem: str) -> None:
            kept = None if isinstance(row, str) else row
            file.write(json.dumps({"line": line, "problem": problem, "row": kept}) + "\n")

        yield skip


def _summary(done: ImportedUsers, api_keys: Path | None) -> Iterator[str]:
    yield f"created {done.created:,} users, {done.unchanged:,} exist already"
    if done.api_keys:
        yield f"created {done.api_keys:,} API keys, listed in {api_keys}"
    if done.recovered_keys:
        yield f"listed {done.recovered_keys:,} API keys of an interrupted import in {api_keys}"
    if done.skipped:
        yield f"skipped {done.skipped:,} invalid lines"
    if done.differing:
        yield f"{done.differing:,} existing users differ from their lines, and were not changed:"
        for line, keys in list(done.differences.items())[:_MAX_SHOWN]:
            yield f"  line {line}: {', '.join(keys)}"
        if done.differing > _MAX_SHOWN:
            yield f"  and {done.differing - _MAX_SHOWN:,} more"
