"""Requests out of boxes: the witnesses of a difference.

A witness is simple (keys that may be absent are), readable, and possible: the caller's keys agree with the caller
(K-10), and a resource whose ARN has an account belongs to it. The evaluator has the last word on every witness.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice, product

from iam_guard.analysis.checks.boxes import ACTION, KEY, RESOURCE, Box
from iam_guard.analysis.checks.caller_keys import DERIVED, OF_PRINCIPAL
from iam_guard.analysis.checks.callers import ANY_ACCOUNT, KINDS, TypicalCaller, partitions_of, session_of_role
from iam_guard.analysis.checks.key_sets import ABSENT, EMPTIES, EMPTY, KeySet, Many, ValueSet
from iam_guard.analysis.checks.limits import Work
from iam_guard.analysis.checks.pattern_search import variable_text, variables_in
from iam_guard.analysis.checks.spaces import Space
from iam_guard.analysis.checks.statement_forms import ANY_ACTION, ANY_RESOURCE
from iam_guard.analysis.checks.text_sets import TextSet, TextUnion
from iam_guard.evaluation.matching.condition_keys import spelled
from iam_guard.evaluation.matching.pattern import Pattern, Wildcard
from iam_guard.evaluation.matching.variables import join
from iam_guard.model.arn import account_of, is_account_id
from iam_guard.model.context import Value
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest

_MAX_SAMPLES = 6
"""Up to this number of samples is taken from each set."""
_MAX_REQUESTS = 64
"""Up to this number of requests is tried per box."""
_DIGITS = re.compile(r"[0-9]{0,12}")
_ROLE_ID = "AROAEXAMPLE"


class Witnesses:
    """Creates requests from boxes of a space.

    `actions` are names in the spelling to use, which are preferred to others; `named` are the accounts that policies
    name; `of_resource` is whether the policies are those of a resource.
    """

    def __init__(
        self, space: Space, work: Work, actions: Mapping[str, str], named: tuple[str, ...], *, of_resource: bool
    ) -> None:
        self.of_resource = of_resource
        self.space = space
        self.work = work
        self.actions = actions
        self.named = named

    def requests(self, box: Box, caller: TypicalCaller) -> Iterator[AccessRequest]:
        """Yield requests of a box, the simplest first; a box that could not be decided may have others."""
        yield from islice(self._requests(box, caller), _MAX_REQUESTS)

    def _requests(self, box: Box, caller: TypicalCaller) -> Iterator[AccessRequest]:
        keys = {name[len(KEY) :]: values for name, values in box.items() if name.startswith(KEY)}
        actions: TextSet = box.get(ACTION, ANY_ACTION)
        resources: TextSet = box.get(RESOURCE, ANY_RESOURCE)
        for text in islice(resources.samples(self.work, [*self._usual_resources(actions, caller)]), _MAX_SAMPLES):
            resource, values = self._filled(text, keys)
            yield from self._about(resource, actions, {**keys, **values}, caller)

    def _usual_resources(self, actions: TextSet, caller: TypicalCaller) -> Iterator[str]:
        """Yield resources of the service that the action belongs to."""
        service = next(actions.samples(self.work, self.actions), "example:").partition(":")[0]
        partition = caller.partition or partitions_of(self.space.documents)[0]
        if service == "sts" and self.of_resource:
            yield f"arn:{partition}:iam::{caller.owner}:role/example"
        yield f"arn:{partition}:{service}:us-east-1:{caller.owner}:example"

    def _filled(self, text: str, keys: Mapping[str, KeySet]) -> tuple[str, dict[str, KeySet]]:
        """Return a text with values in place of its variables, and the keys that have these values."""
        found: dict[str, KeySet] = {}
        for name in dict.fromkeys(variables_in(text)):
            key = name.partition(",")[0]
            points = self.space.key(key).points
            value = next(self._texts(keys[key].one, points), "example") if key in keys else "example"
            text = text.replace(variable_text(name), value)
            found[key] = KeySet(0, TextSet(frozenset((value,)), ()), None)
        return text, found

    def _about(
        self, resource: str, actions: TextSet, keys: Mapping[str, KeySet], caller: TypicalCaller
    ) -> Iterator[AccessRequest]:
        derived = {key: values for key, values in keys.items() if key in DERIVED}
        others = [(key, [*self._values(key, values)]) for key, values in keys.items() if key not in derived]
        for principal, owner, more in self._callers(caller, derived, resource):
            for action in islice(actions.samples(self.work, self.actions), _MAX_SAMPLES):
                for chosen in product(*[values for _, values in others]):
                    context = dict(zip([key for key, _ in others], chosen, strict=True)) | more
                    present = {spelled(key): value for key, value in context.items() if value is not None}
                    name = self.actions.get(action, action)
                    yield AccessRequest(principal, name, resource, present, owner)

    def _values(self, key: str, values: KeySet) -> Iterator[Value | None]:
        """Yield some values of a key; None is absent."""
        if values.forms & ABSENT:
            yield None
        form = self.space.key(key)
        points = form.points
        if isinstance(values.one, TextSet):
            yield from filter(values.one.contains, form.hints)
        yield from islice(self._texts(values.one, points), _MAX_SAMPLES)
        if values.many is not None:
            yield self._many(values.many, points)
        if values.forms & EMPTY:
            yield ""
        if values.forms & EMPTIES:
            yield ("", "")

    def _texts(self, values: ValueSet, points: tuple[str, ...] | None) -> Iterator[str]:
        if isinstance(values, TextSet):
            yield from values.samples(self.work)
        elif points is not None:
            yield from (point for index, point in enumerate(points) if values >> index & 1)

    def _many(self, many: Many, points: tuple[str, ...] | None) -> tuple[str, ...]:
        """Return the fewest different members, at least two; one of them twice if there is no other."""
        members: list[str] = []
        for required in many.required:
            texts = [*islice(self._texts(required, points), _MAX_SAMPLES)]
            if not any(text in members for text in texts):
                members += texts[:1]
        for text in islice(self._texts(many.members, points), _MAX_SAMPLES):
            if len(members) < 2 and text not in members:
                members.append(text)
        return tuple(members if len(members) > 1 else members * 2)

    # --- the caller ----------------------------------------------------------------------------------------------

    def _callers(
        self, caller: TypicalCaller, keys: Mapping[str, KeySet], resource: str
    ) -> Iterator[tuple[Principal, str, dict[str, Value | None]]]:
        """Yield principals whose keys have the given values, the owner of the resource, and further keys."""
        more = {key: next(self._values(key, values), None) for key, values in keys.items() if key not in OF_PRINCIPAL}
        for principal in self._principals(caller, keys, resource):
            owner = caller.owner
            if caller.is_in_account and principal.account is not None:
                owner = principal.account
            elif owner not in self.named and (account := account_of(resource)) is not None:
                owner = account
            if more.get("aws:resourceaccount") is not None:
                more["aws:resourceaccount"] = owner
            yield principal, owner, more

    def _principals(self, caller: TypicalCaller, keys: Mapping[str, KeySet], resource: str) -> Iterator[Principal]:
        kind = caller.principal.type
        if not caller.arns:
            yield from self._with_ids(caller.principal, keys)
            return
        for account in self._accounts(caller, keys, resource):
            if not is_account_id(account):
                continue
            if kind is PrincipalType.ROOT:
                yield Principal.from_arn(f"arn:{caller.partition}:iam::{account}:root")
                continue
            for arn in self._arns(caller, account, keys):
                yield from self._with_ids(_renamed(caller.principal, arn, account), keys)

    def _accounts(self, caller: TypicalCaller, keys: Mapping[str, KeySet], resource: str) -> Iterator[str]:
        if caller.account is not None:
            yield caller.account
            return
        accounts = keys.get("aws:principalaccount")
        if accounts is not None:
            points = self.space.key("aws:principalaccount").points
            for text in islice(self._texts(accounts.one, points), _MAX_SAMPLES):
                yield text
                digits = "".join(_DIGITS.findall(text)[:1])
                padded = digits + caller.principal.account[len(digits) :] if caller.principal.account else ""
                if isinstance(accounts.one, TextSet) and accounts.one.contains(padded):
                    yield padded
        owner = account_of(resource)
        if owner is not None and caller.is_in_account and owner not in self.named:
            yield owner
        yield caller.principal.account or ""
        if (ids := keys.get("aws:userid")) is not None:
            texts = islice(self._texts(ids.one, self.space.key("aws:userid").points), _MAX_SAMPLES)
            yield from (text.partition(":")[0] for text in texts)
        arns = keys.get("aws:principalarn")
        if arns is not None:
            for arn in islice(self._texts(arns.one, self.space.key("aws:principalarn").points), _MAX_SAMPLES):
                if arn.count(":") >= 5:
                    yield arn.split(":")[4]

    def _arns(self, caller: TypicalCaller, account: str, keys: Mapping[str, KeySet]) -> Iterator[str]:
        """Yield values of `aws:PrincipalArn` of this kind, in an account, with the name that is required."""
        kind = caller.principal.type
        service, beginning = KINDS[kind]
        begin = f"arn:{caller.partition}:{service}::{account}:{beginning}"
        names: list[str] = []
        if (usernames := keys.get("aws:username")) is not None and kind is PrincipalType.USER:
            names = [*islice(self._texts(usernames.one, self.space.key("aws:username").points), _MAX_SAMPLES)]
        elif (userids := keys.get("aws:userid")) is not None and kind is PrincipalType.FEDERATED_USER:
            texts = islice(self._texts(userids.one, self.space.key("aws:userid").points), _MAX_SAMPLES)
            names = [text.partition(":")[2] for text in texts if text.startswith(f"{account}:")]
        arns = keys.get("aws:principalarn")
        if arns is None:
            usual = caller.arns[0].replace(ANY_ACCOUNT, account).replace("?*", "example")
            yield from (f"{begin}{name}" for name in names) if names else (usual,)
            return
        ends: list[Pattern] = [(name,) for name in names] or [(Wildcard.ONE_IN_FIELD, Wildcard.RUN_IN_FIELD)]
        union = TextUnion(_arn_patterns(begin, ends))
        if isinstance(arns.one, TextSet):
            yield from islice(arns.one.meet(union, self.work).samples(self.work), _MAX_SAMPLES)
        else:
            points = self.space.key("aws:principalarn").points
            yield from (text for text in self._texts(arns.one, points) if union.matches(text))

    def _with_ids(self, principal: Principal, keys: Mapping[str, KeySet]) -> Iterator[Principal]:
        ids = keys.get("aws:userid")
        has_id = principal.userid is not None or principal.type not in (PrincipalType.USER, PrincipalType.ASSUMED_ROLE)
        if ids is None or has_id:
            yield principal
            return
        if ids.forms & ABSENT:
            yield principal
        for userid in islice(self._texts(ids.one, self.space.key("aws:userid").points), _MAX_SAMPLES):
            yield _with_id(principal, userid)


def _arn_patterns(begin: str, ends: list[Pattern]) -> Iterator[Pattern]:
    for end in ends:
        for path in ((), (Wildcard.RUN, "/")):
            yield join([begin, *path, *end]).pattern or ()


def _renamed(principal: Principal, arn: str, account: str) -> Principal:
    """Return a caller of the same kind whose `aws:PrincipalArn` is `arn`."""
    if principal.type is not PrincipalType.ASSUMED_ROLE:
        return replace(principal, arn=arn, account=account)
    session_arn = session_of_role(arn, principal.arn.rsplit("/", 1)[-1])
    return replace(principal, arn=session_arn, account=account, role_arn=arn)


def _with_id(principal: Principal, userid: str) -> Principal:
    if principal.type is not PrincipalType.ASSUMED_ROLE or principal.role_arn is None:
        return replace(principal, userid=userid)
    session = userid.partition(":")[2] or "example"
    arn = session_of_role(principal.role_arn, session)
    return replace(principal, arn=arn, userid=userid if ":" in userid else f"{_ROLE_ID}:{session}")


def simplest(request: AccessRequest, is_witness: Callable[[AccessRequest], bool]) -> AccessRequest:
    """Return a witness without the keys that it does not need."""
    for key in sorted(request.context):
        context = {name: value for name, value in request.context.items() if name != key}
        smaller = AccessRequest(request.principal, request.action, request.resource, context, request.resource_account)
        if is_witness(smaller):
            request = smaller
    return request
