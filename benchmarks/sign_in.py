"""Signing in with a password: what the duration of a refusal reveals, a crowd at once, and the cost of a hash.

Refusals: the form of the sign-in page is sent to the application in this process, with cheap hashes, since expensive
ones would hide differences; the kinds alternate in random order. It is the CPU time of all threads. The peer is the
wrong password of a person, and so is one of the kinds, which shows what chance does.

A crowd: 200 people send the form at the same moment to a server with hashes of the default cost, each over its own
connection, while a caller sends `RATE` requests a second to a guarded endpoint. Alternating with the caller alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist, median, quantiles
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.routing import Mount

from benchmarks.apps import PATH, with_api_key
from benchmarks.clock import least
from benchmarks.row import Row, Skipped
from benchmarks.servers import ADDRESS, Server, command_of, running
from benchmarks.sign_in_app import (
    ALIAS,
    CROWD,
    CSRF_TOKEN,
    FORM_COOKIE,
    PASSWORD,
    WRONG,
    guard_of,
    person_of,
    store_passwords,
)
from benchmarks.world import ACCOUNT
from iam_guard import GuardMiddleware
from iam_guard.authn.people.passwords.failed_attempts import MAX_FAILURES, guess_subject
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.guard.guard import Guard
from iam_guard.settings import PASSWORD_MEMORY
from iam_guard.store.schema import password_policies, sign_in_failures

TRIES, WARM_UP = 2_000, 50
WRONG_PASSWORD = "a wrong password"
LEVEL = 0.01
ROUNDS, RATE, REQUESTS, SINGLE = 3, 200, 1_000, 20
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALONE, ONE_BY_ONE, A_HASH, SCRYPT = "the same without them", "one by one", "a hash", "hashlib.scrypt, 16 MiB"


def measure() -> Iterator[Row]:
    """Measure refusals, then a crowd, then a hash."""
    yield from _refusals()
    yield from _crowd()
    hasher = PasswordHasher()
    digest = hasher.digest(PASSWORD)
    calls = {
        A_HASH: lambda: hasher.matches(WRONG, digest),
        SCRYPT: lambda: hashlib.scrypt(WRONG.encode(), salt=b"salt" * 4, n=2**14, r=8, p=1),
    }
    taken = least(calls)
    yield Row("a hash of the default cost", taken[A_HASH] * 1e3, "ms", taken[A_HASH] / taken[SCRYPT], SCRYPT)


# --- refusals ----------------------------------------------------------------------------------------------------


class Try(NamedTuple):
    """What is typed."""

    username: str
    password: str


KINDS: Mapping[str, Try] = {
    WRONG_PASSWORD: Try("amy", WRONG),
    "the wrong password of another person": Try("bob", WRONG),
    "an unknown user": Try("eve", PASSWORD),
    "no login profile": Try("carl", PASSWORD),
    "the right password, locked": Try("lea", PASSWORD),
    "the right password, expired for good": Try("hal", PASSWORD),
}


def _refusals() -> Iterator[Row]:
    guard = guard_of(["amy", "bob", "carl", "lea", "hal"], password_memory=8, password_passes=1)
    try:
        guard.clock = lambda: NOW
        _prepare(guard)
        app = Starlette(routes=[Mount("/signin", sign_in_pages(guard))])
        found = asyncio.run(_tried(guard, GuardMiddleware(app, guard=guard)))
    finally:
        guard.close()
    usual = found.pop(WRONG_PASSWORD)
    yield Row(f"{WRONG_PASSWORD}: median", median(usual) * 1e3, "ms", 1.0, WRONG_PASSWORD)
    for name, durations in found.items():
        ratio = median(durations) / median(usual)
        yield Row(f"{name}: the median differs by", abs(ratio - 1) * 100, "%", ratio, WRONG_PASSWORD)
        p = same_distribution(durations, usual)
        yield Row(f"{name}: Mann-Whitney p", p, "", p / LEVEL, f"the level of {LEVEL}")


def _prepare(guard: Guard) -> None:
    """Store the passwords, of which one has expired, and a policy by which only an administrator can set another."""
    store_passwords(guard, ["amy", "bob", "lea"], int(NOW.timestamp()))
    store_passwords(guard, ["hal"])
    kinds = ("Symbols", "Numbers", "UppercaseCharacters", "LowercaseCharacters")
    policy = {"MinimumPasswordLength": 8, "MaxPasswordAge": 30, "HardExpiry": True, "AllowUsersToChangePassword": True}
    policy |= {f"Require{kind}": False for kind in kinds}
    with guard.store.write_transaction() as records:
        records.insert(password_policies, account=ACCOUNT, policy=policy)


async def _tried(guard: Guard, app: Any) -> dict[str, list[float]]:
    """Return the seconds of CPU time of each kind, the first tries left out."""
    found: dict[str, list[float]] = {name: [] for name in KINDS}
    order, chance = list(KINDS), random.Random(1)
    for number in range(TRIES + WARM_UP):
        chance.shuffle(order)
        for name in order:
            _reset_failures(guard)
            body = _form(*KINDS[name])
            begun = time.process_time()
            status = await _post(app, body)
            taken = time.process_time() - begun
            if status != 400:
                raise SystemExit(f"expected the status 400 for {name}, got {status}")
            if number >= WARM_UP:
                found[name].append(taken)
    return found


def _reset_failures(guard: Guard) -> None:
    """Delete all counters but that of the locked person, so that each try counts as the first."""
    with guard.store.write_transaction() as records:
        records.delete(sign_in_failures)
        subject = guess_subject(person_of(records, "lea"), "", "password")
        records.insert(sign_in_failures, subject=subject, failures=MAX_FAILURES, last=0)


async def _post(app: Any, body: bytes) -> int:
    """Send the form to an ASGI application; return the status of the response."""
    headers = [(b"host", b"localhost"), *((name.encode(), value.encode()) for name, value in _HEADERS.items())]
    scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST"}
    scope |= {
        "scheme": "http",
        "path": "/signin/",
        "raw_path": b"/signin/",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
    }
    scope |= {"client": ("192.0.2.7", 50_000), "server": ("localhost", 80)}
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return int(statuses[0])


_HEADERS = {"content-type": "application/x-www-form-urlencoded", "cookie": f"iam-guard-dev-form={FORM_COOKIE}"}


def _form(username: str, password: str) -> bytes:
    fields = {"csrf_token": CSRF_TOKEN, "account": ALIAS, "username": username, "password": password}
    return urlencode(fields).encode()


def same_distribution(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p of Mann and Whitney's test, by its normal approximation without ties."""
    ranked = sorted([(value, True) for value in first] + [(value, False) for value in second])
    ranks = sum(rank for rank, (_, is_first) in enumerate(ranked, 1) if is_first)
    m, n = len(first), len(second)
    deviation = (m * n * (m + n + 1) / 12) ** 0.5
    distance = abs(ranks - m * (m + 1) / 2 - m * n / 2) / deviation
    return 2 * (1 - NormalDist().cdf(distance))


