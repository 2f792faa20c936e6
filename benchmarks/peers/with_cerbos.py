"""Cerbos: a resource policy with the rules of `documents`, its server's query plan, and its adapter for SQLAlchemy.

The server is a program of its own, in the package `@cerbos/cerbos-linux-x64` of npm:

    npm install --prefix FOLDER @cerbos/cerbos-linux-x64@0.55.0
    BENCH_CERBOS=FOLDER/node_modules/@cerbos/cerbos-linux-x64/cerbos-linux-x64 make bench ARGS=lists

It listens on this machine only, reads the policies from a folder and sends no telemetry. There are two policies that
say the same, as two kinds of resources. `RULES` has 200 rules for each role, as one would write them; `CONDITIONS` has
two rules for each role, one that allows and one that denies, with all conditions in a list. The plan of the first is
an expression in which each rule is one level, too deep for the gRPC client, so it is fetched over HTTP; that of the
second is flat, and several times faster.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cerbos.engine.v1 import engine_pb2
from cerbos.sdk.client import CerbosClient as HttpClient
from cerbos.sdk.grpc.client import CerbosClient as GrpcClient
from cerbos.sdk.model import Principal, ResourceDesc
from cerbos_sqlalchemy import get_query
from google.protobuf.struct_pb2 import Value
from sqlalchemy import Select

from benchmarks.documents import ACCOUNT, SECRET, TAGS, Caller, Document, TagRule, groups, rules
from benchmarks.row import Skipped
from benchmarks.servers import running

VARIABLE = "BENCH_CERBOS"
RULES, CONDITIONS = "document-rules", "document-conditions"
"""The two policies, by the kind of resource that each is about."""

_ACTION = "get"
_ATTRIBUTE = "request.resource.attr."
_COLUMNS = {
    f"{_ATTRIBUTE}account": Document.account,
    f"{_ATTRIBUTE}classification": Document.classification,
    **{f"{_ATTRIBUTE}tags.{tag}": Document.tags[tag].astext for tag in TAGS},
}
_OPERATORS = {"eq": lambda column, value: column == value}
"""The adapter takes expressions such as those of the tags only with an operator of one's own."""


class Cerbos:
    """A running server. `statement` returns the documents that it lets a caller see."""

    def __init__(self, http: HttpClient, grpc: GrpcClient) -> None:
        self._http = http
        self._grpc = grpc

    def statement(self, caller: Caller, policy: str = CONDITIONS) -> Select[Any]:
        """Fetch the plan of a policy for the caller, and translate it."""
        plan: Any
        if policy == RULES:
            principal = Principal(caller.role, {caller.role}, attr={"blocked": caller.blocked})
            plan = self._http.plan_resources(_ACTION, principal, ResourceDesc(policy))
        else:
            attributes = {"blocked": Value(string_value=caller.blocked)}
            sender = engine_pb2.Principal(id=caller.role, roles=[caller.role], attr=attributes)
            plan = self._grpc.plan_resources(_ACTION, sender, engine_pb2.PlanResourcesInput.Resource(kind=policy))
        return get_query(plan, Document, _COLUMNS, operator_override_fns=_OPERATORS)


@contextmanager
def started() -> Iterator[Cerbos]:
    """Run the server with both policies. Raises `Skipped` where it is not installed."""
    program = os.environ.get(VARIABLE) or shutil.which("cerbos-linux-x64") or shutil.which("cerbos")
    if program is None or not Path(program).exists():
        raise Skipped(f"the server of Cerbos is not installed; `{VARIABLE}` is its path")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        policies = folder / "policies"
        policies.mkdir()
        for kind, written in ((RULES, _one_by_one), (CONDITIONS, _together)):
            found = [rule for role, group in _roles() for rule in written(role, group)]
            (policies / f"{kind}.json").write_text(json.dumps(_policy(kind, found)), encoding="utf-8")
        socket = f"unix:{folder / 'grpc.sock'}"
        settings = {
            "server.httpListenAddr": "127.0.0.1:PORT",
            "server.grpcListenAddr": socket,
            "storage.driver": "disk",
            "storage.disk.directory": str(policies),
            "telemetry.disabled": "true",
        }
        command = [program, "server", *(f"--set={name}={value}" for name, value in settings.items())]
        server = stack.enter_context(running(command, quiet=True))
        http = stack.enter_context(HttpClient(f"http://{server.host}"))
        yield Cerbos(http, stack.enter_context(GrpcClient(socket, tls_verify=False)))


# --- the policies ------------------------------------------------------------------------------------------------


def _policy(kind: str, written: Sequence[dict[str, Any]]) -> dict[str, Any]:
    policy = {"resource": kind, "version": "default", "rules": written}
    return {"apiVersion": "api.cerbos.dev/v1", "resourcePolicy": policy}


def _roles() -> Iterator[tuple[str, list[TagRule]]]:
    for group in groups():
        yield group.role, rules(group)


def _one_by_one(role: str, group: Sequence[TagRule]) -> Iterator[dict[str, Any]]:
    for rule in group:
        account = f'R.attr.account == "{ACCOUNT}" && ' if rule.allows else ""
        yield _rule(role, rule.allows, {"expr": account + _condition(rule)})


def _together(role: str, group: Sequence[TagRule]) -> Iterator[dict[str, Any]]:
    allowing = {"any": {"of": [{"expr": _condition(rule)} for rule in group if rule.allows]}}
    yield _rule(role, True, {"all": {"of": [{"expr": f'R.attr.account == "{ACCOUNT}"'}, allowing]}})
    yield _rule(role, False, {"any": {"of": [{"expr": _condition(rule)} for rule in group if not rule.allows]}})


def _rule(role: str, allows: bool, match: dict[str, Any]) -> dict[str, Any]:
    effect = "EFFECT_ALLOW" if allows else "EFFECT_DENY"
    return {"actions": [_ACTION], "effect": effect, "roles": [role], "condition": {"match": match}}


def _condition(rule: TagRule) -> str:
    value = "P.attr.blocked" if rule.value is None else f'"{rule.value}"'
    secret = f' && R.attr.classification == "{SECRET}"' if rule.only_secret else ""
    return f"R.attr.tags.{rule.tag} == {value}{secret}"
