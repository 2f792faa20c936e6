"""A store with two accounts, a guard on it, and another process that changes the states of accounts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iam_guard import Guard, Principal, Service
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import CacheMiss
from iam_guard.factory import guard_with_store
from iam_guard.model.credential import Session
from iam_guard.settings import Settings
from iam_guard.store.opening import open_database
from iam_guard.store.schema import access_keys, api_keys, service_credentials
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.web.body_verification import EMPTY_HASH
from tests.store.databases import SEALING_KEY, start

ACME, GLOBEX = "111122223333", "444455556666"
ADA, ROOT, EDITOR = (f"arn:aws:iam::{ACME}:{name}" for name in ("user/ada", "root", "role/Editor"))
EVE = f"arn:aws:iam::{GLOBEX}:user/eve"
KEY, ROOT_KEY, EVE_KEY = "AKIATESTADA000000001", "AKIATESTROOT00000001", "AKIATESTEVE000000001"
SECRET = "secret-0123456789abcdefghijklmnopqrstuvw"
OWN, SHARED = (f"arn:aws:docs:us-east-1:{ACME}:document/{name}" for name in ("own", "shared"))
CHANGER = """
import sys
from iam_guard.factory import guard_with_store
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_database
guard = guard_with_store(open_database(sys.argv[1], load_settings()), load_settings())
print("ready", flush=True)
for line in sys.stdin:
    change, account = line.split()
    getattr(guard.accounts, change)(account)
    print(change, flush=True)
guard.close()
"""


def _allow(action: str, **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]}


def seed() -> str:
    everything, key = _allow("*", Resource="*"), {"secret": SECRET}
    trusted = _allow("sts:*", Principal={"AWS": [ACME, GLOBEX]})
    acme = {
        "id": ACME,
        "name": "acme",
        "root": {"email": "root@acme.example", "access_keys": [{"id": ROOT_KEY, **key}]},
        "users": [{"name": "ada", "inline": {"All": everything}, "access_keys": [{"id": KEY, **key}]}],
        "roles": [{"name": "Editor", "trust": trusted, "inline": {"All": everything}}],
        "resources": [{"arn": OWN}, {"arn": SHARED, "policy": _allow("docs:Get*", Principal="*", Resource="*")}],
    }
    eve = {"name": "eve", "inline": {"All": everything}, "access_keys": [{"id": EVE_KEY, **key}]}
    editor = {"name": "Editor", "trust": trusted, "inline": {"All": everything}}
    globex = {"id": GLOBEX, "name": "globex", "users": [eve], "roles": [editor]}
    return json.dumps({"version": 1, "accounts": [acme, globex]})


class Changer:
    """Another process, which changes the states of accounts."""

    def __init__(self, url: str) -> None:
        self._process = start(CHANGER, url)
        self._answer()

    def change(self, change: str, account: str = ACME) -> None:
        """Change the state of an account in the other process."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{change} {account}\n")
        self._process.stdin.flush()
        assert self._answer() == change

    def close(self) -> None:
        self._process.communicate(timeout=300)
        assert self._process.returncode == 0

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class World:
    """A guard on the store."""

    def __init__(self, url: str, **settings: Any) -> None:
        chosen = Settings(**{"sealing_keys": (SEALING_KEY,), "public_hosts": (), **settings})
        self.store = open_database(url, chosen)
        apply_seed(self.store, load_seed_text(seed()))
        self.guard: Guard = guard_with_store(self.store, chosen, services=[Service("docs")])
        ada = Principal.from_arn(ADA)
        self.ada = replace(ada, userid=self.guard.store.principal(ada).principal.userid)  # type: ignore[attr-defined]

    def enter(self, request: HttpRequest, **options: Any) -> Principal:
        return self.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH, any_scope=True, **options)

    def enters_from_cache(self, request: HttpRequest) -> bool:
        """Return whether the request is accepted, or raise its refusal; False if the cache is not enough."""
        try:
            return bool(self.enter(request, cache_only=True))
        except CacheMiss:
            return False

    # --- requests ----------------------------------------------------------------------------------------------------

    def signed(
        self, key: str = KEY, secret: str = SECRET, token: str | None = None, *, query: bool = False
    ) -> HttpRequest:
        request = AWSRequest("GET", "http://testserver/documents/7", data=b"")
        credentials = Credentials(key, secret, token)
        (SigV4QueryAuth if query else SigV4Auth)(credentials, "docs", "us-east-1").add_auth(request)
        sent = request.prepare()
        path, _, query_text = sent.url.removeprefix("http://testserver").partition("?")
        headers = [(b"host", b"testserver")]
        headers += [(name.lower().encode(), str(value).encode()) for name, value in sent.headers.items()]
        return HttpRequest("GET", path.encode(), query_text.encode(), tuple(headers))

    def with_api_key(self, owner: str) -> HttpRequest:
        key = self.guard.api_keys.create(owner)
        return HttpRequest("GET", b"/", b"", ((b"host", b"testserver"), (b"x-api-key", key.text.encode())))

    def with_service_credential(self) -> HttpRequest:
        """Return a request with a service-specific credential that is an API key."""
        key = self.guard.api_keys.create(ADA)
        with self.store.write_transaction() as records:
            row = records.one(api_keys, id=key.id)
            assert row is not None
            records.delete(api_keys, id=key.id)
            records.insert(
                service_credentials,
                id=key.id,
                account=ACME,
                user_id=row["identity_id"],
                service="bedrock.amazonaws.com",
                alias=key.id,
                digest=bytes(row["digest"]).hex(),
                status="Active",
                expires=None,
                session_policy=json.dumps(_allow("*", Resource="*")),
                created=0,
            )
        return HttpRequest("GET", b"/", b"", ((b"host", b"testserver"), (b"x-api-key", key.text.encode())))

    def with_session(self, principal: Principal, **more: Any) -> HttpRequest:
        """Return a request with temporary credentials."""
        now, id = datetime.now(UTC).replace(microsecond=0), f"ASIA{secrets.token_hex(8).upper()}"
        session = replace(Session(id, SECRET, principal, now, now + timedelta(hours=1)), **more)
        return self.signed(id, SECRET, self.guard.store.seal_session(session))

    def role_session(self, account: str = ACME) -> Principal:
        arn = f"arn:aws:sts::{account}:assumed-role/Editor/s1"
        return Principal.from_arn(arn, role_arn=f"arn:aws:iam::{account}:role/Editor")

    def delete_key(self, id: str) -> None:
        with self.store.write_transaction() as records:
            records.delete(access_keys, id=id)


@contextmanager
def opened(url: str, **settings: Any) -> Iterator[World]:
    world = World(url, **settings)
    try:
        yield world
    finally:
        world.guard.close()
