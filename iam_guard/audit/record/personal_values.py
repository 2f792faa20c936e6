"""Which values of a record may identify a person; their pseudonyms have a salt that can be deleted.

A value counts by its form, so that it has the same pseudonym in every member: a name in `userIdentity.userName` and in
the parameters of an administrator's call. Too many is harmless, it costs a row in the store; too few would leave a
pseudonym that can be derived after the person was erased. What clients choose freely in each request, such as a path,
never counts, since it could fill the store.
"""

from __future__ import annotations

import re
from typing import Final

_MAX_LENGTH: Final = 640
"""The longest ARN of a user has 512 characters of path and 64 of name; documents are longer."""

_REQUEST_FACTS: Final = frozenset(
    "clientProvidedHostHeader host method path referer RedirectTo sourceIPAddress userAgent".split()
)
"""Members that have what the client sent with any request."""

_IMPERSONAL: Final = re.compile(
    r"(?!arn:[^:]*:(?:iam|sts|signin):)arn:.*"  # of a resource of the application
    r"|/|/.*/|[\[{<].*"  # a path of IAM, a document
    r"|[0-9]{1,3}(?:\.[0-9]{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]*"  # an IP address
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)?",  # a time
    re.DOTALL,
)


def may_be_personal(pointer: str, value: object) -> bool:
    """Return whether the value at a JSON pointer may identify a person."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_LENGTH:
        return False
    return pointer.rpartition("/")[2] not in _REQUEST_FACTS and _IMPERSONAL.fullmatch(value) is None
