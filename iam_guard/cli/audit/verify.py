"""`iam-guard audit verify`: compare a trail with what was signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.verify.trail_verifier import read_anchors, trail_bytes, verify_trail
from iam_guard.audit.verify.verdicts import MEANINGS, Report, TrailFinding, Verdict
from iam_guard.cli.kit.audit_sources import FILE, FOLDER, KEYS, content_of, trusted_keys
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.terminal import quantity


@click.command()
@click.argument("folder", type=FOLDER)
@KEYS
@click.option(
    "--since-checkpoint", type=FILE, metavar="FILE", help="Compare with checkpoints that you stored elsewhere."
)
@click.option(
    "--accept",
    multiple=True,
    type=click.Choice([verdict.value for verdict in Verdict]),
    help="Exit with 0 despite this verdict, such as UNSIGNED_TAIL while the trail is written.",
)
@STORE
@answering
def command(
    folder: Path,
    keys: tuple[str, ...],
    since_checkpoint: Path | None,
    accept: tuple[str, ...],
    store: str,
) -> Answer:
    """Verify every shard in FOLDER; exit code 1 if anything differs from what was signed."""
    ring = trusted_keys(keys, store)
    since = None
    if since_checkpoint is not None:
        since = read_anchors(content_of(since_checkpoint), ring, place=str(since_checkpoint))
    with progress("verifying", lambda: trail_bytes(folder), unit="bytes") as advance:
        report = verify_trail(folder, ring, since=since, progress=advance)
    is_other = any(finding.verdict.value not in accept for finding in report.findings)
    return Answer(_as_dict(report), _lines(report), exit_code=int(is_other))


def _as_dict(report: Report) -> dict[str, Any]:
    return {
        "ok": report.is_ok,
        "shards": [
            {
                "shard": shard.shard,
                "lines": shard.lines,
                "signed": shard.signed,
                "ended": shard.has_ended,
                "dropped": shard.dropped,
            }
            for shard in report.shards
        ],
        "findings": [asdict(finding) for finding in report.findings],
    }


def _lines(report: Report) -> Iterator[str]:
    for shard in report.shards:
        state = "ended" if shard.has_ended else "open"
        dropped = f", {shard.dropped} dropped" if shard.dropped else ""
        yield f"{shard.shard}: {shard.lines} lines, {shard.signed} signed{dropped}, {state}"
        yield from map(_finding_line, shard.findings)
    yield from map(_finding_line, report.others)
    lines = sum(shard.lines for shard in report.shards)
    found = quantity(len(report.findings), "finding")
    verdict = click.style("OK", fg="green") if report.is_ok else click.style(found, fg="red")
    yield f"{len(report.shards)} shards, {lines} lines: {verdict}"
    for kind in dict.fromkeys(finding.verdict for finding in report.findings):
        yield f"{kind.value}: {MEANINGS[kind]}"


def _finding_line(finding: TrailFinding) -> str:
    sequence = "" if finding.sequence is None else f" (sequence {finding.sequence})"
    return f"  {click.style(finding.verdict.value, fg='yellow')} {finding.place}{sequence}: {finding.detail}"
