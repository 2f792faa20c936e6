"""The keys that a statement references, in the spelling of the policy; other tests cover their output."""

from __future__ import annotations

from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.evaluation.matching.referenced_keys import keys_of_document, keys_of_resource
from iam_guard.policy.document import LATEST, LEGACY
from iam_guard.policy.parser import parse
from tests.tables import table


@table(
    ("entry", "keys"),
    [
        ("*", []),
        ("arn:aws:s3:::${aws:UserName}/${aws:userid}", ["aws:UserName", "aws:userid"]),
        ("arn:aws:s3:::a:${b:C}", ["b:C"]),
        ("arn:aws:${b:c}:::a", []),
        ("arn:aws:s3", []),
        ("arn:aws:s3:${userid}", []),
        ("arn:aws:s3:::${}${a b}${$}${x", []),
        ("arn:aws:s3:::${tag/Key With, 'x'}", []),
        ("arn:aws:s3:::${aws:PrincipalTag/Team, 'none'}", ["aws:PrincipalTag/Team"]),
    ],
)
def test_resource_entry_references_its_variables(entry: str, keys: list[str]) -> None:
    """V-1, V-4, V-15: well-formed variables in the sixth field."""
    assert keys_of_resource(entry, LATEST) == keys
    assert keys_of_resource(entry, LEGACY) == []


@table("operator", sorted(OPERATORS))
def test_operators_with_variables_reference_their_keys(operator: str) -> None:
    """V-3, V-5: according to the table of operators."""
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {operator: {"a:B": "${c:D}"}}}
    keys = list(keys_of_document(parse({"Version": LATEST, "Statement": statement})))
    assert keys == (["a:B", "c:D"] if OPERATORS[operator].variables else ["a:B"])


def test_repeated_keys_are_kept() -> None:
    """The caller removes duplicates."""
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Null": {"a:b": "true"}}}
    assert list(keys_of_document(parse({"Statement": [statement, statement]}))) == ["a:b", "a:b"]
