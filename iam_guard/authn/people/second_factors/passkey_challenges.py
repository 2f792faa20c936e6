"""What a passkey signs: a challenge, which needs no row, for one purpose of one relying party.

A challenge is sealed, and says only when it was issued. What it is for is the context of the seal: a challenge for
another purpose, site, session or form can't be opened, and so can't be answered. Each passkey remembers the time of the
last challenge that it answered, and accepts later ones only.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from iam_guard.errors import StoreUnavailable
from iam_guard.model.request import Call
from iam_guard.store.sealing import Sealer

Kind: TypeAlias = Literal["passkey", "security key"]
"""A passkey signs in without a password; a security key is a second factor only."""
Purpose: TypeAlias = Literal["passkey", "security key", "second factor", "sign in"]
"""The first two are for enrolment."""

ALGORITHMS: Final = (-7, -8, -257)
"""What a key may sign with: ES256, EdDSA or RS256, in COSE's numbers. Every authenticator has one of them."""
MAX_AGE: Final = timedelta(minutes=5)
_RANDOM: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_is_local = re.compile(r"http://localhost(?::[0-9]{1,5})?").fullmatch


class RelyingParty(NamedTuple):
    """The site whose passkeys are used: its host, and the origin that the browser must report."""

    id: str
    origin: str


def relying_party(site_url: str, call: Call) -> RelyingParty | None:
    """Return the relying party of a page; None if it is not open at the configured site.

    Without the setting there is one at `http://localhost` only: a client can send any name as `Host`.
    """
    origin = f"{'https' if call.secure else 'http'}://{call.host}"
    is_own = origin == site_url if site_url else _is_local(origin)
    return RelyingParty(urlsplit(origin).hostname or "", origin) if is_own else None


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What a challenge is for. `binding` is the id of the session, or without one a digest of the form's secret."""

    party: RelyingParty
    purpose: Purpose
    binding: str

    def challenge(self, sealer: Sealer, now: datetime) -> bytes:
        """Return a new challenge."""
        issued = (now - _EPOCH) // timedelta(microseconds=1)
        return sealer.seal(issued.to_bytes(8, "big") + secrets.token_bytes(_RANDOM), self._context)

    def issued(self, sealer: Sealer, challenge: bytes, now: datetime) -> int | None:
        """Return when a challenge was issued, in microseconds; None if it is not for this, or too old."""
        try:
            issued = int.from_bytes(sealer.open(challenge, self._context)[:8], "big")
        except StoreUnavailable:
            return None
        return issued if now - _EPOCH <= timedelta(microseconds=issued) + MAX_AGE else None

    @property
    def _context(self) -> bytes:
        return "\n".join(["passkey challenge 1", self.purpose, self.party.origin, self.binding]).encode()
