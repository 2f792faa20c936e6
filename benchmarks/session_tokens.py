"""The time to decrypt a session token, in microseconds of CPU time: the first time, and from the cache.

Neither case queries the store. The token is a role session's from STS: without extras, with tags and a session
policy, and of the maximum size. The peers are the two steps that any encrypted token needs, decrypting and hashing,
alone.
"""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.clock import Call, least
from benchmarks.row import Row
from iam_guard.authn.tokens.temporary_credentials import SessionTokenCache
from iam_guard.model.credential import Session
from iam_guard.model.principal import Principal
from iam_guard.store.credentials.session_tokens import read_session, write_session
from iam_guard.store.sealing import Sealer, new_key

NOW = datetime(2026, 11, 24, 12, 30, 15, tzinfo=UTC)
ROLE = Principal.from_arn(
    "arn:aws:sts::111122223333:assumed-role/Deployer/build-17",
    role_arn="arn:aws:iam::111122223333:role/ci/Deployer",
    userid="AROAEXAMPLEEXAMPLE123:build-17",
)
BARE = Session("ASIAIOSFODNN7EXAMPLE", "c" * 40, ROLE, NOW, NOW + timedelta(hours=1))
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"docs:Get*","Resource":"*"}]}'
NOISE = "".join(random.Random(1).choices(string.ascii_letters, k=4500))
SESSIONS = {
    "a role session": BARE,
    "a role session with two tags and a session policy": replace(
        BARE, principal=replace(ROLE, tags={"team": "blue", "project": "harbour"}, session_policies=(POLICY,))
    ),
    "one as large as may be": replace(BARE, principal=replace(ROLE, session_policies=(NOISE,))),
}
OPENING, AGAIN, DECRYPTING, HASHING = "ours", "again", "AES-GCM alone", "SHA-256 alone"


def measure() -> Iterator[Row]:
    """Measure a new token and a cached one."""
    for name, session in SESSIONS.items():
        taken = least(_calls(session))
        yield Row(f"open {name}", taken[OPENING] * 1e6, "us", taken[OPENING] / taken[DECRYPTING], DECRYPTING)
        yield Row(f"opened before, {name}", taken[AGAIN] * 1e6, "us", taken[AGAIN] / taken[HASHING], HASHING)


def _calls(session: Session) -> dict[str, Call]:
    sealer = Sealer([new_key()])
    token = write_session(session, sealer)
    opened = SessionTokenCache(lambda text: read_session(text, sealer))
    key, nonce = AESGCM(new_key()), bytes(12)
    sealed = key.encrypt(nonce, bytes(len(token) * 3 // 4), None)
    return {
        OPENING: lambda: read_session(token, sealer),
        AGAIN: lambda: opened.session(token),
        DECRYPTING: lambda: key.decrypt(nonce, sealed, None),
        HASHING: lambda: hashlib.sha256(token.encode()).digest(),
    }
