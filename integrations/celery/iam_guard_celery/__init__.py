"""iam_guard for Celery: tasks act as the caller who sent them.

    guard_tasks(app, guard)

    @app.task
    @docs.requires("ExportDocument", resource="document/{document_id}")
    def export(document_id): ...

    export.delay(7)  # in a guarded request, or in another task

Sending a task seals the caller of the current call into a header of the message. The worker opens it when the task
starts, for the same task and task id only, and the task runs as that caller: `current_principal()`, the decorators and
`Service.decide` use the policies of that moment. A message without the header runs as the anonymous caller. A task
whose header is refused fails without running.

`task_prerun` and `task_postrun` begin and end the call, so that handlers such as `on_failure`, and what Celery sends
after the task (the rest of a chain, callbacks, the body of a chord), have the same caller. Celery ignores errors of
signals, so a function around `run`, outside of Celery's automatic retry, raises them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextvars import Token
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from inspect import signature
from typing import Any, Final

from celery import Celery, signals
from celery.utils import uuid
from celery.utils.time import maybe_make_aware

from iam_guard import AccessDenied, Guard, IamGuardError, Principal
from iam_guard.adapters import (
    CURRENT_CALL,
    MAX_SEALED_SECONDS,
    Call,
    Concealed,
    CurrentCall,
    PrincipalType,
    guards_of,
    serving,
)
from iam_guard.errors import ConfigurationError, CredentialError, ExpiredToken, InvalidClientTokenId, InvalidInput

__all__ = ["guard_tasks"]

_HEADER: Final = "iam-guard-caller"
"""The header with the sealed principal, and the id of the request that it is from."""
_ENDED: Final = "ended"
"""The header of a task that was sent by a task after the credential of its caller had ended."""
_RUN: Final = "iam_guard_run"
"""The attribute of `Task.request` with the `_Run`, and of guarded tasks."""
_FINAL_ERRORS: Final = (AccessDenied, CredentialError, Concealed)
"""What no retry changes."""


def guard_tasks(
    app: Celery,
    guard: Guard,
    *,
    audience: str | None = None,
    expires_in: float = 86_400.0,
    once: bool = False,
    after_sign_out: bool = False,
    scheduled_as: Principal | None = None,
) -> None:
    """Run the tasks of an application as the callers who send them, in senders, workers and beat alike.

    `audience` is a name that senders and workers have in common, by default that of the application. A caller can be
    used for `expires_in` seconds after the task's `eta` and `expires`, and no longer by all tasks that it sends.
    `once` and `after_sign_out` are those of `guard.sealed_principals.seal`. `scheduled_as` sends the tasks of beat,
    which have no caller otherwise. Raises `ConfigurationError` if it is guarded, `InvalidInput` for `expires_in`.
    """
    if isinstance(getattr(app.send_task, "__self__", None), _TaskGuard):
        raise ConfigurationError("expected an application without a guard, got a guarded one", place="guard_tasks")
    if not 1 <= expires_in <= MAX_SEALED_SECONDS:
        raise InvalidInput(f"expected a number of seconds from 1 to {MAX_SEALED_SECONDS}", place="expires_in")
    sealing = {"once": once, "after_sign_out": after_sign_out}
    _TaskGuard(app, guard, audience or app.main or "celery", expires_in, scheduled_as, sealing).install()


class _TaskCall(CurrentCall):
    """The run of a task."""

    def caller_for(self, action: str) -> Principal:
        """Return the caller. The service that the caller signed for is that of the request, not of its tasks."""
        return self.principal


@dataclass(frozen=True, slots=True, repr=False)
class _Run:
    """What `task_prerun` found: the call, or why the task must not run."""

    call: CurrentCall | None
    refusal: IamGuardError | None
    header: object
    token: Token[CurrentCall | None]


@dataclass(eq=False)
class _TaskGuard:
    app: Celery
    guard: Guard
    audience: str
    expires_in: float
    scheduled_as: Principal | None
    sealing: Mapping[str, bool]

    def install(self) -> None:
        app = self.app
        self.send, self.positions = app.send_task, tuple(signature(app.send_task).parameters)
        app.send_task = self.send_task
        if not hasattr(app.Task, "dont_autoretry_for"):
            app.Task.dont_autoretry_for = _FINAL_ERRORS
        if app.finalized:
            self._guard_all()
        for signal, receiver in (
            *((signal, self._guard_all) for signal in (app.on_after_finalize, signals.worker_init)),
            *((signals.task_prerun, self._begin), (signals.task_postrun, self._end)),
            (signals.worker_process_shutdown, lambda **_: self.guard.close()),  # there is no `atexit`
            (signals.beat_init, self._schedule),
        ):  # with an id: Celery 5.5 takes the methods of two applications for one receiver
            signal.connect(receiver, weak=False, dispatch_uid=f"iam_guard_celery:{id(self)}")

    def send_task(self, *args: Any, **options: Any) -> Any:
        """Send a task with the caller of the current call, if there is one. A header without a call is kept."""
        options |= dict(zip(self.positions, args, strict=False))
        id = options["task_id"] = options.get("task_id") or uuid()
        header = self._sealed(options["name"], id, *(options.get(name) for name in ("countdown", "eta", "expires")))
        if header is not None:
            options["headers"] = {**(options.get("headers") or {}), _HEADER: header}
        return self.send(**options)

    def _sealed(self, name: str, task_id: str, *moments: Any) -> str | None:
        """Return the header with the caller of the current call, for a task that starts until the last of `moments`."""
        call = CURRENT_CALL.get()
        if call is None or call.is_over or call.caller.type is PrincipalType.ANONYMOUS:
            return None
        if call.guard is not self.guard:
            raise ConfigurationError("expected a call of the guard of the tasks, got one of another", place=name)
        seconds = self.expires_in + max(map(self._seconds_until, moments), default=0.0)
        if seconds > MAX_SEALED_SECONDS:
            latest = f"{MAX_SEALED_SECONDS - self.expires_in:.0f} seconds"
            raise InvalidInput(f"expected a task with a caller that starts and expires within {latest}", place=name)
        audience = self._audience_of(name, task_id, call.facts.request_id)
        try:
            text = self.guard.sealed_principals.seal(call.caller, expires_in=seconds, audience=audience, **self.sealing)
        except CredentialError:
            if not isinstance(call, _TaskCall):
                raise
            return _ENDED  # Celery would lose a retry, and fail the task whose chain goes on
        return f"{text} {call.facts.request_id}"

    def _audience_of(self, name: str, task_id: str, request_id: str) -> str:
        """Return the audience of one task, so that its header is good for no other message."""
        parts = json.dumps((self.audience, name, task_id, request_id))
        return f"celery:{hashlib.sha256(parts.encode()).hexdigest()}"

    def _seconds_until(self, moment: Any) -> float:
        """Return the seconds until an `eta` or `expires`, as Celery reads it; 0 if it is past, or None."""
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        if isinstance(moment, datetime):
            moment = (maybe_make_aware(moment, self.app.timezone) - self.app.now()).total_seconds()
        return max(0.0, moment or 0.0)

    def _schedule(self, sender: Any, **_: object) -> None:
        """Let a beat send as the principal of its tasks."""
        scheduler = sender.scheduler
        if self.scheduled_as is not None and scheduler.app == self.app:
            scheduler.apply_async = partial(self._send_as, self.scheduled_as, scheduler.apply_async)

    def _send_as(self, principal: Principal, send: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with serving(CurrentCall(self.guard, principal, Call(uuid()))):
            return send(*args, **options)

    def _guard_all(self, **_: object) -> None:
        for task in list(self.app.tasks.values()):
            if _RUN not in vars(task):
                self._guard_run(task)

    def _guard_run(self, task: Any) -> None:
        """Let a task run only after `task_prerun` has begun its call; calls of the task as a function run as ever."""
        inner = task.run
        is_stripped = guards_of(getattr(task, "__wrapped__", None)) and not guards_of(inner)

        @wraps(inner)
        def run(*args: Any, **kwargs: Any) -> Any:
            if is_stripped:
                raise ConfigurationError("expected no annotation `@run`, which removes decorators", place=task.name)
            request = task.request
            if not request.called_directly:
                begun = vars(request).get(_RUN)
                if not isinstance(begun, _Run):
                    raise ConfigurationError("expected the signal `task_prerun` before the task", place=task.name)
                refusal = begun.refusal
                if refusal is not None and refusal.status == 503:  # the store is unavailable, and nothing has run yet
                    raise task.retry(exc=refusal, headers={**(request.headers or {}), _HEADER: begun.header})
                if refusal is not None:
                    raise refusal
            return inner(*args, **kwargs)

        vars(task).update({_RUN: True, "run": run})

    def _begin(self, task: Any, **_: object) -> None:
        if task.app != self.app:
            return
        request, call, refusal, header = task.request, None, None, None
        try:
            header = self._sealed(task.name, request.id) if request.is_eager else _header_of(request)
            call = self._call(task, header)
        except IamGuardError as error:
            refusal = error
        except Exception as error:  # noqa: BLE001  the task must not run, and Celery ignores errors here
            refusal = InvalidClientTokenId(f"the caller of the task cannot be read: {type(error).__name__}")
        vars(request)[_RUN] = _Run(call, refusal, header, CURRENT_CALL.set(call))

    def _call(self, task: Any, header: object) -> CurrentCall:
        """Return the call of a task. Raises a `CredentialError`, or `StoreUnavailable`, if its caller is refused."""
        id = task.request.id
        facts = Call(id, path=f"{task.name}[{id}]", region=self.guard.settings.region)
        if header is None:
            return _TaskCall(self.guard, Principal.anonymous(), facts)
        if header == _ENDED:
            ended = ExpiredToken("the credential of the caller had ended when the task was sent")
            self.guard.trail.record_authentication(ended, facts)
            raise ended
        text, _, request_id = str(header).partition(" ")
        principal = self.guard.sealed_principals.open(text, audience=self._audience_of(task.name, id, request_id))
        return _TaskCall(self.guard, principal, facts._replace(request_id=request_id))

    def _end(self, task: Any, **_: object) -> None:
        run = vars(task.request).pop(_RUN, None) if task.app == self.app else None
        if isinstance(run, _Run):
            if run.call is not None:
                run.call.is_over = True
            CURRENT_CALL.reset(run.token)


def _header_of(request: Any) -> object:
    """Return the header of a message, which has it in both places, and remove it: applications log their request."""
    custom = request.headers or {}
    found = [members[_HEADER] for members in (vars(request), custom) if members.get(_HEADER) is not None]
    vars(request).pop(_HEADER, None)
    request.headers = {name: value for name, value in custom.items() if name != _HEADER}
    if any(value != found[0] for value in found):
        raise InvalidClientTokenId("the message of the task has two callers")
    return found[0] if found else None
