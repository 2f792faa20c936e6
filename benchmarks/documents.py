"""A table of a million documents, and callers who may see a share of them by 200 rules about its ten tags.

Independent of a policy language, like `world`. A group of callers sees the documents of the account of which a tag has
one of the group's values, 18 for each of the ten tags: 180 rules that allow. The other 20 deny: documents of which a
tag has the value that the caller has as principal tag, and secret ones with a value that is the same for all callers.
Every document has all tags, since a missing one is an error to CEL and no error to IAM.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from sqlalchemy import Engine, Integer, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ROWS = 1_000_000
TAGS = ("department", "project", "environment", "region", "stage", "customer", "product", "quarter", "team", "center")
ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
SHARE_OF_OTHER_ACCOUNT = 0.02
ACTION = "docs:GetDocument"
SECRET = "secret"

SHARES = {"narrow": 0.001, "middle": 0.1, "wide": 0.9}
"""Kinds of callers: the share of the account's documents that they see, but for the few that are denied."""
GROUPS = 4
"""For each kind."""
VALUES = 18
"""For each group and tag."""
OTHER_VALUES = 100
"""The values of a tag that no group is allowed to see."""
CALLERS_OF_A_GROUP = 50
STATISTICS = 1_000
"""The statistics target of PostgreSQL. With its default of 100, it does not learn that some values of a tag are much
rarer than others, and reads all rows in the order of the page."""


class Base(DeclarativeBase):
    """The tables of the application."""


class Document(Base):
    """A row of the application's table."""

    __tablename__ = "documents"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    account: Mapped[str] = mapped_column(String(12))
    owner: Mapped[str] = mapped_column(String)
    classification: Mapped[str] = mapped_column(String)
    size: Mapped[int] = mapped_column(Integer)
    tags: Mapped[dict[str, str]] = mapped_column(JSONB)


@dataclass(frozen=True, slots=True)
class TagRule:
    """A rule about one tag: its value is `value`, or that of the caller's principal tag `blocked` if it is None."""

    tag: str
    value: str | None
    allows: bool = True
    only_secret: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Callers with the same rules, of a kind in `SHARES`."""

    kind: str
    number: int

    @property
    def role(self) -> str:
        return f"{self.kind}-{self.number}"


@dataclass(frozen=True, slots=True)
class Caller:
    """One of the callers of a group; `after` is the id after which the page begins that it asks for."""

    group: Group
    number: int
    after: int

    @property
    def role(self) -> str:
        return self.group.role

    @property
    def blocked(self) -> str:
        return f"other-{self.number}"


def groups(kind: str | None = None) -> list[Group]:
    """Return the groups of a kind, or of all kinds."""
    return [Group(share, number) for share in SHARES if kind in (None, share) for number in range(GROUPS)]


def rules(group: Group) -> list[TagRule]:
    """Return the 200 rules of a group."""
    return [
        *(TagRule(tag, f"{group.role}-{number}") for number in range(VALUES) for tag in TAGS),
        *(TagRule(tag, None, allows=False) for tag in TAGS),
        *(TagRule(tag, f"other-{number}", allows=False, only_secret=True) for number, tag in enumerate(TAGS)),
    ]


def callers(kind: str) -> list[Caller]:
    """Return the callers of all groups of a kind, those of the groups in turn."""
    after = random.Random(kind)
    return [
        Caller(group, number, after.randrange(int(ROWS * 0.9)))
        for number in range(CALLERS_OF_A_GROUP)
        for group in groups(kind)
    ]


# --- the table ---------------------------------------------------------------------------------------------------


def fill(engine: Engine) -> None:
    """Create the table with its rows, the same in each run, without any index but the primary key."""
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL jit = off"))
        connection.execute(text("SELECT setseed(0.22)"))
        connection.execute(text(_INSERT))
    analyze(engine)


def analyze(engine: Engine) -> None:
    """Update the statistics and the visibility map, as autovacuum does a minute later."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"SET default_statistics_target = {STATISTICS}"))
        connection.execute(text("VACUUM (ANALYZE) documents"))


def _value(drawn: str) -> str:
    """Return SQL for the value of a tag, by a random number in a column.

    The values of all groups of a kind are as frequent as is needed for all ten tags together to have its share.
    """
    bound, cases = 0.0, []
    for kind, share in SHARES.items():
        for group in range(GROUPS):
            bound += 1 - (1 - share) ** (1 / len(TAGS))
            cases.append(f"WHEN {drawn} < {bound:.9f} THEN '{kind}-{group}-' || floor(random() * {VALUES})")
    return f"CASE {' '.join(cases)} ELSE 'other-' || floor(random() * {OTHER_VALUES}) END"


_DRAWN = {tag: f"drawn_{tag}" for tag in TAGS}
_INSERT = f"""
INSERT INTO documents (id, account, owner, classification, size, tags)
SELECT
    number,
    CASE WHEN random() < {SHARE_OF_OTHER_ACCOUNT} THEN '{OTHER_ACCOUNT}' ELSE '{ACCOUNT}' END,
    'user-' || floor(random() * 1000),
    (ARRAY['public', 'internal', '{SECRET}'])[1 + floor(random() * 3)],
    floor(random() * 1000000),
    jsonb_build_object({", ".join(f"'{tag}', {_value(drawn)}" for tag, drawn in _DRAWN.items())})
FROM (
    SELECT number, {", ".join(f"random() AS {drawn}" for drawn in _DRAWN.values())}
    FROM generate_series(1, {ROWS}) AS number
) AS numbers
"""  # noqa: S608 - of constants
