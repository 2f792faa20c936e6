"""Recovery codes: each once, only the person's own, and only the latest."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from iam_guard.authn.people.person import Person, find_person
from iam_guard.authn.people.second_factors import recovery_codes
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records
from iam_guard.store.opening import create_store
from iam_guard.store.schema import recovery_codes as rows
from iam_guard.store.seed import apply_seed, load_seed_text

ACCOUNT = "111122223333"
SEED = f"""
version: 1
accounts:
  - id: "{ACCOUNT}"
    name: acme
    alias: acme
    root: {{email: root@acme.example}}
    users: [{{name: ada}}, {{name: bob}}]
"""


@pytest.fixture
def records() -> Iterator[Records]:
    store = create_store("sqlite://", Settings())
    apply_seed(store, load_seed_text(SEED))
    with store.write_transaction() as opened:
        yield opened
    store.close()


def person(records: Records, name: str) -> Person:
    found = find_person(records, "aws", account=ACCOUNT, name=name)
    assert found is not None
    return found


def test_code_is_used_once(records: Records) -> None:
    ada = person(records, "ada")
    codes = recovery_codes.replace_codes(records, ada, 100)
    assert len(set(codes)) == recovery_codes.COUNT
    assert all(re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{6}-){3}[0-9A-HJKMNP-TV-Z]{6}", code) for code in codes)
    assert recovery_codes.use_code(records, ada, codes[0], 200)
    assert not recovery_codes.use_code(records, ada, codes[0], 201)
    assert recovery_codes.left(records, ada) == recovery_codes.COUNT - 1


def test_code_may_be_typed_in_other_ways(records: Records) -> None:
    """In lower case, without hyphens, with blanks, with letters that look like digits."""
    ada = person(records, "ada")
    codes = recovery_codes.replace_codes(records, ada, 100)
    assert recovery_codes.use_code(records, ada, codes[0].lower(), 200)
    assert recovery_codes.use_code(records, ada, codes[1].replace("-", " "), 200)
    assert recovery_codes.use_code(records, ada, codes[2].replace("-", "").replace("0", "o").replace("1", "l"), 200)


def test_code_of_another_person_is_refused(records: Records) -> None:
    ada, bob = person(records, "ada"), person(records, "bob")
    root = find_person(records, "aws", email="root@acme.example")
    assert root is not None
    code, *_ = recovery_codes.replace_codes(records, ada, 100)
    for other in (bob, root):
        assert not recovery_codes.use_code(records, other, code, 200)
    of_root, *_ = recovery_codes.replace_codes(records, root, 100)
    assert not recovery_codes.use_code(records, ada, of_root, 200)
    assert recovery_codes.use_code(records, root, of_root, 200)


def test_new_codes_end_earlier_ones(records: Records) -> None:
    ada = person(records, "ada")
    former, *_ = recovery_codes.replace_codes(records, ada, 100)
    recovery_codes.replace_codes(records, ada, 200)
    assert not recovery_codes.use_code(records, ada, former, 300)
    assert records.count(rows, **ada.where) == recovery_codes.COUNT


def test_codes_are_not_stored(records: Records) -> None:
    codes = recovery_codes.replace_codes(records, person(records, "ada"), 100)
    stored = str(records.all(rows))
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)
