"""The table of condition keys is complete and consistent, and keys are case-insensitive."""

from __future__ import annotations

from iam_guard.evaluation.matching.condition_keys import KEYS, is_multivalued, row_of, spelled
from tests.tables import table


def test_keys_are_unique() -> None:
    """Rule C-3: names that differ only by letter case are one key."""
    names = [row.name.lower() for row in KEYS]
    assert len(names) == len(set(names))


@table("row", KEYS, ids=lambda row: row.name)
def test_row_is_complete_and_found_by_its_name(row: object) -> None:
    """Rules E.1 to E.5: type, source and presence."""
    (found,) = [each for each in KEYS if each is row]
    assert found.present
    assert found.supplier in {
        "principal",
        "session",
        "network",
        "resource",
        "request",
        "sts",
        "iam",
        "sign-in",
        "iam_guard",
        "identity provider",
    }
    name = found.name.replace("<provider>", "idp.example.com") + ("Some/Tag:key" if found.name.endswith("/") else "")
    assert row_of(name) is row_of(name.upper()) is row


MULTIVALUED = """
aws:PrincipalOrgPaths aws:PrincipalServiceNamesList aws:VpceOrgPaths aws:ResourceOrgPaths aws:CalledVia aws:TagKeys
aws:SourceOrgPaths sts:TransitiveTagKeys sts:RequestContextProviders sts:IdentityTokenAudience sts:IdentityTokenScope
accounts.google.com:amr oidc.example.com/id/EXAMPLE:amr
""".split()


@table("key", MULTIVALUED)
def test_multivalued_key_is_marked(key: str) -> None:
    """Rules E.1 to E.5, K-32, C-43."""
    assert is_multivalued(key.lower())


@table(
    "key",
    ["aws:username", "aws:PrincipalTag/x", "aws:RequestTag/aws.x:amr", "docs:Anything", "docs:amr", "", ":", "aws:"],
)
def test_other_keys_are_single_valued(key: str) -> None:
    """Rules C-43, G-68: also an undeclared key, and a tag whose name resembles a claim."""
    assert not is_multivalued(key.lower())


@table("key", ["aws:NoSuchKey", "docs:Space", "aws:PrincipalTag", "aws:PrincipalTag/", "", "amr"])
def test_unknown_key_has_no_row(key: str) -> None:
    """Rules G-67, G-68: a tag family without the tag is not a key."""
    assert row_of(key) is None


@table(
    ("key", "kind"),
    [
        ("aws:PrincipalArn", "Arn"),
        ("aws:SourceIp", "Ip"),
        ("aws:CurrentTime", "Date"),
        ("aws:MultiFactorAuthAge", "Numeric"),
        ("aws:SecureTransport", "Bool"),
        ("aws:ResourceTag/Team", "String"),
        ("token.actions.githubusercontent.com:sub", "String"),
    ],
)
def test_key_has_its_type(key: str, kind: str) -> None:
    """Rule K-3."""
    row = row_of(key)
    assert row is not None
    assert row.kind == kind


def test_claim_of_a_provider_follows_the_last_colon() -> None:
    """Rules K-32, K-34: the provider's host can have a port."""
    assert row_of("idp.example.com:8443:amr") is row_of("idp.example.com:amr") is not None


@table(
    ("key", "spelling"),
    [
        ("aws:principalarn", "aws:PrincipalArn"),
        ("aws:resourcetag/team/x", "aws:ResourceTag/team/x"),
        ("docs:kind", "docs:kind"),
        ("aws:nosuchkey", "aws:nosuchkey"),
        ("idp.example.com:amr", "idp.example.com:amr"),
    ],
)
def test_key_is_spelled_as_aws_does(key: str, spelling: str) -> None:
    """Rule C-3: a tag, an application's key and the host of a provider have no spelling of AWS."""
    assert spelled(key) == spelling
