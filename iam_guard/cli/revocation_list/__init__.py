"""`iam-guard revocation-list`: the revocation lists of trust anchors."""

from iam_guard.cli.group import LazyGroup

command = LazyGroup(
    __name__,
    "Import and list the certificate revocation lists of trust anchors.",
    {
        "list": "List the imported lists and their expiry.",
        "put": "Import the list in FILE (PEM; `-` for standard input) for the trust anchor with the id ANCHOR.",
    },
)
