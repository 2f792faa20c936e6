"""Browsers in which a person has signed in before, by a sealed cookie: guesses from others don't count against them.

The cookie has a random id for each of the last few people of the browser. It authenticates no person.
"""

from __future__ import annotations

import json
import secrets
from typing import Final

from iam_guard.authn.people.person import Person
from iam_guard.store.sealing import Sealer

MAX_PEOPLE: Final = 5
MAX_COOKIE: Final = 1024
COOKIE_SECONDS: Final = 400 * 24 * 60 * 60
"""The longest time for which browsers keep a cookie."""
_CONTEXT: Final = b"known-browser:1"


def browser_of(sealer: Sealer, cookie: str, person: Person | None) -> str:
    """Return the id of a person's browser; empty for an unknown one, after the same work."""
    return _people(sealer, cookie).get("" if person is None else person.owner, "")


def with_person(sealer: Sealer, cookie: str, person: Person) -> str:
    """Return the cookie of a browser in which a person has signed in, too."""
    people = _people(sealer, cookie)
    id = people.pop(person.owner, None) or secrets.token_hex(16)
    kept = [*people.items()][-(MAX_PEOPLE - 1) :]
    written = json.dumps({**dict(kept), person.owner: id}).encode()
    return sealer.seal_text(written, _CONTEXT)


def _people(sealer: Sealer, cookie: str) -> dict[str, str]:
    """Return the people of a cookie, the latest last, with the browser's ids; none for a cookie that is not sealed."""
    content = sealer.open_text(cookie, _CONTEXT) if len(cookie) <= MAX_COOKIE else None
    people: dict[str, str] = {} if content is None else json.loads(content)
    return people
