"""`iam-guard account`: accounts, and how their people sign in."""

from iam_guard.cli.group import LazyGroup

command = LazyGroup(
    __name__,
    "Create and list accounts, and set how their people sign in.",
    {
        "close": "Close ACCOUNT (12 digits): suspend it, and deny its resources to every caller.",
        "create": "Create the account NAME.",
        "delete": "Delete ACCOUNT (12 digits), which is closed, with all its data.",
        "erase-person": "Delete the user with ARN and everything of it, and the salts of its pseudonyms in the audit "
        "trail.",
        "export-person": "Write what is known of the person with ARN as JSON: in the store, and in the audit trail.",
        "import-users": "Create the users of FILE in ACCOUNT (12 digits); `-` reads standard input.",
        "invitation-link": "Print a link with which USER of ACCOUNT (12 digits), who has no password, chooses the "
        "first one.",
        "list": "List the accounts of the store.",
        "rename": "Change the name of ACCOUNT (12 digits) to NAME.",
        "require-mfa": "Require a second factor of all people of ACCOUNT (12 digits) who sign in with a password.",
        "reset-link": "Print a link with which a user, or the root user, of ACCOUNT (12 digits) chooses a new "
        "password.",
        "resume": "Accept the credentials of ACCOUNT (12 digits) again, which is suspended or closed.",
        "root-password": "Set the password of the root user of ACCOUNT (12 digits), which signs in with its e-mail "
        "address.",
        "sessions": "List the browser sessions of ACCOUNT (12 digits), or end them.",
        "show": "Show the name, addresses and state of ACCOUNT (12 digits).",
        "sign-on": "Let people sign in to an account with their company's identity provider.",
        "suspend": "Refuse every credential of ACCOUNT (12 digits), until it is resumed.",
        "tool-sessions": "List the sessions of tools of ACCOUNT (12 digits), as of `aws login`, or end one.",
    },
)
