"""`iam-guard account sign-on`: the identity providers whose people sign in to an account."""

from iam_guard.cli.group import LazyGroup

command = LazyGroup(
    __name__,
    "Let people sign in to an account with their company's identity provider.",
    {
        "add": "Let people of an identity provider sign in to ACCOUNT (12 digits); NAME is what they read on its "
        "button.",
        "list": "List the identity providers whose people sign in to ACCOUNT (12 digits), and the URLs to register "
        "there.",
        "own-redirect": "Use the own redirect address of the sign-on provider NAME of ACCOUNT (12 digits).",
        "remove": "Stop the sign-in to ACCOUNT (12 digits) with the sign-on provider NAME.",
    },
)
