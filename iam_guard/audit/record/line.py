"""Serialize a decision's record from cached parts: same output as `to_line(decision_record(…))` in a third of the time.

Every request waits for its record, and most of it repeats: the caller, the action and the reasons. Each of these is
serialized, searched for secrets, and cached once; the rest is serialized and searched each time. This is sound because
masking looks at one string at a time (`redaction`) and every part consists of whole strings.

`record` defines the content; this module only writes it. Unusual records are left to `record`: failed decisions,
service callers, lines that are long or may contain a secret, and all records if privacy rules apply.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Generic, NamedTuple, TypeVar

from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.record.identity import is_of_browser, user_identity
from iam_guard.audit.record.privacy import PrivacyRules
from iam_guard.audit.record.record import (
    DEFAULT_KEYS,
    EVENT_VERSION,
    IAM_GUARD_VERSION,
    MAX_REASONS,
    Stamp,
    action_facts,
    decision_record,
    describe_policy_set,
    describe_reason,
    event_time,
    reason_code,
    request_parameters,
)
from iam_guard.audit.record.redaction import MAX_TEXT, is_suspect, to_line, write
from iam_guard.errors import AccessDenied
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call

MAX_CACHED = 4096
"""Cached parts of one kind."""

_T = TypeVar("_T")


def decision_line(
    decision: Decision,
    call: Call | None,
    stamp: Stamp,
    *,
    duration: float | None = None,
    keys: ListedKeys = DEFAULT_KEYS,
    shadow: Decision | None = None,
    rules: PrivacyRules | None = None,
    is_brief: bool = False,
) -> bytes:
    """Serialize the record of a decision; the arguments are those of `decision_record`.

    With `rules`, which may change the whole record, no parts are joined. `is_brief` is passed to `to_line`.
    """
    try:
        line = _join(decision, call, stamp, duration, keys) if shadow is None and rules is None else None
    except TypeError:  # a value that should be a string is not; `to_line` may still be able to write it
        line = None
    if line is None:
        record = decision_record(decision, call, stamp, duration=duration, keys=keys, shadow=shadow)
        return to_line(record, rules, is_brief=is_brief)
    return line


def _join(
    decision: Decision, call: Call | None, stamp: Stamp, duration: float | None, keys: ListedKeys
) -> bytes | None:
    """Join the parts in the order of the record; return None if the record must be built and searched as a whole."""
    request = decision.request
    if decision.error is not None or request.principal.type is PrincipalType.SERVICE:
        return None
    if len(request.resource) > MAX_TEXT or (call is not None and is_long(call)):
        return None
    caller, action, reasons = _CALLERS.text(request.principal), _action(request.action), _reasons(decision)
    policies = _POLICY_SETS.text(decision.policy_set)
    if caller is None or action is None or reasons is None or policies is None:
        return None
    owner = request.owner
    facts, event_id = _call_members(call, stamp.region), encode_basestring_ascii(stamp.event_id)
    recipient = _string(owner or request.principal.account)
    optional, trace = _optional_members(decision, call, owner, event_id), _trace_members(stamp)
    conditions = keys.serialize(request.read)
    if is_suspect(f"{facts}{event_id}{recipient}{optional}{conditions}{trace}"):
        return None
    line = (
        f'{{"eventVersion":"{EVENT_VERSION}","userIdentity":{caller},"eventTime":"{event_time(stamp.time)}",{action.name},'
        f'{facts},"eventID":{event_id},{action.kind},"recipientAccountId":{recipient},{action.category}{optional},'
        f'"iamGuard":{{{_extension_members(decision, reasons, policies, conditions, duration)}{trace}}}}}\n'
    )
    return line.encode("ascii") if len(line) <= MAX_TEXT else None


# --- parts that differ between requests --------------------------------------------------------------------------


def _string(text: str | None) -> str:
    return "null" if text is None else encode_basestring_ascii(text)


def _call_members(call: Call | None, region: str) -> str:
    """Serialize the facts of the call, from `awsRegion` to `requestID`."""
    if call is None:
        return f'"awsRegion":{encode_basestring_ascii(region)},{_NO_CALL}'
    return (
        f'"awsRegion":{encode_basestring_ascii(call.region)},"sourceIPAddress":{_string(call.source_ip)},'
        f'"userAgent":{_string(call.user_agent)},"requestParameters":{_parameters(call)},"responseElements":null,'
        f'"requestID":{encode_basestring_ascii(call.request_id)}'
    )


_NO_CALL = '"sourceIPAddress":null,"userAgent":null,"requestParameters":null,"responseElements":null,"requestID":null'


def is_long(call: Call) -> bool:
    """Return whether the strings that the client chose are too long for a joined line."""
    try:
        size = len(call.path or "") + len(call.host or "") + len(call.user_agent or "") + len(call.referer or "")
    except TypeError:  # a value that should be a string is not; `to_line` may still be able to write it
        return True
    return size > MAX_TEXT


def _parameters(call: Call) -> str:
    method, path, host = call.method, call.path, call.host
    if method is None or path is None or host is None:
        return write(request_parameters(call))
    return (
        f'{{"method":{encode_basestring_ascii(method)},"path":{encode_basestring_ascii(path.partition("?")[0])},'
        f'"host":{encode_basestring_ascii(host)}}}'
    )


def _optional_members(decision: Decision, call: Call | None, owner: str | None, event_id: str) -> str:
    """Serialize the members that only some records have, from `tlsDetails` to the last."""
    request, account = decision.request, decision.request.principal.account
    members = ""
    if call is not None and call.secure and call.host is not None:
        members = f',"tlsDetails":{{"clientProvidedHostHeader":{encode_basestring_ascii(call.host)}}}'
    if not decision.allowed:
        members += f',"errorCode":"{AccessDenied.code}","errorMessage":{encode_basestring_ascii(decision.message())}'
    if request.resource != "*":
        account_member = "" if owner is None else f',"accountId":{encode_basestring_ascii(owner)}'
        members += f',"resources":[{{"ARN":{encode_basestring_ascii(request.resource)}{account_member}}}]'
    if owner is not None and account is not None and owner != account:
        members += f',"sharedEventID":{event_id}'
    if is_of_browser(request.principal):
        members += ',"sessionCredentialFromConsole":"true"'
    return members


def _extension_members(decision: Decision, reasons: str, policies: str, conditions: str, duration: float | None) -> str:
    """Serialize the members of `iamGuard`, except for its trace."""
    epoch = "" if decision.epoch is None else f',"epoch":{decision.epoch}'
    duration_member = "" if duration is None else f',"durationMicros":{round(duration * 1_000_000)}'
    policy_set = "" if policies == "null" else f',"policySet":{policies}'
    stale = "true" if decision.stale else "false"
    return (
        f'"version":"{IAM_GUARD_VERSION}","kind":"decision","outcome":"{decision.outcome.value}",'
        f'"reason":"{reason_code(decision)}","reasons":[{reasons}]{policy_set}{conditions}{epoch},'
        f'"stale":{stale},"enforced":true{duration_member}'
    )


def _trace_members(stamp: Stamp) -> str:
    trace = "" if stamp.trace_id is None else f',"traceId":{encode_basestring_ascii(stamp.trace_id)}'
    return trace if stamp.span_id is None else f'{trace},"spanId":{encode_basestring_ascii(stamp.span_id)}'


# --- cached parts --------------------------------------------------------------------------------------------------


def _cacheable(text: str) -> str | None:
    """Return the part if it may be cached; None if it is long or may contain a secret."""
    return None if len(text) > MAX_TEXT or is_suspect(text) else text


class _PartCache(Generic[_T]):
    """Cache of the parts for things of one kind, keyed by identity or by a key that covers all serialized values.

    An entry keyed by identity keeps a reference to its thing, so that the id stays unique.
    """

    def __init__(self, describe: Callable[[_T], object], key: Callable[[_T], Hashable] = id) -> None:
        self._describe = describe
        self._key = key
        self._parts: dict[Hashable, tuple[_T | None, str | None]] = {}

    def text(self, thing: _T) -> str | None:
        """Return the part for a thing; None if it may not be cached as it is."""
        key = self._key(thing)
        entry = self._parts.get(key)
        if entry is None:
            if len(self._parts) >= MAX_CACHED:
                self._parts.clear()  # safe from several threads
            reference = thing if type(key) is int else None
            entry = self._parts[key] = reference, _cacheable(write(self._describe(thing)))
        return entry[1]


def _caller_key(principal: Principal) -> Hashable:
    """Return all values of `userIdentity`; for a session its identity, since its values may have any type."""
    if principal.session:
        return id(principal)
    credential = principal.credential
    return (
        principal.type,
        principal.arn,
        principal.account,
        principal.role_arn,
        principal.user_arn,
        principal.userid,
        None if credential is None else (credential.kind, credential.id, credential.issued, credential.envelope),
    )


_CALLERS = _PartCache(user_identity, _caller_key)
_REASONS = _PartCache(describe_reason)
_POLICY_SETS = _PartCache(describe_policy_set, lambda policies: policies)


def _reasons(decision: Decision) -> str | None:
    if len(decision.reasons) > MAX_REASONS:
        return None
    parts = [part for reason in decision.reasons if (part := _REASONS.text(reason)) is not None]
    return ",".join(parts) if len(parts) == len(decision.reasons) else None


class _Action(NamedTuple):
    """The members that the action's name determines, for three places in the line."""

    name: str
    kind: str
    category: str


@lru_cache(MAX_CACHED)
def _action(action: str) -> _Action | None:
    facts = action_facts(action)
    if facts.redacted:
        return None
    name = _cacheable(write({"eventSource": facts.source, "eventName": facts.name})[1:-1])
    kind = {"readOnly": facts.read_only, "eventType": "AwsApiCall", "managementEvent": facts.is_management}
    category = {"eventCategory": "Management" if facts.is_management else "Data"}
    return None if name is None else _Action(name, write(kind)[1:-1], write(category)[1:-1])
