"""The supplied condition keys are present and absent as in the tables E.1 to E.5 (K-1, K-2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iam_guard.errors import ConfigurationError, ContextError
from iam_guard.guard.request_context import SUPPLIED_KEYS, Parties, RequestContext
from iam_guard.model.context import NO_KEYS
from iam_guard.model.principal import Credential, Issued, Principal
from iam_guard.model.request import AccessRequest, Call
from iam_guard.store.protocol import Organization
from tests.tables import table

NOW = datetime(2026, 11, 24, 14, 1, 46, tzinfo=UTC)
ACME = Organization("o-example", "o-example/r-ab12/ou-ab12-11111111/", is_management=False)
OTHER = Organization("o-other", "o-other/r-cd34/", is_management=True)
HTTP = Call(
    "request-1",
    kind="http",
    source_ip="203.0.113.7",
    user_agent="curl/8",
    referer="https://a.example/",
    secure=True,
    region="eu-west-1",
)
ADA = Principal.from_arn("arn:aws:iam::111122223333:user/team/ada", userid="AIDA1", tags={"team": "blue"})
SESSION = Principal.from_arn(
    "arn:aws:sts::111122223333:assumed-role/Editor/ada",
    role_arn="arn:aws:iam::111122223333:role/team/Editor",
    userid="AROA1:ada",
)
FEDERATED = Principal.from_arn("arn:aws:sts::111122223333:federated-user/ada")
ROOT = Principal.from_arn("arn:aws:iam::111122223333:root")
SERVICE = Principal.service("cloudtrail.amazonaws.com")
ANONYMOUS = Principal.anonymous()


def value(
    key: str,
    given: Any = None,
    *,
    principal: Principal = ADA,
    call: Call | None = None,
    resource_tags: Mapping[str, str] = NO_KEYS,
    **others: Any,
) -> Any:
    """Return the value of `key` in a condition."""
    context = RequestContext(given, Parties(principal, **others), NOW, call, resource_tags)
    return AccessRequest(principal, "docs:Get", "*", context).value(key.lower())


@table(
    ("principal", "arn", "account", "type", "userid", "username"),
    [
        (ADA, ADA.arn, "111122223333", "User", "AIDA1", "ada"),
        (SESSION, "arn:aws:iam::111122223333:role/team/Editor", "111122223333", "AssumedRole", "AROA1:ada", None),
        (FEDERATED, FEDERATED.arn, "111122223333", "FederatedUser", "111122223333:ada", None),
        (ROOT, ROOT.arn, "111122223333", "Account", "111122223333", None),
        (ANONYMOUS, None, "anonymous", "Anonymous", "anonymous", None),
        (SERVICE, None, None, "Service", None, None),
    ],
    ids=lambda given: given.type if isinstance(given, Principal) else "",
)
def test_context_has_principal_keys(
    principal: Principal, arn: Any, account: Any, type: str, userid: Any, username: Any
) -> None:
    """K-10; only users have `aws:username`."""
    keys = ("aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalType", "aws:userid", "aws:username")
    assert [value(key, principal=principal) for key in keys] == [arn, account, type, userid, username]


@table(
    ("principal", "is_service", "name", "names"),
    [
        (ADA, "false", None, None),
        (SESSION, "false", None, None),
        (FEDERATED, "false", None, None),
        (ROOT, "false", None, None),
        (SERVICE, "true", "cloudtrail.amazonaws.com", ("cloudtrail.amazonaws.com",)),
        (ANONYMOUS, None, None, None),
    ],
    ids=lambda given: given.type if isinstance(given, Principal) else "",
)
def test_context_has_service_principal_keys(
    principal: Principal, is_service: str | None, name: str | None, names: Any
) -> None:
    """E.1: absent for anonymous callers; the list of names is always multivalued."""
    assert value("aws:PrincipalIsAWSService", principal=principal) == is_service
    assert value("aws:PrincipalServiceName", principal=principal) == name
    assert value("aws:PrincipalServiceNamesList", principal=principal) == names


CONNECTION = {
    "aws:SourceIp": "203.0.113.7",
    "aws:UserAgent": "curl/8",
    "aws:referer": "https://a.example/",
    "aws:SecureTransport": "true",
}


@table("kind", ["http", "websocket"])
@table("key", CONNECTION)
def test_connection_supplies_its_keys(kind: str, key: str) -> None:
    """E.3, E.5."""
    call = Call("r", kind, source_ip="203.0.113.7", user_agent="curl/8", referer="https://a.example/", secure=True)
    assert value(key, call=call) == CONNECTION[key]


@table("call", [None, Call("r", "call", source_ip="203.0.113.7", user_agent="x", referer="y")])
@table("key", CONNECTION)
def test_function_call_has_no_connection_keys(call: Call | None, key: str) -> None:
    """K-2: absent, not empty."""
    assert value(key, call=call) is None


def test_secure_transport_is_always_present() -> None:
    """A header that was not sent is absent."""
    bare = Call("r", "http")
    assert value("aws:SecureTransport", call=bare) == "false"
    assert [value(key, call=bare) for key in ("aws:SourceIp", "aws:UserAgent", "aws:referer")] == [None] * 3


def test_context_has_current_time() -> None:
    assert value("aws:CurrentTime") == "2026-11-24T14:01:46Z"
    assert value("aws:EpochTime") == str(int(NOW.timestamp()))


def test_context_has_region_of_the_call() -> None:
    assert value("aws:RequestedRegion", call=HTTP, region="eu-north-1") == "eu-west-1"
    assert value("aws:RequestedRegion", region="eu-north-1") == "eu-north-1"


def test_context_has_via_aws_service_false() -> None:
    """E.5: always; the `CalledVia` keys are for forwarded calls only."""
    assert value("aws:ViaAWSService") == "false"
    assert [value(key) for key in ("aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast")] == [None] * 3


@table("side", ["Principal", "Resource"])
@table(("organization", "id", "paths"), [(ACME, ACME.id, (ACME.path,)), (None, None, None)])
def test_context_has_organization_keys(side: str, organization: Organization | None, id: Any, paths: Any) -> None:
    """E.1, E.4: if the account is in one, also the management account; paths are multivalued."""
    around = {f"{side.lower()}_organization": organization}
    assert value(f"aws:{side}OrgID", **around) == id
    assert value(f"aws:{side}OrgPaths", **around) == paths
    assert value(f"aws:{side}OrgID", **{f"{side.lower()}_organization": OTHER}) == "o-other"


def test_context_has_resource_account() -> None:
    assert value("aws:ResourceAccount", resource_account="444455556666") == "444455556666"
    assert value("aws:ResourceAccount") is None


def test_context_has_tag_keys() -> None:
    """E.1, E.4: one key for each tag, case-insensitive; an empty tag is present."""
    tags = {"Team": "blue", "empty": ""}
    assert value("aws:ResourceTag/team", resource_tags=tags) == "blue"
    assert value("aws:ResourceTag/EMPTY", resource_tags=tags) == ""
    assert value("aws:ResourceTag/other", resource_tags=tags) is None
    assert value("aws:ResourceTag/", resource_tags=tags) is None
    assert value("aws:PrincipalTag/TEAM") == "blue"
    assert value("aws:PrincipalTag/team", principal=ANONYMOUS) is None


def test_ambiguous_key_raises_only_when_read() -> None:
    """C-4, C-45: otherwise decisions would depend on which one is read; those that read neither are not affected."""
    tags = {"Team": "a", "team": "b", "level": "1"}
    context = RequestContext(None, Parties(ADA), NOW, resource_tags=tags)
    assert context.value("aws:resourcetag/level") == "1"
    for _ in range(2):
        with pytest.raises(ContextError, match="letter case"):
            context.value("aws:resourcetag/team")
    with pytest.raises(ContextError, match="letter case"):
        RequestContext({"docs:Shape": "a", "Docs:shape": "b"}, Parties(ADA), NOW)


def of_resource(**keys: Any) -> RequestContext:
    return RequestContext(None, Parties(ADA), NOW, resource_keys={f"docs:{name}": keys[name] for name in keys})


@table(
    ("given", "expected"),
    [
        ("secret", "secret"),
        (7, "7"),
        (True, "true"),
        (NOW, "2026-11-24T14:01:46Z"),
        (["a", "b"], ("a", "b")),
        (lambda: "lazy", "lazy"),
        (lambda: None, None),
        (None, None),
    ],
)
def test_context_has_keys_of_the_resource(given: Any, expected: Any) -> None:
    """Values as in the context that is given by hand, case-insensitive."""
    context = of_resource(Class=given)
    assert [context.value("docs:class") for _ in range(2)] == [expected] * 2
    assert list(context) == sorted([*RequestContext(None, Parties(ADA), NOW), *(["docs:class"] if expected else [])])


class Broken(Exception):
    """A loader's own error."""


