"""Browsers in which a person has signed in before, by a sealed cookie: guesses from others don't count against them.

The cookie has a random id for each of the last few people of the browser, and whether the person has used a second
factor in it. Only then the browser is known for guesses of second factors: else a client that has just the password
could make many known browsers, and guess in each. The cookie authenticates no person.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from iam_guard.authn.people.passwords.failed_attempts import Secret, known_browser
from iam_guard.authn.people.person import Person
from iam_guard.errors import StoreUnavailable
from iam_guard.store.sealing import Sealer

MAX_PEOPLE: Final = 5
MAX_COOKIE: Final = 1024
COOKIE_SECONDS: Final = 400 * 24 * 60 * 60
"""The longest time for which browsers keep a cookie."""
_CONTEXT: Final = b"known-browser:2"
"""The first version did not say whether a second factor was used."""
_FACTORS: Final[Collection[Secret]] = ("code", "recovery", "passkey")


class _Use(NamedTuple):
    """What a cookie has for a person: the id of the browser, and whether a second factor was used in it."""

    id: str
    has_factor: bool


def browser_of(sealer: Sealer, cookie: str, person: Person | None, secret: Secret) -> str:
    """Return as which browser of a person guesses of a secret count; empty for an unknown one, after the same work."""
    use = _people(sealer, cookie).get("" if person is None else person.owner)
    return "" if use is None or (secret in _FACTORS and not use.has_factor) else known_browser(use.id)


def with_person(sealer: Sealer, cookie: str, person: Person, *, has_factor: bool) -> str:
    """Return the cookie of a browser in which a person has signed in, too; `has_factor`: with a second factor."""
    people = dict(_people(sealer, cookie))
    before = people.pop(person.owner, None) or _Use(secrets.token_hex(16), has_factor=False)
    kept = dict([*people.items()][-(MAX_PEOPLE - 1) :])
    written = json.dumps({**kept, person.owner: _Use(before.id, before.has_factor or has_factor)}).encode()
    return sealer.seal_text(written, _CONTEXT)


def _people(sealer: Sealer, cookie: str) -> Mapping[str, _Use]:
    """Return what a cookie has for its people, the latest last; nothing for a cookie that is not sealed.

    Browsers keep a cookie for longer than stores keep a sealing key, so one of an unknown key counts as none.
    """
    try:
        content = sealer.open_text(cookie, _CONTEXT) if len(cookie) <= MAX_COOKIE else None
    except StoreUnavailable:
        content = None
    people: dict[str, list[str | bool]] = {} if content is None else json.loads(content)
    return {owner: _Use(str(id), bool(has_factor)) for owner, (id, has_factor) in people.items()}
