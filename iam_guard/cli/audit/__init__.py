"""`iam-guard audit`: the commands of the audit trail."""

from iam_guard.cli.group import LazyGroup

command = LazyGroup(
    __name__,
    "Verify the audit trail, prove and read its records, drop old ones, and replay its requests.",
    {
        "check-proof": "Check the proof in FILE (default standard input) and print the record; exit code 1 if the "
        "proof is invalid.",
        "checkpoint": "Print the latest checkpoint of every shard; store it elsewhere for `verify --since-checkpoint`.",
        "drop": "Drop the lines of old segments from the trail in FOLDER; exit code 1 if an old segment must be kept.",
        "export": "Convert the records of the trail in FOLDER to another format, as JSON lines.",
        "feed": "Write to the store when keys, users, roles and services were last used, according to the trail in "
        "FOLDER.",
        "generate-policy": "Generate the least-privilege policy for the activity of PRINCIPAL, a user or role by its "
        "ARN or unique id.",
        "keys": "Print the public keys that verify checkpoints, the signing key first.",
        "prove": "Prove that the record EVENT_ID is in the trail: print a JSON proof that can be checked without the "
        "trail.",
        "pseudonym": "Print the pseudonyms of VALUE in the records of ACCOUNT, the current one first.",
        "pseudonym-key": "Create, rotate or destroy the pseudonym key of ACCOUNT (12 digits, or `other` for callers "
        "without one).",
        "query": "Query the trail in FOLDER with SQL over the view `records`, or with a predefined query.",
        "replay": "Decide the requests of audit FILES again and list changed outcomes; exit code 1 if there are any.",
        "shadow": "List what a candidate in shadow mode would have decided differently, from FILES; exit code 1 if "
        "anything.",
        "ship": "Ship the records of the trail in FOLDER to sinks, at least once each, until stopped by a signal.",
        "tail": "Show the records of the trail in FOLDER, ordered by time.",
        "verify": "Verify every shard in FOLDER; exit code 1 if anything differs from what was signed.",
    },
)
