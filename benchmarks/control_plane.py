"""The calls per second of the IAM API on our server, compared with moto's: the same calls, alternating.

Each operation has its own pair of servers, whose account has 100 users and the entities that the operation needs. Ours
is `iam-guard serve` with default settings, one process on an SQLite file; an attached policy of the caller allows the
call, so it is authenticated and decided. moto keeps all data in memory, and does not authenticate or authorize. The
requests are created and signed before the measurement, and sent by a separate process. A rate is the median of the
rounds, its ratio the median of theirs; CPU time and latencies are of all rounds together.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from benchmarks.aws_requests import Ask, signed_requests
from benchmarks.row import Row, Skipped
from benchmarks.servers import IAM_GUARD, ROOT, Server, running
from benchmarks.world import ACCOUNT

OURS, PEER = "iam_guard", "moto"
USERS = 100
ROUNDS = 7
CONNECTIONS = (1, 8)
STARTS = 7
KEY = ("AKIABENCHADA00000001", "ada-bench-secret-0123456789abcdefghijklm")

_READS, _LONG, _WRITES = 200, 20, 60
"""Requests of one round. All entities created in all rounds stay within the quotas of an account and of a user."""
_MANAGED = 10
"""The maximum number of policies attached to a user."""

# --- what is measured --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measured:
    """One row: an operation, the parameters of its call number n, the entities it needs besides the users."""

    operation: str
    parameters: Callable[[int], Mapping[str, Any]] = lambda n: {}
    before: tuple[Ask, ...] = ()
    requests: int = _WRITES


def _user(n: int) -> str:
    return f"person-{n % USERS:03}"


def _policy_arn(n: int) -> str:
    return f"arn:aws:iam::{ACCOUNT}:policy/Managed{n}"


def _document(**statement: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


_TRUST = _document(Principal={"AWS": ACCOUNT}, Action="sts:AssumeRole")
_ACCESS = _document(Action=["docs:Get", "docs:List"], Resource=f"arn:aws:docs:us-east-1:{ACCOUNT}:document/*")
_INLINE = _document(Action="docs:Get", Resource="*")

_PEOPLE = tuple(Ask("CreateUser", {"UserName": _user(n)}) for n in range(USERS))
_ROLES = tuple(Ask("CreateRole", {"RoleName": _user(n), "AssumeRolePolicyDocument": _TRUST}) for n in range(USERS))
_POLICIES = tuple(
    Ask("CreatePolicy", {"PolicyName": f"Managed{n}", "PolicyDocument": _ACCESS}) for n in range(_MANAGED)
)
_ATTACHED = tuple(
    Ask("AttachUserPolicy", {"UserName": _user(n), "PolicyArn": _policy_arn(n % _MANAGED)}) for n in range(USERS)
)

MEASURED = (
    Measured("GetUser", lambda n: {"UserName": _user(n)}, requests=_READS),
    Measured("GetRole", lambda n: {"RoleName": _user(n)}, _ROLES, requests=_READS),
    Measured("ListUsers", requests=_LONG),
    Measured("GetAccountAuthorizationDetails", before=_POLICIES + _ATTACHED, requests=_LONG),
    Measured("CreateUser", lambda n: {"UserName": f"new-{n}"}),
    Measured("CreateRole", lambda n: {"RoleName": f"new-{n}", "AssumeRolePolicyDocument": _TRUST}),
    Measured("CreatePolicy", lambda n: {"PolicyName": f"new-{n}", "PolicyDocument": _ACCESS}),
    Measured("AttachUserPolicy", lambda n: {"UserName": _user(n), "PolicyArn": _policy_arn(n // USERS)}, _POLICIES),
    Measured(
        "PutUserPolicy",
        lambda n: {"UserName": _user(n), "PolicyName": f"inline-{n // USERS}", "PolicyDocument": _INLINE},
    ),
)

SEED = f"""
version: 1
accounts:
  - id: "{ACCOUNT}"
    policies:
      - name: Operators
        document:
          Version: "2012-10-17"
          Statement:
            - {{Effect: Allow, Action: ["iam:Get*", "iam:List*"], Resource: "*"}}
            - Effect: Allow
              Action: ["iam:Attach*", "iam:Create*", "iam:Put*"]
              Resource:
                - arn:aws:iam::{ACCOUNT}:user/*
                - arn:aws:iam::{ACCOUNT}:role/*
                - arn:aws:iam::{ACCOUNT}:policy/*
              Condition: {{IpAddress: {{"aws:SourceIp": 127.0.0.0/8}}}}
            - {{Effect: Deny, Action: "iam:*", Resource: "arn:aws:iam::{ACCOUNT}:user/founders/*"}}
    users:
      - {{name: ada, attached: [Operators], access_keys: [{{id: {KEY[0]}, secret: {KEY[1]}}}]}}
"""
"""The caller and its permissions."""

# --- measuring ---------------------------------------------------------------------------------------------------


def measure() -> Iterator[Row]:
    """Measure the start of both servers, then each operation with one connection and with several."""
    if find_spec("flask") is None:
        raise Skipped("moto's server needs flask")
    yield from _starts()
    for measured in MEASURED:
        yield from _rows(measured)


def _starts() -> Iterator[Row]:
    """Measure from the start of the process to its first response, ours with an empty store in memory."""
    ways = {OURS: lambda: served("--store", "sqlite://"), PEER: _motos}
    rounds = [{name: _seconds_to_start(run) for name, run in ways.items()} for _ in range(STARTS)]
    ours, theirs = (median(each[name] for each in rounds) for name in (OURS, PEER))
    yield Row("start of the server, until its first answer", ours, "s", ours / theirs, PEER)


def _seconds_to_start(run: Callable[[], AbstractContextManager[Server]]) -> float:
    with run() as server:
        return server.seconds_to_start


def served(*options: str) -> AbstractContextManager[Server]:
    return running([*IAM_GUARD, "serve", "--port", "PORT", *options])


def _motos() -> AbstractContextManager[Server]:
    """Run moto's server, without the line that it writes for every request."""
    command = [sys.executable, "-m", "moto.server", "--port", "PORT"]
    return running(command, {"MOTO_ACCOUNT_ID": ACCOUNT}, quiet=True)


def _rows(measured: Measured) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        seed = Path(folder, "seed.yaml")
        seed.write_text(SEED, encoding="utf-8")
        ways = {OURS: served("--store", f"sqlite:///{folder}/iam.db", "--seed", str(seed)), PEER: _motos()}
        servers = {name: stack.enter_context(run) for name, run in ways.items()}
        for server in servers.values():
            _send(server, list(signed_requests(_PEOPLE + measured.before, server.host, KEY)), 1)
        requests = {name: _requests(measured, server) for name, server in servers.items()}
        for connections in CONNECTIONS:
            rounds = [
                {
                    name: _send(server, list(islice(requests[name], measured.requests)), connections)
                    for name, server in servers.items()
                }
                for _ in range(ROUNDS)
            ]
            ours, theirs = ([each[name] for each in rounds] for name in (OURS, PEER))
            yield from _compared(f"{measured.operation}, {connections} at a time", ours, theirs)


def _requests(measured: Measured, server: Server) -> Iterator[bytes]:
    """Yield the requests of each round."""
    count = len(CONNECTIONS) * ROUNDS * measured.requests
    asked = (Ask(measured.operation, measured.parameters(n)) for n in range(count))
    return signed_requests(asked, server.host, KEY)


class Round(NamedTuple):
    """The times of a round in seconds: wall-clock time, the server's CPU time, and the latency of each request."""

    seconds: float
    cpu_seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds


def _send(server: Server, requests: Sequence[bytes], connections: int) -> Round:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as file:
        json.dump([request.decode("latin-1") for request in requests], file)
        file.flush()
        command = [sys.executable, "-m", "benchmarks.control_plane_child"]
        before = server.cpu_seconds()
        done = subprocess.run(
            [*command, str(server.port), str(connections), file.name],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        cpu_seconds = server.cpu_seconds() - before
    return Round(cpu_seconds=cpu_seconds, **json.loads(done.stdout))


def _compared(name: str, ours: Sequence[Round], theirs: Sequence[Round]) -> Iterator[Row]:
    rate = median(each.rate for each in ours)
    share = median(our.rate / their.rate for our, their in zip(ours, theirs, strict=True))
    yield Row(f"{name}: requests a second", rate, "1/s", share, PEER)
    for what, of in _TIMES.items():
        yield Row(f"{name}: {what}", of(ours) * 1e3, "ms", of(ours) / of(theirs), PEER)


def _cpu_time(rounds: Sequence[Round]) -> float:
    return sum(each.cpu_seconds for each in rounds) / sum(len(each.latencies) for each in rounds)


def _percentile(rounds: Sequence[Round], percent: int) -> float:
    return quantiles([seconds for each in rounds for seconds in each.latencies], n=100)[percent - 1]


_TIMES: Mapping[str, Callable[[Sequence[Round]], float]] = {
    "CPU time of a request": _cpu_time,
    "half are answered within": lambda rounds: _percentile(rounds, 50),
    "95 % are answered within": lambda rounds: _percentile(rounds, 95),
}
