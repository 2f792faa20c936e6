"""Recovery codes: ten secrets on paper that replace a lost second factor, each once (NIST SP 800-63B-4, 3.1.2).

A code has 120 random bits, so a plain hash of it can't be reversed.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.person import Person
from iam_guard.authn.people.verified_steps import Evidence
from iam_guard.store.database.records import Records
from iam_guard.store.schema import recovery_codes

COUNT: Final = 10
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32, without letters that look like digits."""
_LOOK_ALIKE: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_GROUPS: Final = 4
_GROUP: Final = 6


def replace_codes(records: Records, person: Person, now: int) -> list[str]:
    """Make new codes, and return them, once; the earlier ones end, and guesses of them are forgotten."""
    records.delete(recovery_codes, **person.where)
    attempts.clear_all(records, person, "recovery")
    codes = ["-".join(_group() for _ in range(_GROUPS)) for _ in range(COUNT)]
    for code in codes:
        records.insert(recovery_codes, digest=_digest(code), created=now, **person.where)
    return codes


def use_code(records: Records, person: Person, code: str, now: int) -> Evidence | None:
    """Use a code, in any letter case, with or without hyphens; return it, None if the person has no unused one."""
    key = {"digest": _digest(code), **person.where}
    is_right = records.update(recovery_codes, {"used": now}, **key, used=None) == 1
    return Evidence.of(recovery_codes, {**key, "used": now}, "account", "user_id", "used") if is_right else None


def left(records: Records, person: Person) -> int:
    """Return the number of codes that are not used yet."""
    return records.count(recovery_codes, used=None, **person.where)


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP))


def _digest(code: str) -> str:
    return hashlib.sha256(code.upper().translate(_LOOK_ALIKE).encode("utf-8", "replace")).hexdigest()