def broken() -> str:
    raise Broken


@table(
    ("given", "error"),
    [
        ({"docs:Class": float("nan")}, ContextError),
        ({"docs:Class": object()}, ContextError),
        ({"docs:Class": {"a": "b"}}, ContextError),
        ({"docs:Class": iter(["a", None])}, ContextError),
        ({"docs:Class": lambda: float("inf")}, ContextError),
        ({"docs:Class": broken}, Broken),
        ({"docs:Class": "a", "DOCS:class": "a"}, ContextError),
    ],
)
def test_unusable_key_of_resource_raises_at_each_read(given: Any, error: type[Exception]) -> None:
    """Never absent, which would meet the negated operators (C-45); listing the keys leaves it out."""
    context = RequestContext(None, Parties(ADA), NOW, resource_tags={"team": "a"}, resource_keys=given)
    assert "docs:class" not in context.known()
    assert "docs:class" not in list(context)
    assert context.known()["aws:resourcetag/team"] == "a"
    for _ in range(3):
        with pytest.raises(error):
            context.value("docs:class")
        with pytest.raises(error):
            AccessRequest(ADA, "docs:Get", "*", context).value("docs:class")
    assert "docs:class" not in list(context)


def test_resource_function_that_failed_is_not_called_again() -> None:
    """One decision and its explanation see one value."""
    answers = iter([Broken(), None])

    def flaky() -> str | None:
        answer = next(answers)
        if answer is not None:
            raise answer
        return answer

    context = of_resource(Class=flaky)
    for _ in range(2):
        with pytest.raises(Broken):
            context.value("docs:class")


