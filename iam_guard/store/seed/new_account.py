"""Reads and applies the seed of one new account: its members, without id, name and e-mail address.

It can come from a request, so it has neither environment variables nor files, and declares nothing outside of the
account. It is applied in the transaction that inserts the account.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from iam_guard.errors import InvalidInput
from iam_guard.model.arn import account_of
from iam_guard.policy.problems import Problems
from iam_guard.policy.yaml_tree import ListNode, MapNode, Node, read_tree
from iam_guard.store.database.records import Records
from iam_guard.store.protocol import RecordStore
from iam_guard.store.seed.apply import apply_run, listed_changes
from iam_guard.store.seed.apply_run import Run
from iam_guard.store.seed.documents import Documents, Files
from iam_guard.store.seed.fields import SeedProblems
from iam_guard.store.seed.seed_reader import SeedReader
from iam_guard.store.seed.seed_values import Seed, SeedAccount

_FORM: Final = "expected a mapping of an account's members, or its text in YAML or JSON"
_NOT_IN_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
"""Characters that JSON may contain, but that YAML reads as line breaks or refuses; as escapes, both read them."""


class NewAccountSeed(NamedTuple):
    """A valid seed, and the problems that applying it may add to."""

    account: SeedAccount
    problems: Problems


def read_account_seed(
    content: Mapping[str, Any] | str,
    *,
    id: str,
    name: str,
    email: str | None,
    partition: str,
    quotas: Mapping[str, int],
) -> NewAccountSeed:
    """Read the seed of an account, within the quotas of the store.

    Raises `SeedError` with all problems, and `InvalidInput` for another type. The place
    of a problem is a line of the text, or a JSON pointer into the mapping.
    """
    text = content if isinstance(content, str) else _written(content)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("expected text without halves of surrogate pairs", place="seed") from None
    places: dict[int, str] | None = None if isinstance(content, str) else {}
    problems = SeedProblems("seed", quotas, places)
    tree = read_tree(text, problems)
    if places is not None:
        places.update(_places(tree, ""))
    reader = SeedReader(Documents(Files(None), problems, partition), environment=None)
    account = reader.new_account(tree, id, name, email)
    for resource in account.resources:
        if account_of(resource.arn) is None:
            problems.add(resource.line, f"expected a resource of account {id}, got one without an account")
    problems.raise_any()
    return NewAccountSeed(account, problems)


def apply_account_seed(records: Records, store: RecordStore, seed: NewAccountSeed, now: int) -> dict[str, object]:
    """Create the members of an account that the transaction has inserted; return the changes for an audit record.

    Raises `SeedError` for what is in use elsewhere in the store.
    """
    account, problems = seed
    run = Run(records.connection, store, Seed("seed", (account,)), False, False, now, problems)
    apply_run(run)
    records.add_change(_names(account))
    return listed_changes(run.lines)


def _names(account: SeedAccount) -> Iterator[str]:
    """Name what could be cached before the account existed: that it, its keys and its resources do not exist.

    Unique ids of its users and roles are new, and other accounts are as they were (`invalidation`).
    """
    yield from (f"account:{account.id}", f"callers:{account.id}", f"newcomers:{account.id}", f"trust:{account.id}")
    yield from (f"resource:{resource.arn}" for resource in account.resources)
    yield from (f"credential:{key.id}" for key in account.root_keys)
    for identity in account.identities:
        yield from (f"credential:{key.id}" for key in identity.access_keys)
        yield from (f"credential:{key.id}" for key in identity.api_keys)


def _written(content: object) -> str:
    """Return a mapping as JSON, with a line for each member and item."""
    if not isinstance(content, Mapping):
        raise InvalidInput(f"{_FORM}, got {type(content).__name__}", place="seed")
    try:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput(f"{_FORM}, got values that JSON does not have", place="seed") from None
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError


def _places(node: Node, pointer: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of members and items, and the JSON pointer of each."""
    steps: list[tuple[int, str, Node]] = []
    if isinstance(node, MapNode):
        steps = [(key.line, key.text, value) for key, value in node.pairs]
    elif isinstance(node, ListNode):
        steps = [(item.line, str(index), item) for index, item in enumerate(node.items)]
    for line, step, value in steps:
        place = f"{pointer}/{step.replace('~', '~0').replace('/', '~1')}"
        yield line, place
        yield from _places(value, place)
