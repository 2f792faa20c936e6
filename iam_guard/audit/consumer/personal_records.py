"""Which records of a trail are about a person: those of its own requests, and those that name it.

Values are compared as a whole, so that `alice` is not found in `alice2`, nor in a record of another account's `alice`.
In sentences, such as error messages, what is unique is found between other characters than those of names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from iam_guard.audit.record.identity import mapping

Relation: TypeAlias = Literal["caller", "named"]
"""Whether the person made the request, or is named in the record of another caller."""

_NAME_MEMBER: Final = re.compile(r"(?:.*(?:user|session|principal)_?name|subject|sub|email)", re.IGNORECASE)
_BEFORE, _AFTER = r"(?<![\w+=,.@:/-])", r"(?![\w+=@/-]|[.,:][\w+=,.@-])"


class PersonRecords:
    """Finds the records of one person of an account."""

    def __init__(
        self, account: str, names: Collection[str], unique: Collection[str], pseudonyms: Collection[str]
    ) -> None:
        """Take the values that identify the person.

        `names` count in members for names only, in records of the account; `unique` values and `pseudonyms` anywhere.
        """
        self._account = account
        self._names = frozenset(names)
        self._exact = frozenset([*unique, *pseudonyms])
        texts = "|".join(re.escape(text) for text in sorted(unique, key=len, reverse=True))
        self._in_sentence = re.compile(f"{_BEFORE}(?:{texts}){_AFTER}") if texts else None

    def select(self, records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the records of the person, each with its relation."""
        for record in records:
            relation = self.relation(record)
            if relation is not None:
                yield {"relation": relation, "record": record}

    def relation(self, record: Mapping[str, Any]) -> Relation | None:
        """Return what a record has to do with the person; None: nothing."""
        identities = [record.get("userIdentity"), mapping(record.get("iamGuard")).get("caller")]
        accounts = [record.get("recipientAccountId"), *(mapping(identity).get("accountId") for identity in identities)]
        names = self._names if self._account in accounts else frozenset()
        if any(self._is_in(identity, "", names) for identity in identities):
            return "caller"
        others = {name: value for name, value in record.items() if name != "userIdentity"}
        return "named" if self._is_in(others, "", names) else None

    def _is_in(self, value: object, member: str, names: frozenset[str]) -> bool:
        match value:
            case str():
                if value in self._exact or (value in names and _NAME_MEMBER.fullmatch(member) is not None):
                    return True
                return self._in_sentence is not None and self._in_sentence.search(value) is not None
            case Mapping():
                return any(self._is_in(inner, name.rpartition(":")[2], names) for name, inner in value.items())
            case list():
                return any(self._is_in(inner, member, names) for inner in value)
        return False