@table("key", ["aws:SourceIp", "aws:PrincipalArn", "aws:ResourceTag/team", "iam:PolicyARN", "STS:ExternalId"])
def test_resource_cannot_have_keys_of_aws(key: str) -> None:
    """It would override what the guard knows of the caller: reading it raises, unless the application gives it."""
    context = RequestContext(None, Parties(ADA), NOW, resource_tags={"team": "a"}, resource_keys={key: "x"})
    with pytest.raises(ConfigurationError, match="condition key of the application"):
        AccessRequest(ADA, "docs:Get", "*", context).value(key.lower())
    given = RequestContext({key: "by hand"}, Parties(ADA), NOW, resource_keys={key: "x"})
    assert given.value(key.lower()) == "by hand"


@table(
    ("by_hand", "expected"),
    [("b", "b"), (lambda: "b", "b"), (lambda: None, "a"), (None, "a"), ([], ())],
)
@table("key", ["docs:Class", "aws:ResourceTag/class"])
def test_key_given_by_hand_precedes_that_of_resource(key: str, by_hand: Any, expected: Any) -> None:
    """In any order of reading; None is no value."""
    for first in ("docs:other", key.lower()):
        context = RequestContext({key.upper(): by_hand}, Parties(ADA), NOW, None, {"Class": "a"}, {"docs:Class": "a"})
        context.value(first)
        assert context.value(key.lower()) == expected


