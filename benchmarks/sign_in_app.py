"""The application of `sign_in`: people with passwords, the pages that they sign in with, and a guarded endpoint."""

from __future__ import annotations

import atexit
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from benchmarks.apps import CLIENTS, behind, docs, seed
from benchmarks.watched_app import lateness
from benchmarks.world import ACCOUNT
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import Person, find_person
from iam_guard.authn.tokens.session_cookie import csrf_token
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.factory import guard_with_store
from iam_guard.guard.guard import Guard
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records
from iam_guard.store.opening import create_store
from iam_guard.store.schema import login_profiles
from iam_guard.store.seed import apply_seed, load_seed_text

ALIAS = "bench"
PASSWORD, WRONG = "correct horse battery", "correct horse batterz"
CROWD = [f"person{number:03}" for number in range(200)]
"""The people of the served application."""
FORM_COOKIE = "A" * 43
"""A client may choose it; the `csrf_token` of its forms follows from it."""
CSRF_TOKEN = csrf_token(FORM_COOKIE)


def served() -> Starlette:
    """Return the application whose people have passwords of the default cost, with an audit trail."""
    guard = guard_of(CROWD)
    store_passwords(guard, CROWD)
    atexit.register(guard.close)
    app = behind(guard)
    app.router.routes += [Mount("/signin", sign_in_pages(guard)), Route("/lateness", lateness)]
    return app


def guard_of(names: Iterable[str], **settings: object) -> Guard:
    """Open a guard on a database with these users, and the caller of `apps`."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    key_file = Path(folder.name, "audit-key")
    create_signing_key_file(key_file)
    content = seed()
    content["accounts"][0] |= {"name": ALIAS, "alias": ALIAS}
    content["accounts"][0]["users"] += [{"name": name} for name in names]
    store = create_store(f"sqlite:///{folder.name}/iam.db", Settings())
    apply_seed(store, load_seed_text(json.dumps(content)))
    audit = {"audit": f"{folder.name}/trail/", "audit_key_file": os.fspath(key_file), "audit_queue_size": 1_000_000}
    options = Settings(trusted_proxies=(CLIENTS,), **(audit | settings))  # type: ignore[arg-type]
    return guard_with_store(store, options, services=[docs])


def store_passwords(guard: Guard, names: Iterable[str], changed: int = 0) -> None:
    """Store the digest of the same password for each of the users."""
    hasher = PasswordHasher(guard.settings.password_memory, guard.settings.password_passes)
    digest = hasher.digest(PASSWORD)
    with guard.store.write_transaction() as records:
        for name in names:
            person = person_of(records, name)
            values = {"digest": digest, "is_long": True, "reset_required": False, "created": 0, "changed": changed}
            records.insert(login_profiles, owner=person.owner, **person.where, **values)


def person_of(records: Records, name: str) -> Person:
    """Return a user of the account."""
    found = find_person(records, "aws", account=ACCOUNT, name=name)
    assert found is not None
    return found
