"""`iam-guard resource-policy`: the policies of an application's resources, and shares."""

from iam_guard.cli.group import LazyGroup

command = LazyGroup(
    __name__,
    "Put, get, delete and list the policies of an application's resources, and share resources.",
    {
        "delete": "Delete the policy of the resource ARN.",
        "get": "Print the policy of the resource ARN; exit code 1 if it has none.",
        "list": "List the resources that have a policy.",
        "put": "Attach the policy in FILE (JSON; `-` for standard input) to the resource ARN, replacing any other.",
        "share": "Allow an account, a principal or everyone some ACTIONS on the resource ARN, in addition to those it"
        " has.",
        "shares": "Print who has which actions by the policy of the resource ARN.",
        "unshare": "Take ACTIONS on the resource ARN from a grantee, or all without ACTIONS; print what still applies"
        " to it.",
    },
)
