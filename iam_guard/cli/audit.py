"""`iam-guard audit`: the commands of the audit trail, imported on use."""

from __future__ import annotations

import click

from iam_guard.cli.group import CommandRow, LazyGroup

COMMANDS = {
    "check-proof": CommandRow(
        "audit_verification.check_proof",
        "Check the proof in FILE (default standard input) and print the record; exit code 1 if the proof is invalid.",
    ),
    "checkpoint": CommandRow(
        "audit_verification.checkpoint",
        "Print the latest checkpoint of every shard; store it elsewhere for `verify --since-checkpoint`.",
    ),
    "drop": CommandRow(
        "audit_drop.drop",
        "Drop the lines of old segments from the trail in FOLDER; exit code 1 if an old segment must be kept.",
    ),
    "export": CommandRow(
        "audit_consumers.export", "Convert the records of the trail in FOLDER to another format, as JSON lines."
    ),
    "feed": CommandRow(
        "audit_activity.feed",
        "Write to the store when keys, users, roles and services were last used, according to the trail in FOLDER.",
    ),
    "generate-policy": CommandRow(
        "audit_activity.generate_policy_command",
        "Generate the least-privilege policy for the activity of PRINCIPAL, a user or role by its ARN or unique id.",
    ),
    "keys": CommandRow(
        "audit_verification.keys_command", "Print the public keys that verify checkpoints, the signing key first."
    ),
    "prove": CommandRow(
        "audit_verification.prove_command",
        "Prove that the record EVENT_ID is in the trail: print a JSON proof that can be checked without the trail.",
    ),
    "pseudonym": CommandRow(
        "audit_pseudonyms.pseudonym_command",
        "Print the pseudonyms of VALUE in the records of ACCOUNT, the current one first.",
    ),
    "pseudonym-key": CommandRow(
        "audit_pseudonyms.pseudonym_key",
        "Create, rotate or destroy the pseudonym key of ACCOUNT (12 digits, or `other` for callers without one).",
    ),
    "query": CommandRow(
        "audit_query.query", "Query the trail in FOLDER with SQL over the view `records`, or with a predefined query."
    ),
    "replay": CommandRow(
        "audit_replay.replay",
        "Decide the requests of audit FILES again and list changed outcomes; exit code 1 if there are any.",
    ),
    "shadow": CommandRow(
        "audit_replay.shadow",
        "List what a candidate in shadow mode would have decided differently, from FILES; exit code 1 if anything.",
    ),
    "ship": CommandRow(
        "audit_ship.ship",
        "Ship the records of the trail in FOLDER to sinks, at least once each, until stopped by a signal.",
    ),
    "tail": CommandRow("audit_consumers.tail", "Show the records of the trail in FOLDER, ordered by time."),
    "verify": CommandRow(
        "audit_verification.verify_command",
        "Verify every shard in FOLDER; exit code 1 if anything differs from what was signed.",
    ),
}


@click.group(cls=LazyGroup, rows=COMMANDS)
def audit() -> None:
    """Verify the audit trail, prove and read its records, drop old ones, and replay its requests."""
