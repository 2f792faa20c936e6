"""Entries of `Resource` and `NotResource` and the request's resource."""

from __future__ import annotations

from iam_guard.evaluation.matching.resource import compile_resources
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST, LEGACY
from tests.tables import table

ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/team/alice", userid="AIDAALICE")


def request(resource: str, **context: object) -> AccessRequest:
    return AccessRequest(ALICE, "docs:GetPage", resource, context)  # type: ignore[arg-type]


def matches(entry: str, resource: str, *, version: str = LATEST, **context: object) -> bool:
    return compile_resources([entry], version)(request(resource, **context))


@table(
    ("entry", "resource", "expected"),
    [
        # M-10: `*` is everything
        ("*", "arn:aws:s3:::b", True),
        ("*", "*", True),
        ("*", "anything", True),
        # M-11: the pseudo-resource is matched by `*` alone
        ("arn:aws:s3:::*", "*", False),
        ("arn:*", "*", False),
        ("a*", "*", False),
        ("**", "*", False),
        ("?", "*", False),
        ("**", "arn:aws:s3:::b", True),
        # M-12: segment by segment; a segment-final run may go on
        ("arn:aws:ec2:*:instance/*", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", True),
        ("arn:aws:ec2:*:*:instance/*", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", True),
        ("arn:aws:ec2:*:*:instance/*", "arn:aws:ec2:eu-west-1:111122223333:volume/v-1", False),
        ("arn:aws:ec2:eu*:instance/i-1", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", True),
        ("arn:aws:ec2:eu*1:instance/i-1", "arn:aws:ec2:eu-west-1:111122223331:instance/i-1", False),
        ("arn:aws:ec2:eu-*-1:1111:x", "arn:aws:ec2:eu-west-1:1111:x", True),
        ("arn:aws:ec2:eu-*-1:1111:x", "arn:aws:ec2:eu-west:z-1:1111:x", False),
        ("arn:aws:ec2:eu?west:1:x", "arn:aws:ec2:eu-west:1:x", True),
        ("arn:aws:ec2:eu?west:1:x", "arn:aws:ec2:eu:west:1:x", False),
        ("arn:aws:log:::group:*:stream:?", "arn:aws:log:::group:a:b:stream:c", True),
        ("arn:aws:log:::group:*:stream:?", "arn:aws:log:::group:a:b:stream:cc", False),
        ("arn:aws:log:::group:a*b:stream", "arn:aws:log:::group:a:x:b:stream", True),
        ("arn:aws:log:::group:a?b:stream", "arn:aws:log:::group:a:b:stream", True),
        ("arn:*:ds:*:*:*/*", "arn:aws-cn:ds:cn-north-1:1:directory/d", True),
        # M-13: `/` is a character
        ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1/2/test/3/x", True),
        ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket//test/x", True),
        ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1/test/", True),
        ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/test/x", False),
        ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1-test/x", False),
        # M-14: letter case counts
        ("arn:aws:iam::1:user/Bob", "arn:aws:iam::1:user/Bob", True),
        ("arn:aws:iam::1:user/Bob", "arn:aws:iam::1:user/bob", False),
        # M-15: empty fields
        ("arn:aws:s3:::b", "arn:aws:s3:::b", True),
        ("arn:aws:s3:::b", "arn:aws:s3:eu-west-1::b", False),
        ("arn:aws:s3:*:*:b", "arn:aws:s3:::b", True),
        # M-16: the partition is literal
        ("arn:aws:s3:::*", "arn:aws-cn:s3:::b", False),
        ("arn:aws:s3:::*", "arn:aws-us-gov:s3:::b", False),
        # M-17: buckets and objects
        ("arn:aws:s3:::b", "arn:aws:s3:::b/k", False),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b", False),
        ("arn:aws:s3:::b*", "arn:aws:s3:::b", True),
        ("arn:aws:s3:::b*", "arn:aws:s3:::b/k", True),
        ("arn:aws:s3:::b*", "arn:aws:s3:::bb", True),
        # M-21: a `*` in the request is a character
        ("arn:aws:s3:::b/a", "arn:aws:s3:::b/*", False),
        ("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/*", True),
        ("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/a", False),
        # G-64: fewer fields are completed
        ("arn:aws:sqs", "arn:aws:sqs:eu-west-1:1:queue", True),
        ("arn:aws:sqs", "arn:aws:sqs2:eu-west-1:1:queue", False),
        ("arn:aws:sqs:eu-west-1", "arn:aws:sqs:eu-west-1:1:queue", True),
        ("arn:aws:sqs:eu-west-1", "arn:aws:sqs:eu-west-2:1:queue", False),
        ("arn:aws:sqs:eu-?est-1", "arn:aws:sqs:eu-west-1:1:queue", True),
        ("arn:aws:sqs:*", "arn:aws:sqs:eu-west-1:1:queue", True),
        ("arn:aws:sqs:*:queue", "arn:aws:sqs:eu-west-1:1:queue", True),  # as written
        ("arn:aws:sqs:*:queue", "arn:aws:sqs:eu-west-1:queue:other", True),  # as completed
        ("arn:aws:sqs:*:queue", "arn:aws:sqs:eu-west-1:1:other", False),
    ],
)
def test_resource_entry_matches(entry: str, resource: str, expected: bool) -> None:
    """Rules M-10 to M-17, M-21, G-64, as marked in the table."""
    assert matches(entry, resource) is expected


def test_list_of_resources_matches_if_any_entry_does() -> None:
    """Rules M-2, G-27."""
    either = compile_resources(["arn:aws:s3:::a", "arn:aws:s3:::b/*", "arn:aws:s3:::c/${aws:username}"], LATEST)
    assert either(request("arn:aws:s3:::a"))
    assert either(request("arn:aws:s3:::b/k"))
    assert either(request("arn:aws:s3:::c/alice"))
    assert not either(request("arn:aws:s3:::c/bob"))
    assert not either(request("*"))
    assert compile_resources(["arn:aws:s3:::a", "*"], LATEST)(request("*"))
    assert not compile_resources(["**", "arn:aws:s3:::c/${aws:username}"], LATEST)(request("*"))
    assert not compile_resources([], LATEST)(request("arn:aws:s3:::a"))
    assert not compile_resources([], LATEST)(request("*"))


@table(
    ("entry", "resource", "expected"),
    [
        ("arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/alice", True),
        ("arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/bob", False),
        ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/alice/x", True),
        ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/alice2/x", False),
        ("arn:aws:s3:::b/*/${aws:username}", "arn:aws:s3:::b/x/y/alice", True),
        ("arn:aws:s3:::b/*/${aws:username}", "arn:aws:s3:::b/x/y/malice", False),
        ("arn:aws:s3:::b/${aws:username}?", "arn:aws:s3:::b/alice1", True),
        ("arn:aws:s3:::b/${aws:username}?", "arn:aws:s3:::b/alice", False),
        ("arn:aws:s?:::b/${aws:username}", "arn:aws:s3:::b/alice", True),
        ("arn:aws:s3:::${aws:username}-${aws:userid}", "arn:aws:s3:::alice-AIDAALICE", True),
        ("arn:aws:s3:::${aws:username}-${aws:nosuch}", "arn:aws:s3:::alice-", False),
        ("*:aws:s3:::${aws:username}", "arn:aws:s3:::alice", True),
        # V-4: a variable before the sixth field, or in its place, is none
        ("${aws:username}", "alice", False),
        ("${aws:PrincipalArn}", "arn:aws:iam::111122223333:user/team/alice", False),
        ("arn:aws:iam::${aws:PrincipalAccount}:user/x", "arn:aws:iam::111122223333:user/x", False),
        ("arn:aws:${docs:Service}:::x", "arn:aws:s3:::x", False),
        ("arn:aws:s3:${docs:Service}", "arn:aws:s3:s3::x", False),
        ("arn:aws:s3:${*}::x", "arn:aws:s3:*::x", False),
        ("arn:aws:s3:a*b${", "arn:aws:s3:a:x:y:b${", False),  # a run stays in its field
        ("arn:aws:s3:a${*", "arn:aws:s3:a${x:y:b", True),  # G-64, M-12
    ],
)
def test_variables_are_filled_in_the_sixth_field(entry: str, resource: str, expected: bool) -> None:
    """Rules V-3, V-4, V-9: literal text in other fields; without a value nothing matches."""
    assert matches(entry, resource, **{"docs:Service": "s3"}) is expected


def test_wildcard_in_a_variable_value_is_literal() -> None:
    """Rule M-22: the value of a variable is never a pattern."""
    entry = "arn:aws:s3:::b/${docs:Space}/*"
    assert matches(entry, "arn:aws:s3:::b/*/k", **{"docs:Space": "*"})
    assert not matches(entry, "arn:aws:s3:::b/eng/k", **{"docs:Space": "*"})
    assert not matches("arn:aws:s3:::b/?/${docs:Space}", "arn:aws:s3:::b/x/eng", **{"docs:Space": "e?g"})


def test_old_version_has_no_variables() -> None:
    """Rules V-2, G-5: in 2008-10-17 `${aws:username}` is text, and the `*` in `${*}` a wildcard."""
    entry = "arn:aws:s3:::b/${aws:username}"
    assert matches(entry, entry, version=LEGACY)
    assert not matches(entry, "arn:aws:s3:::b/alice", version=LEGACY)
    assert matches("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/${x}", version=LEGACY)


@table(
    ("entry", "resource"),
    [
        ("arn:aws:s3:::${*}", "arn:aws:s3:::*"),
        ("arn:aws:s3:::b/${?}x", "arn:aws:s3:::b/?x"),
        ("arn:aws:${docs:Lazy}:::x", "arn:aws:${docs:Lazy}:::x"),
        ("arn:aws:s3:::b", "arn:aws:s3:::b"),
    ],
)
def test_key_is_not_read_if_an_entry_without_keys_matches(entry: str, resource: str) -> None:
    """Rules K-2, V-4: entries that need no value are first, in any order of the policy."""
    for entries in ([entry, "arn:${docs:Lazy}", "arn:aws:*:::${docs:Lazy}"], ["arn:aws:*:::${docs:Lazy}", entry]):
        asked = request(resource, **{"docs:Lazy": "x"})
        assert compile_resources(entries, LATEST)(asked)
        assert asked.read == {}


@table(
    ("entry", "resource", "is_read"),
    [
        ("arn:aws:${docs:X}:::aaaa${docs:Lazy}bb", "arn:aws:${docs:X}:::aaaa-bb", True),
        ("arn:aws:${docs:X}:::aaaa${docs:Lazy}bb", "arn:aws:${docs:X}:::aaaa-b", False),
        ("arn:aws:${docs:X}:::aaaa${docs:Lazy}bb", "arn:aws:s3:::aaaa-bb", False),
        ("arn:aws:${docs:X}:::a${docs:Lazy}b*cccccccccccccc", "arn:aws:${docs:X}:::a-bcccccccccccccc", True),
    ],
)
def test_key_is_read_if_the_literal_text_matches(entry: str, resource: str, is_read: bool) -> None:
    """Rules K-2, V-4: the literal text of the early fields, which may look like a variable, and of the sixth."""
    asked = request(resource, **{"docs:Lazy": "-", "docs:X": "s3"})
    assert compile_resources([entry], LATEST)(asked) is is_read
    assert list(asked.read) == (["docs:lazy"] if is_read else [])