# --- a crowd -----------------------------------------------------------------------------------------------------


class Crowd(NamedTuple):
    """What was seen in some rounds: seconds, statuses, and KiB of memory added."""

    late: list[float]
    late_alone: list[float]
    guarded: list[float]
    guarded_alone: list[float]
    sign_ins: list[float]
    single: list[float]
    refused: list[bool]
    memory: list[float]


def _crowd() -> Iterator[Row]:
    if not Path("/proc/self/clear_refs").exists():
        raise Skipped("it takes Linux, for the memory of a process")
    with running(command_of("sign_in_app:served"), quiet=True) as server:
        seen = Crowd([], [], [], [], [], [], [], [])
        with ThreadPoolExecutor(1) as crowd:
            for _ in range(ROUNDS):
                _round(server, crowd, seen)
    what = f"{len(CROWD)} at once"
    hash_kib = float(PASSWORD_MEMORY)
    for words, late, alone in (("median", 49, 49), ("99th percentile", 98, 98)):
        value, peer = quantiles(seen.late, n=100)[late], quantiles(seen.late_alone, n=100)[alone]
        yield Row(f"{what}: the event loop late, {words}", value * 1e3, "ms", value / peer, ALONE)
    worst, worst_alone = max(seen.late), max(seen.late_alone)
    yield Row(f"{what}: the event loop late, maximum", worst * 1e3, "ms", worst / worst_alone, ALONE)
    guarded, alone_guarded = quantiles(seen.guarded, n=100)[98], quantiles(seen.guarded_alone, n=100)[98]
    yield Row(f"{what}: a guarded request, 99th percentile", guarded * 1e3, "ms", guarded / alone_guarded, ALONE)
    single = median(seen.single)
    for words, share in (("median", 49), ("95th percentile", 94)):
        value = quantiles(seen.sign_ins, n=100)[share]
        yield Row(f"{what}: a sign-in, {words}", value * 1e3, "ms", value / single, f"{ONE_BY_ONE}, median")
    slow = quantiles(seen.single, n=100)[94]
    yield Row("one by one: a sign-in, 95th percentile", slow * 1e3, "ms", slow / single, f"{ONE_BY_ONE}, median")
    refused = sum(seen.refused) / len(seen.refused) * 100
    yield Row(f"{what}: answered 503 with Retry-After", refused, "%", refused / 100, "all")
    memory = max(seen.memory)
    yield Row(f"{what}: memory added", memory / 1024, "MiB", memory / hash_kib, A_HASH)


