"""The line of a decision, joined from parts: what `to_line(decision_record(…))` writes, in a third of the time.

Every request waits for its record, and most of a record was written before: the caller, the action and the reasons
come again and again. Each of these is written once, searched for secrets once, and kept; what differs from request to
request is written and searched each time. This is sound because masking looks at one string at a time (`redaction`)
and every part is made of whole strings.

What a record says is `record`'s to say; here is nothing but its writing. Whatever is out of the ordinary is left to it:
a decision that could not be made, a caller that is a service, a line that is long or may hold a secret, and all of them
where an operator chose what is kept out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Generic, NamedTuple, TypeVar

from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.record.identity import user_identity
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
    reason_word,
    request_parameters,
)
from iam_guard.audit.record.redaction import MAX_TEXT, is_suspect, to_line, write
from iam_guard.errors import AccessDenied
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call

MAX_KEPT = 4096
"""Parts of one kind that are kept."""

_Thing = TypeVar("_Thing")


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
    """Write the record of one decision as the line that leaves; the arguments are those of `decision_record`.

    With `rules`, which change the record as a whole, nothing is joined. `is_brief` is that of `to_line`.
    """
    try:
        line = _join(decision, call, stamp, duration, keys) if shadow is None and rules is None else None
    except TypeError:  # what should be text is none: the record tells whether it can be written all the same
        line = None
    if line is None:
        record = decision_record(decision, call, stamp, duration=duration, keys=keys, shadow=shadow)
        return to_line(record, rules, is_brief=is_brief)
    return line


def _join(
    decision: Decision, call: Call | None, stamp: Stamp, duration: float | None, keys: ListedKeys
) -> bytes | None:
    """Join the parts in the order of the record; None where the record has to be made and gone through."""
    request = decision.request
    if decision.error is not None or request.principal.type is PrincipalType.SERVICE:
        return None
    if len(request.resource) > MAX_TEXT or (call is not None and is_long(call)):
        return None
    who, what, why = _CALLERS.text(request.principal), _action(request.action), _reasons(decision)
    policies = _POLICY_SETS.text(decision.policy_set)
    if who is None or what is None or why is None or policies is None:
        return None
    owner = request.owner
    asked, event_id = _asked(call, stamp.region), encode_basestring_ascii(stamp.event_id)
    recipient = _text(owner or request.principal.account)
    about, traced, read = _about(decision, call, owner, event_id), _traced(stamp), keys.written(request.read)
    if is_suspect(f"{asked}{event_id}{recipient}{about}{read}{traced}"):
        return None
    line = (
        f'{{"eventVersion":"{EVENT_VERSION}","userIdentity":{who},"eventTime":"{event_time(stamp.time)}",{what.name},'
        f'{asked},"eventID":{event_id},{what.kind},"recipientAccountId":{recipient},{what.category}{about},'
        f'"iamGuard":{{{_said(decision, why, policies, read, duration)}{traced}}}}}\n'
    )
    return line.encode("ascii") if len(line) <= MAX_TEXT else None


# --- what differs from request to request ------------------------------------------------------------------------


def _text(text: str | None) -> str:
    return "null" if text is None else encode_basestring_ascii(text)


def _asked(call: Call | None, region: str) -> str:
    """Write the facts of the call, from `awsRegion` to `requestID`."""
    if call is None:
        return f'"awsRegion":{encode_basestring_ascii(region)},{_NO_CALL}'
    return (
        f'"awsRegion":{encode_basestring_ascii(call.region)},"sourceIPAddress":{_text(call.source_ip)},'
        f'"userAgent":{_text(call.user_agent)},"requestParameters":{_parameters(call)},"responseElements":null,'
        f'"requestID":{encode_basestring_ascii(call.request_id)}'
    )


_NO_CALL = '"sourceIPAddress":null,"userAgent":null,"requestParameters":null,"responseElements":null,"requestID":null'


def is_long(call: Call) -> bool:
    """Return whether the texts of a call that its client chose have more characters than a line that can be joined."""
    try:
        size = len(call.path or "") + len(call.host or "") + len(call.user_agent or "") + len(call.referer or "")
    except TypeError:  # what should be text is none: the record tells whether it can be written all the same
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


def _about(decision: Decision, call: Call | None, owner: str | None, event_id: str) -> str:
    """Write what stands there in some records only, from `tlsDetails` to `sharedEventID`."""
    request, account = decision.request, decision.request.principal.account
    about = ""
    if call is not None and call.secure and call.host is not None:
        about = f',"tlsDetails":{{"clientProvidedHostHeader":{encode_basestring_ascii(call.host)}}}'
    if not decision.allowed:
        about += f',"errorCode":"{AccessDenied.code}","errorMessage":{encode_basestring_ascii(decision.message())}'
    if request.resource != "*":
        owned = "" if owner is None else f',"accountId":{encode_basestring_ascii(owner)}'
        about += f',"resources":[{{"ARN":{encode_basestring_ascii(request.resource)}{owned}}}]'
    if owner is not None and account is not None and owner != account:
        about += f',"sharedEventID":{event_id}'
    return about


def _said(decision: Decision, reasons: str, policies: str, read: str, duration: float | None) -> str:
    """Write `iamGuard` without its trace."""
    epoch = "" if decision.epoch is None else f',"epoch":{decision.epoch}'
    took = "" if duration is None else f',"durationMicros":{round(duration * 1_000_000)}'
    by = "" if policies == "null" else f',"policySet":{policies}'
    stale = "true" if decision.stale else "false"
    return (
        f'"version":"{IAM_GUARD_VERSION}","kind":"decision","outcome":"{decision.outcome.value}",'
        f'"reason":"{reason_word(decision)}","reasons":[{reasons}]{by}{read}{epoch},"stale":{stale},"enforced":true{took}'
    )


def _traced(stamp: Stamp) -> str:
    trace = "" if stamp.trace_id is None else f',"traceId":{encode_basestring_ascii(stamp.trace_id)}'
    return trace if stamp.span_id is None else f'{trace},"spanId":{encode_basestring_ascii(stamp.span_id)}'


# --- what comes again ----------------------------------------------------------------------------------------------


def _clean(text: str) -> str | None:
    """Return a part back when it may be kept; None when it is long or may hold something that must not leave."""
    return None if len(text) > MAX_TEXT or is_suspect(text) else text


class _Kept(Generic[_Thing]):
    """The parts for things of one kind, by their identity or by a key that says all they tell.

    A thing that is known by its identity is held beside its part: as long as it is, no other has that identity.
    """

    def __init__(self, describe: Callable[[_Thing], object], key: Callable[[_Thing], Hashable] = id) -> None:
        self._describe = describe
        self._key = key
        self._parts: dict[Hashable, tuple[_Thing | None, str | None]] = {}

    def text(self, thing: _Thing) -> str | None:
        """Return a thing's part, None when it cannot be kept as it is."""
        key = self._key(thing)
        known = self._parts.get(key)
        if known is None:
            if len(self._parts) >= MAX_KEPT:
                self._parts.clear()  # the simplest that several threads may do at once
            held = thing if type(key) is int else None
            known = self._parts[key] = held, _clean(write(self._describe(thing)))
        return known[1]