@table("tag", [5, ["a"], ("a",), True, {}])
def test_tag_that_is_no_string_raises_when_read(tag: Any) -> None:
    """Neither absent nor converted: tags are text. None is an absent tag."""
    context = RequestContext(None, Parties(ADA), NOW, resource_tags={"level": tag, "none": None, "team": "a"})
    assert [context.value(f"aws:resourcetag/{name}") for name in ("team", "none")] == ["a", None]
    with pytest.raises(ContextError, match="expected a string as the resource tag `level`"):
        context.value("aws:resourcetag/level")


@table("key", [*sorted(SUPPLIED_KEYS), "aws:resourcetag/team", "aws:principalarn", "aws:username"])
def test_application_context_takes_precedence(key: str) -> None:
    """K-1: the enforcement point builds the context."""
    around: dict[str, Any] = {
        "call": HTTP,
        "principal_organization": ACME,
        "resource_organization": ACME,
        "resource_account": "444455556666",
        "resource_tags": {"team": "red"},
    }
    assert value(key, {key.upper(): "by hand"}, **around) == "by hand"
    assert value(key, {key: lambda: "computed"}, **around) == "computed"


def issued(principal: Principal, mfa_at: datetime | None) -> Principal:
    moments = Issued(NOW - timedelta(hours=1), NOW + timedelta(hours=1), mfa_at=mfa_at)
    return replace(principal, credential=Credential("sts", "ASIAEXAMPLE", issued=moments))


@table(
    ("principal", "age"),
    [(ADA, "90"), (ROOT, "90"), (SESSION, "90"), (FEDERATED, None)],
    ids=lambda given: given.type if isinstance(given, Principal) else "",
)
def test_context_has_mfa_age(principal: Principal, age: str | None) -> None:
    """E.2: whole seconds, for sessions of GetSessionToken; absent without MFA.

    Also for those of a role whose terms have it: those of an identity provider that is trusted for it.
    """
    shown = NOW - timedelta(seconds=90, milliseconds=900)
    assert value("aws:MultiFactorAuthAge", principal=issued(principal, shown)) == age
    assert value("aws:MultiFactorAuthAge", principal=issued(principal, None)) is None
    assert value("aws:MultiFactorAuthAge", principal=principal) is None


def test_mfa_age_is_never_negative() -> None:
    """Another machine's clock may be ahead of ours."""
    assert value("aws:MultiFactorAuthAge", principal=issued(ADA, NOW + timedelta(seconds=5))) == "0"


def test_context_values_are_computed_once_on_first_use() -> None:
    """A decision costs what its statements use."""
    computed: list[str] = []

    def expensive() -> str:
        computed.append("shape")
        return "round"

    context = RequestContext({"docs:Shape": expensive}, Parties(ADA), NOW)
    assert context.value("aws:currenttime") == "2026-11-24T14:01:46Z"
    assert computed == []
    assert [context.value("docs:shape"), context.value("docs:shape"), context["DOCS:SHAPE"]] == ["round"] * 3
    assert computed == ["shape"]


def test_unsupported_value_is_refused_on_use() -> None:
    context = RequestContext({"docs:Shape": lambda: object()}, Parties(ADA), NOW)  # type: ignore[dict-item,return-value]
    with pytest.raises(ContextError):
        context.value("docs:shape")


def test_context_lists_present_keys() -> None:
    """For explanations: all keys of the tables that are present."""
    context = RequestContext({"docs:Shape": "round"}, Parties(ADA), NOW, resource_tags={"Team": "blue"})
    assert list(context) == [
        "aws:currenttime", "aws:epochtime", "aws:principalisawsservice", "aws:requestedregion",
        "aws:resourcetag/team", "aws:viaawsservice", "docs:shape",
    ]  # fmt: skip
    assert len(context) == len(list(context))
    assert dict(context)["docs:shape"] == "round"