def _round(server: Server, crowd: ThreadPoolExecutor, seen: Crowd) -> None:
    """Measure the caller alone, sign-ins one by one, and the crowd with the caller."""
    _lateness(server)
    seen.guarded_alone.extend(asyncio.run(_call(server, crowd.submit(time.sleep, REQUESTS / RATE))))
    seen.late_alone.extend(_lateness(server))
    for name in CROWD[:SINGLE]:
        seen.single.append(asyncio.run(_sign_in(server, name))[0])
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", encoding="ascii")  # the peak begins again
    before = _kib(server, "VmRSS")
    _lateness(server)
    seen.guarded.extend(asyncio.run(_call(server, signing := crowd.submit(asyncio.run, _together(server)))))
    seen.late.extend(_lateness(server))
    seen.memory.append(_kib(server, "VmHWM") - before)
    for taken, is_refused in signing.result():
        seen.refused.append(is_refused)
        if not is_refused:
            seen.sign_ins.append(taken)


async def _together(server: Server) -> list[tuple[float, bool]]:
    return await asyncio.gather(*(_sign_in(server, name) for name in CROWD))


async def _sign_in(server: Server, name: str) -> tuple[float, bool]:
    """Sign in; return the seconds, and whether it was refused for now."""
    body = _form(name, PASSWORD)
    headers = {"host": server.host, "connection": "close", "content-length": str(len(body)), **_HEADERS}
    lines = ["POST /signin/ HTTP/1.1", *(f"{header}: {value}" for header, value in headers.items()), "", ""]
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection(ADDRESS, server.port)
    writer.write("\r\n".join(lines).encode() + body)
    answer = await reader.read()
    taken = time.perf_counter() - begun
    writer.close()
    is_refused = answer.startswith(b"HTTP/1.1 503") and b"\r\nretry-after: " in answer
    if not (is_refused or answer.startswith(b"HTTP/1.1 303")):
        raise SystemExit(f"expected the status 303 or 503, got {answer[:200]!r}")
    return taken, is_refused


async def _call(server: Server, work: Any) -> list[float]:
    """Send guarded requests, `RATE` a second, until the work ends; return their seconds."""
    request = [f"GET {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in with_api_key(server.host).items())]
    reader, writer = await asyncio.open_connection(ADDRESS, server.port)
    found: list[float] = []
    begun = time.perf_counter()
    while not work.done():
        due = begun + (len(found) + 1) / RATE
        sent = time.perf_counter()
        writer.write("\r\n".join([*request, "", ""]).encode())
        answer = await reader.readuntil(b"ok")
        found.append(time.perf_counter() - sent)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"expected the status 200, got {answer[:200]!r}")
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    writer.close()
    return found


def _lateness(server: Server) -> list[float]:
    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(ADDRESS, server.port)
        writer.write(f"GET /lateness HTTP/1.1\r\nhost: {server.host}\r\nconnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    found: list[float] = json.loads(asyncio.run(ask()).partition(b"\r\n\r\n")[2])
    return found


def _kib(server: Server, field: str) -> float:
    """Return a field of the kernel's about the memory of a server."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return float(next(line for line in status.splitlines() if line.startswith(f"{field}:")).split()[1])
