"""`iam-guard api-key`: the API keys of users and roles. The text of a key is printed only once, to standard output."""

from iam_guard.cli.group import LazyGroup

command = LazyGroup(
    __name__,
    "Create, list, activate, deactivate, rotate and delete API keys of users and roles.",
    {
        "activate": "Activate the key ID.",
        "create": "Create a key for the user or role with the ARN PRINCIPAL; its text is shown only once.",
        "deactivate": "Deactivate the key ID until it is activated again.",
        "delete": "Delete the key ID.",
        "list": "List the keys of PRINCIPAL, or all keys, without their texts.",
        "rotate": "Create another key with the owner and scope of the key ID; both are valid until the old one "
        "expires.",
    },
)
