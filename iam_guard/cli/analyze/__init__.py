"""`iam-guard analyze`: the commands that find access in a store."""

from iam_guard.cli.group import LazyGroup

command = LazyGroup(
    __name__,
    "Find access that a store allows: from outside, inside, unused, and paths to more. Exit code 1 if there is any.",
    {
        "external": "Find which resources and roles callers from outside of their account can access.",
        "internal": "Find which users and roles of its account and organization can access RESOURCES.",
        "unused": "Find roles, access keys, passwords and permissions that were not used for some time.",
        "escalation": "Find which principals can become others, or an administrator, and how.",
        "report": "Write external access, unused access and escalation as one HTML page for people.",
    },
)
