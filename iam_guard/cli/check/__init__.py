"""`iam-guard check`: the commands that prove what policies allow."""

from iam_guard.cli.group import LazyGroup

command = LazyGroup(
    __name__,
    "Prove what policies allow: a proof, or a request that shows the opposite. Exit code 0 only if it is proved.",
    {
        "access-not-granted": "Prove that POLICY allows none of some actions on any of some resources.",
        "batch": "Read checks as JSON lines from standard input, write their results as JSON lines in the same order.",
        "dead-statements": "Find the statements and values that POLICY can do without.",
        "equivalent": "Prove that EXISTING and NEW allow the same requests.",
        "invariants": "Prove that the invariants in FILE hold for all principals of a store: a database URL, or a "
        "seed file.",
        "no-new-access": "Prove that NEW allows no request that EXISTING does not.",
        "no-public-access": "Prove that POLICY, a resource-based policy, does not allow everyone.",
        "seed": "Prove that the store NEW allows no request that OLD does not; both are seed files or database URLs.",
    },
)
