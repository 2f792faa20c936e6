"""Names, ids and ARNs in AWS's forms (rules G-78, G-79, P-1, P-4)."""

from __future__ import annotations

import re

from iam_guard.store.identifiers import (
    ALIAS,
    PREFIXES,
    ROOT_ID,
    UNIT_ID,
    derived_id,
    is_tag_text,
    random_id,
    session_arn,
)
from tests.tables import table


@table("prefix", PREFIXES.values())
def test_unique_id_has_prefix_and_17_characters(prefix: str) -> None:
    """A unique id is its kind's prefix and 17 capitals and digits; a random one is new each time (P-4)."""
    for make in (random_id, derived_id):
        assert re.fullmatch(rf"{prefix}[A-Z2-7]{{17}}", make(prefix, "a"))
    assert random_id(prefix, "a") != random_id(prefix, "a")


def test_derived_id_depends_on_kind_and_name_only() -> None:
    """P-6 does not apply to derived ids."""
    assert derived_id("AIDA", "a") == derived_id("AIDA", "a")
    assert len({derived_id("AIDA", "a"), derived_id("AIDA", "b"), derived_id("AROA", "a")}) == 3


def test_organization_ids_have_seed_form() -> None:
    """Generated ids of roots and units have the form that a seed accepts."""
    assert ROOT_ID.fullmatch(random_id("r-", "a"))
    assert UNIT_ID.fullmatch(random_id("ou-ab12-", "a"))


def test_session_arn_has_no_path() -> None:
    """The ARN of a role session contains the role's name without its path (P-2)."""
    assert session_arn("aws", "111122223333", "R", "s") == "arn:aws:sts::111122223333:assumed-role/R/s"


@table(
    ("alias", "is_valid"),
    [
        ("abc", True),
        ("a-b-c", True),
        ("ab", False),
        ("-abc", False),
        ("abc-", False),
        ("a--b", False),
        ("x" * 64, False),
    ],
)
def test_account_alias_form(alias: str, is_valid: bool) -> None:
    """An alias is 3 to 63 characters like a DNS label, without two hyphens in a row (G-79)."""
    assert (ALIAS.fullmatch(alias) is not None) is is_valid


@table(("text", "is_valid"), [("Größe 1:_./=+-@", True), ("", True), ("<", False), ("a\nb", False)])
def test_tag_characters(text: str, is_valid: bool) -> None:
    """Tags have letters and digits of any script, spaces, and a few signs (G-79)."""
    assert is_tag_text(text) is is_valid
