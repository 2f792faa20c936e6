"""`iam-guard audit check-proof`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from iam_guard.audit.verify.proof import InclusionProof, proof_problem
from iam_guard.cli.kit.audit_sources import FILE, KEYS, content_of, trusted_keys
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.errors import InvalidInput


@click.command()
@click.argument("file", default="-", type=FILE)
@KEYS
@STORE
@answering
def command(file: Path, keys: tuple[str, ...], store: str) -> Answer:
    """Check the proof in FILE (default standard input) and print the record; exit code 1 if the proof is invalid."""
    try:
        content = json.loads(content_of(file))
    except ValueError:
        raise InvalidInput("expected a proof as JSON", place=str(file)) from None
    proof = InclusionProof.from_dict(content if isinstance(content, dict) else {})
    problem = proof_problem(proof, trusted_keys(keys, store))
    if problem is not None:
        failed = {"proved": False, "problem": problem, "record": None}
        return Answer(failed, (), exit_code=1, notes=[f"iam-guard: not proved: {problem}"])
    record = {"proved": True, "problem": None, "record": json.loads(proof.line)}
    return Answer(record, proof.line.decode("ascii").removesuffix("\n"))
