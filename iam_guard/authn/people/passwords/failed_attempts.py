"""Limits for guessing: waits that grow with each failure, and an end at 100 in a row (NIST SP 800-63B-4, 3.2.2).

What is counted is a subject: the secret of a person, such as its password, as guessed from browsers that the person has
not signed in with, or from one that it has. So other clients can't lock a person out of its own browser. A person's
browsers share a few subjects, which bounds the guesses of a client that once signed in and made many of them. Names
that no person has share a fixed number of subjects, since any client can make up names.

An attempt counts as failed before the secret is compared, and a success clears it: attempts at the same time can't
exceed the limit together.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Final, Literal, TypeAlias, get_args

from iam_guard.authn.people.person import Person
from iam_guard.store.database.records import Records
from iam_guard.store.schema import sign_in_failures

Secret: TypeAlias = Literal["password", "code", "recovery", "passkey", "reset"]

MAX_FAILURES: Final = 100
"""Failures in a row after which a subject is refused until it is cleared."""
FREE: Final = 5
"""Failures without a wait."""
FIRST_WAIT: Final = 30
MAX_WAIT: Final = 3600
"""Seconds to wait after the first failure that is not free, and at most; each doubles the wait."""
SESSIONS: Final = "session"
"""Stands for a browser where a secret is asked for in a session: all sessions of a person count together."""
KNOWN_BROWSERS: Final = 16
"""Subjects that the known browsers of a person share."""
_UNKNOWN_NAMES: Final = 4096
_NETWORKS: Final = 4096
_IPV6_NETWORK: Final = 64
"""The bits of an IPv6 address that a client can't choose."""


def guess_subject(person: Person | None, typed: str, secret: Secret, browser: str = "") -> str:
    """Return the subject of a secret; `typed` is a name that no person has, `browser` that of `known_browser`."""
    if person is None:
        typed = str(_number_of(typed, _UNKNOWN_NAMES))
    name = "|".join(["unknown" if person is None else "known", typed if person is None else person.owner])
    return hashlib.sha256("|".join([secret, name, browser]).encode()).hexdigest()


def known_browser(id: str) -> str:
    """Return what guesses in a person's browser are counted by."""
    return str(_number_of(id, KNOWN_BROWSERS))


def guess_subjects(person: Person, *secrets: Secret) -> list[str]:
    """Return all subjects of some secrets of a person; without secrets, of all."""
    browsers = ("", SESSIONS, *map(str, range(KNOWN_BROWSERS)))
    return [guess_subject(person, "", secret, name) for secret in secrets or get_args(Secret) for name in browsers]


def network_subject(address: str | None, use: Secret) -> str:
    """Return the subject of what a client's network does; networks share a fixed number of them, as names do."""
    return hashlib.sha256(f"{use}|network|{_number_of(network_of(address), _NETWORKS)}".encode()).hexdigest()


def wait_after(failures: int) -> int:
    """Return the seconds for which no attempt counts after a number of failures."""
    return 0 if failures < FREE else int(min(MAX_WAIT, FIRST_WAIT * 2 ** min(failures - FREE, 16)))


def is_open(records: Records, subject: str, now: int) -> bool:
    """Return whether an attempt may be made now, and count it as failed if so. The statements are always the same."""
    row = records.one(sign_in_failures, subject=subject)
    failures, last = (0, 0) if row is None else (row["failures"], row["last"])
    is_allowed: bool = failures < MAX_FAILURES and now >= last + wait_after(failures)
    records.delete(sign_in_failures, subject=subject)
    counted = (failures + 1, now) if is_allowed else (failures, last)
    records.insert(sign_in_failures, subject=subject, failures=counted[0], last=counted[1])
    return is_allowed


def is_exhausted(records: Records, subject: str) -> bool:
    """Return whether no attempt will be allowed until the subject is cleared."""
    row = records.one(sign_in_failures, subject=subject)
    return row is not None and row["failures"] >= MAX_FAILURES


def is_within(records: Records, subject: str, limit: int, seconds: int, now: int) -> bool:
    """Return whether a subject has been counted less than `limit` times in these seconds, and count it if so."""
    row = records.one(sign_in_failures, subject=subject)
    is_new = row is None or not row["last"] <= now < row["last"] + seconds
    count, begun = (0, now) if row is None or is_new else (row["failures"], row["last"])
    if count >= limit:
        return False
    records.delete(sign_in_failures, subject=subject)
    records.insert(sign_in_failures, subject=subject, failures=count + 1, last=begun)
    return True


def clear(records: Records, subject: str) -> None:
    """Forget the failures of a subject: an attempt was successful."""
    records.delete(sign_in_failures, subject=subject)


def clear_all(records: Records, person: Person, secret: Secret) -> None:
    """Forget all failures with a secret of a person, which is another one now."""
    records.delete(sign_in_failures, subject=guess_subjects(person, secret))


def _number_of(text: str, count: int) -> int:
    """Return one of a fixed number of numbers for a text that clients can make up."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()) % count


def network_of(address: str | None) -> str:
    """Return the network of an address, of which a client has all addresses."""
    address = address or ""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address  # such as that of a Unix socket
    if isinstance(ip, ipaddress.IPv4Address) or ip.ipv4_mapped is not None:
        return str(ip if isinstance(ip, ipaddress.IPv4Address) else ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, _IPV6_NETWORK), strict=False))