def _caller_key(principal: Principal) -> Hashable:
    """Return all values of `userIdentity`; a session is keyed by itself, for its values may be of any kind."""
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
        None if credential is None else (credential.kind, credential.id, credential.issued),
    )


_CALLERS = _Kept(user_identity, _caller_key)
_REASONS = _Kept(describe_reason)
_POLICY_SETS = _Kept(describe_policy_set, lambda policies: policies)


def _reasons(decision: Decision) -> str | None:
    if len(decision.reasons) > MAX_REASONS:
        return None
    parts = [part for reason in decision.reasons if (part := _REASONS.text(reason)) is not None]
    return ",".join(parts) if len(parts) == len(decision.reasons) else None


class _Action(NamedTuple):
    """The members that an action's name decides, in three parts of the line."""

    name: str
    kind: str
    category: str


@lru_cache(MAX_KEPT)
def _action(action: str) -> _Action | None:
    facts = action_facts(action)
    if facts.redacted:
        return None
    name = _clean(write({"eventSource": facts.source, "eventName": facts.name})[1:-1])
    kind = {"readOnly": facts.read_only, "eventType": "AwsApiCall", "managementEvent": facts.is_management}
    category = {"eventCategory": "Management" if facts.is_management else "Data"}
    return None if name is None else _Action(name, write(kind)[1:-1], write(category)[1:-1])
