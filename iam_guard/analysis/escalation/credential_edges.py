"""Find the calls by which a principal gets credentials of a user, or of a root user."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace

from iam_guard.analysis.escalation.account_entities import UserCredentials
from iam_guard.analysis.escalation.directory import Directory
from iam_guard.analysis.escalation.escalation_actor import EscalationActor
from iam_guard.analysis.escalation.escalation_calls import Edge, EscalationCall
from iam_guard.analysis.escalation.principal_state import ALLOW_ALL
from iam_guard.analysis.escalation.techniques import (
    API_KEYS,
    ASSUME_ROOT,
    CREATE_KEY,
    CREATE_LOGIN,
    DEACTIVATE_MFA,
    DELETE_KEY,
    DELETE_LOGIN,
    UPDATE_LOGIN,
)
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import AWS_MANAGED, iam_arn, root_arn
from iam_guard.store.policies.stored_principals import StoredPrincipal
from iam_guard.store.policies.task_policies import PATH

_KEY_NOTE = "it returns the secret of a new access key"
_LOGIN_NOTE = "it sets a password, with which the caller signs in"
_API_KEY_NOTE = "it returns an API key, which is limited to the actions of one service"
_SIMPLE = (CREATE_KEY, CREATE_LOGIN, UPDATE_LOGIN)


class CredentialEdges:
    """The users whose credentials principals of one store may get."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def of(self, actor: EscalationActor, users: Collection[StoredPrincipal]) -> Iterator[Edge]:
        """Yield the shortest way of an actor to each of some users of its account, and to root users of others."""
        users = [user for user in users if user.arn != actor.arn]
        shortest: dict[str, Edge] = {}
        for action in _SIMPLE:
            if action in actor.able:
                concerned = [user for user in users if actor.may_concern(action, user.arn)]
                requests = [self._directory.request(action, user) for user in concerned]
                for user, answer in zip(concerned, actor.may_all(requests, "user/*"), strict=True):
                    if answer is not None:
                        note = _KEY_NOTE if action == CREATE_KEY else _LOGIN_NOTE
                        step = EscalationCall(actor.arn, action, user.arn, answer, note)
                        for steps in self._ways(actor, user, step):
                            best = shortest.get(user.arn)
                            if best is None or len(steps) < len(best.steps):
                                shortest[user.arn] = Edge(steps, target=user.arn)
        yield from shortest.values()
        yield from self._api_keys(actor, users)
        yield from self._root_users(actor)

    def _api_keys(self, actor: EscalationActor, users: Collection[StoredPrincipal]) -> Iterator[Edge]:
        """Yield the users for whom the actor may create an API key of one service, which is limited to that service."""
        for action in API_KEYS:
            for user in users if action in actor.able else ():
                if actor.may_concern(action, user.arn):
                    request = self._directory.request(action, user)
                    answer = actor.may_for_some(request, "iam:servicespecificcredentialservicename")
                    if answer is not None:
                        call = EscalationCall(actor.arn, action, user.arn, answer, _API_KEY_NOTE)
                        yield Edge((call,), target=user.arn, is_limited=True)

    def _ways(
        self, actor: EscalationActor, user: StoredPrincipal, step: EscalationCall
    ) -> Iterator[tuple[EscalationCall, ...]]:
        """Yield the calls that get credentials of a user by `step`, which may need others before."""
        credentials = self._directory.entities.credentials.get(user.arn, UserCredentials())
        if step.action == CREATE_KEY:
            limit = self._directory.entities.quotas["access keys per user"]
            if credentials.keys < limit:
                yield (step,)
            else:
                yield from self._after(actor, user, DELETE_KEY, f"a user has at most {limit} access keys", (step,))
        elif (step.action == UPDATE_LOGIN) == credentials.has_password:
            if not credentials.factors:
                yield (step,)
            else:
                yield from self._after(actor, user, DEACTIVATE_MFA, "signing in requires the user's factor", (step,))

    def _after(
        self, actor: EscalationActor, user: StoredPrincipal, action: str, note: str, steps: tuple[EscalationCall, ...]
    ) -> Iterator[tuple[EscalationCall, ...]]:
        answer = actor.may(self._directory.request(action, user))
        if answer is not None:
            yield (EscalationCall(actor.arn, action, user.arn, answer, note), *steps)

    def _root_users(self, actor: EscalationActor) -> Iterator[Edge]:
        """Yield the root users of member accounts, of which a session for the task may set a password (rule S-35)."""
        if ASSUME_ROOT not in actor.able:
            return
        for account in self._directory.entities.root_users_of.get(actor.account, ()):
            arn = root_arn(self._directory.partition, account)
            if arn not in self._directory.population.principals_by_arn:
                continue
            credentials = self._directory.entities.credentials.get(account, UserCredentials())
            tasks = [("IAMCreateRootUserPassword", CREATE_LOGIN)]
            if credentials.has_password:
                tasks.insert(0, ("IAMDeleteRootUserCredentials", DELETE_LOGIN))
            if credentials.factors:
                tasks.insert(0, ("IAMDeleteRootUserCredentials", DEACTIVATE_MFA))
            steps = [step for task, action in tasks for step in self._task(actor, account, arn, task, action)]
            if len(steps) == 2 * len(tasks):
                yield Edge(tuple(dict.fromkeys(steps)), target=arn)

    def _task(self, actor: EscalationActor, account: str, arn: str, task: str, action: str) -> list[EscalationCall]:
        """Return the session for a task on a root user, and what it does there; less if a call is denied."""
        partition = self._directory.partition
        policy_arn = iam_arn(partition, AWS_MANAGED, "policy", PATH, task)
        admitted = {
            "Effect": "Allow",
            "Principal": {"AWS": root_arn(partition, actor.account)},
            "Action": ASSUME_ROOT,
            "Resource": "*",
        }
        resource = Resource(arn, account, policy=json.dumps({"Version": "2012-10-17", "Statement": admitted}))
        answer = actor.may_with_policy(ASSUME_ROOT, resource, {"sts:TaskPolicyArn": policy_arn})
        if answer is None:
            return []
        text = self._directory.entities.policies[policy_arn].current.text
        root = self._directory.principal(arn)
        caller = replace(root.record.principal, session_policies=(ALLOW_ALL.text, text))
        session = EscalationActor(actor.answers, replace(root, record=replace(root.record, principal=caller)))
        done = session.may_with_policy(action, Resource(arn, account), {})
        first = EscalationCall(actor.arn, ASSUME_ROOT, arn, answer, f"for the task {task}")
        return (
            [first] if done is None else [first, EscalationCall(arn, action, arn, done, f"in the session for {task}")]
        )
