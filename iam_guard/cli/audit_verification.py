"""`iam-guard audit verify|prove|check-proof|checkpoint|keys`: verify a trail, prove a record, print and rotate keys."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from iam_guard.audit.verify.proof import InclusionProof, latest_checkpoints, proof_problem, prove
from iam_guard.audit.verify.signing_keys import audit_key_file, key_ring, rotate_signing_key
from iam_guard.audit.verify.trail_verifier import read_anchors, trail_bytes, verify_trail
from iam_guard.audit.verify.verdicts import MEANINGS, Report, TrailFinding, Verdict
from iam_guard.cli.audit_sources import FOLDER, KEYS, trusted_keys
from iam_guard.cli.options import JSON, STORE
from iam_guard.cli.progress import progress
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.settings import load
from iam_guard.store.location import store_file

_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
_TRAIL = click.option("--trail", type=FOLDER, required=True, help="Read the trail in this folder.")


@click.command("verify")
@click.argument("folder", type=FOLDER)
@KEYS
@click.option(
    "--since-checkpoint", type=_FILE, metavar="FILE", help="Compare with checkpoints that you stored elsewhere."
)
@click.option(
    "--accept",
    multiple=True,
    type=click.Choice([verdict.value for verdict in Verdict]),
    help="Exit with 0 despite this verdict, such as UNSIGNED_TAIL while the trail is written.",
)
@STORE
@JSON
def verify_command(
    folder: Path,
    keys: tuple[str, ...],
    since_checkpoint: Path | None,
    accept: tuple[str, ...],
    store: str,
    as_json: bool,
) -> None:
    """Verify every shard in FOLDER; exit code 1 if anything differs from what was signed."""
    ring = trusted_keys(keys, store)
    since = None
    if since_checkpoint is not None:
        since = read_anchors(_content(since_checkpoint), ring, place=str(since_checkpoint))
    with progress("verifying", lambda: trail_bytes(folder), unit="bytes") as advance:
        report = verify_trail(folder, ring, since=since, progress=advance)
    if as_json:
        click.echo(json.dumps(_as_dict(report)))
    else:
        _print_report(report)
    sys.exit(1 if any(finding.verdict.value not in accept for finding in report.findings) else 0)


@click.command("prove")
@click.argument("event_id")
@_TRAIL
@KEYS
@STORE
def prove_command(event_id: str, trail: Path, keys: tuple[str, ...], store: str) -> None:
    """Prove that the record EVENT_ID is in the trail: print a JSON proof that can be checked without the trail."""
    ring = trusted_keys(keys, store)
    with progress("searching"):
        proof = prove(trail, event_id, ring)
    click.echo(json.dumps(proof.to_dict()))


@click.command()
@click.argument("file", default="-", type=_FILE)
@KEYS
@STORE
@JSON
def check_proof(file: Path, keys: tuple[str, ...], store: str, as_json: bool) -> None:
    """Check the proof in FILE (default standard input) and print the record; exit code 1 if the proof is invalid."""
    try:
        content = json.loads(_content(file))
    except ValueError:
        raise InvalidInput("expected a proof as JSON", place=str(file)) from None
    proof = InclusionProof.from_dict(content if isinstance(content, dict) else {})
    problem = proof_problem(proof, trusted_keys(keys, store))
    if as_json:
        record = json.loads(proof.line) if problem is None else None
        click.echo(json.dumps({"proved": problem is None, "problem": problem, "record": record}))
    elif problem is None:
        click.echo(proof.line.decode("ascii"), nl=False)
    else:
        click.echo(f"iam-guard: not proved: {problem}", err=True)
    sys.exit(0 if problem is None else 1)


@click.command()
@_TRAIL
@KEYS
@STORE
def checkpoint(trail: Path, keys: tuple[str, ...], store: str) -> None:
    """Print the latest checkpoint of every shard; store it elsewhere for `verify --since-checkpoint`."""
    notes = latest_checkpoints(trail, trusted_keys(keys, store))
    if not notes:
        raise InvalidInput("expected a checkpoint signed with a trusted key, found none", place=str(trail))
    click.echo("".join(f"{note.decode()}\n" for note in notes), nl=False)


@click.command("keys")
@click.option("--rotate", is_flag=True, help="Add a new signing key; it signs from the next start of the service.")
@STORE
@JSON
def keys_command(rotate: bool, store: str, as_json: bool) -> None:
    """Print the public keys that verify checkpoints, the signing key first."""
    settings = load()
    path = audit_key_file(settings, store_file(store))
    if rotate:
        if path is None:
            raise ConfigurationError("expected a key file, set `IAM_GUARD_AUDIT_KEY_FILE`", place="audit_key_file")
        rotate_signing_key(path)
    lines = [str(key) for key in key_ring(settings, path).keys]
    click.echo(json.dumps({"keys": lines}) if as_json else "\n".join(lines))


# --- common parts ------------------------------------------------------------------------------------------------


def _content(file: Path) -> bytes:
    return sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()


# --- reports -------------------------------------------------------------------------------------------------------


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


def _print_report(report: Report) -> None:
    for shard in report.shards:
        state = "ended" if shard.has_ended else "open"
        dropped = f", {shard.dropped} dropped" if shard.dropped else ""
        click.echo(f"{shard.shard}: {shard.lines} lines, {shard.signed} signed{dropped}, {state}")
        for finding in shard.findings:
            click.echo(_finding_line(finding))
    for finding in report.others:
        click.echo(_finding_line(finding))
    lines = sum(shard.lines for shard in report.shards)
    count = len(report.findings)
    found = "1 finding" if count == 1 else f"{count} findings"
    verdict = click.style("OK", fg="green") if report.is_ok else click.style(found, fg="red")
    click.echo(f"{len(report.shards)} shards, {lines} lines: {verdict}")
    for kind in dict.fromkeys(finding.verdict for finding in report.findings):
        click.echo(f"{kind.value}: {MEANINGS[kind]}")


def _finding_line(finding: TrailFinding) -> str:
    sequence = "" if finding.sequence is None else f" (sequence {finding.sequence})"
    return f"  {click.style(finding.verdict.value, fg='yellow')} {finding.place}{sequence}: {finding.detail}"
