"""The account that a browser remembers for its next sign-in, if its user wants that, in a cookie of its own.

The cookie is neither secret nor sealed, and authenticates no person: it fills in the form. So it is read as strictly as
what a client sends, and decides nothing about a form that is sent.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final

from iam_guard.authn.people.sign_in import TypedName
from iam_guard.store.accounts.root_email import EMAIL
from iam_guard.store.identifiers import NAME

MAX_EMAIL: Final = 254
MAX_NAME: Final = 128
_ACCOUNT: Final = re.compile(r"[a-z0-9-]{3,63}")


def remembered_value(typed: TypedName) -> str:
    """Return the value of the cookie that remembers a name; empty for one that is no name of an account."""
    text = f"user:{typed.account.strip().lower()}:{typed.username}"
    if typed.email is not None:
        text = f"root:{typed.email.strip()}"
    value = base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode("ascii").rstrip("=")
    return value if remembered_fields(value) else ""


def remembered_fields(value: str) -> Mapping[str, str]:
    """Return the fields of the form that a cookie fills in; none for one that this module did not write."""
    try:
        text = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        return {}
    kind, _, name = text.partition(":")
    account, _, username = name.partition(":")
    if kind == "root" and len(name) <= MAX_EMAIL and EMAIL.fullmatch(name) and name.isprintable():
        return {"email": name}
    if kind == "user" and _ACCOUNT.fullmatch(account) and len(username) <= MAX_NAME and NAME.fullmatch(username):
        return {"account": account, "username": username}
    return {}
