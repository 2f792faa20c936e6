"""NATS JetStream, on real servers: delivery, restarts, deduplication, full streams, slow consumers, credentials."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nats
import nkeys
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DiscardPolicy

from iam_guard.audit.consumer.subscription import Delivery, Offset
from iam_guard.audit.shipping.destination import Refused, Unreachable
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.shipping.to_nats import JetStream, connector, message_id, subject_of
from tests.audit.pipelines import ROOT, eventually
from tests.audit.shipping.destinations import PATIENT, ship_once, shippers_to
from tests.audit.shipping.nats_servers import UniqueStream, private_server, query_jetstream, shared_server
from tests.audit.shipping.test_to_webhook import self_signed
from tests.audit.trails import record, writer_in, written
from tests.tables import table


@pytest.fixture(scope="module")
def server() -> str:
    return shared_server()


@pytest.fixture
def target(server: str) -> Iterator[UniqueStream]:
    found = UniqueStream(server)
    yield found
    try:
        found.drop()
    except nats.js.errors.NotFoundError:
        return


def broker(text: str) -> JetStream:
    return connector(SinkUrl.parse(text))()


def expected_ids(count: int, begin: int = 0) -> list[str]:
    return [f"id-{number}" for number in range(begin, count)]


def ids(target: UniqueStream, **login: Any) -> list[str]:
    """Return the ids of the decisions in the stream, in order."""
    found = [json.loads(message.data) for message in target.messages(**login)]
    return [each["eventID"] for each in found if "filler" in each]


# --- subjects and ids ------------------------------------------------------------------------------------------------


@table(
    ("members", "subject"),
    [
        (
            {"eventSource": "docs", "eventName": "GetDocument", "recipientAccountId": "111122223333"}
            | {"iamGuard": {"kind": "decision", "outcome": "ImplicitlyDenied"}},
            "a.b.111122223333.docs.GetDocument.ImplicitlyDenied",
        ),
        (
            {"eventSource": "iam.amazonaws.com", "eventName": "CreateUser", "userIdentity": {"accountId": "1"}}
            | {"recipientAccountId": None, "iamGuard": {"kind": "decision", "outcome": "Allowed"}},
            "a.b.1.iam.CreateUser.Allowed",
        ),
        ({"eventName": "AuditGap", "iamGuard": {"kind": "audit_gap"}}, "a.b._._.AuditGap.audit_gap"),
        ({"eventSource": "x.>", "eventName": "*\r\nPUB y"}, "a.b._.x__.___PUB_y._"),
    ],
)
def test_subject_has_account_service_action_outcome(members: dict[str, Any], subject: str) -> None:
    assert subject_of("a.b", members) == subject


@given(
    st.dictionaries(
        st.sampled_from(["eventSource", "eventName", "recipientAccountId", "userIdentity", "iamGuard", "eventID"]),
        st.text() | st.none() | st.integers() | st.dictionaries(st.just("outcome"), st.text()),
    )
)
def test_subject_of_any_record_has_six_tokens(members: dict[str, Any]) -> None:
    """So a record can't inject another subject, and consumers' wildcards match."""
    subject = subject_of("a.b", members)
    assert len(subject.split(".")) == 6
    assert all(
        each.replace("_", "").replace("-", "").isalnum() or set(each) <= {"_", "-"} for each in subject.split(".")
    )
    assert subject.isascii()
    identifier = message_id(Delivery(Offset("docs-x-1-2", 7), members))
    assert identifier.isascii()
    assert identifier.isprintable()
    assert identifier.endswith("/docs-x-1-2/7")


# --- delivery --------------------------------------------------------------------------------------------------------


def test_nats_messages_are_in_trail_order(target: UniqueStream, tmp_path: Path) -> None:
    shard = written(tmp_path, 60)
    shippers = ship_once(tmp_path, *open_sinks([SinkUrl.parse(target.sink("&batch=25"))]))
    found = target.messages()
    records = [json.loads(each.data) for each in found]
    assert [each["iamGuard"]["sequence"] for each in records] == list(range(len(records)))
    assert shippers.usage()["nats"][:4] == ("ended", 0, len(records), 0)
    for message, each in zip(found, records, strict=True):
        assert message.subject == subject_of(target.prefix, each)
        assert message.headers["Nats-Msg-Id"] == f"{each['eventID']}/{shard.name}/{each['iamGuard']['sequence']}"
        assert message.headers["Content-Type"] == "application/json"


def test_nats_created_stream_has_limits_and_deduplicates(target: UniqueStream, batch: Sequence[Delivery]) -> None:
    sink = broker(target.sink("&max_age=3600"))
    sink.send(batch)
    sink.send(batch)
    sink.close()

    async def config(stream: JetStreamContext) -> Any:
        return (await stream.stream_info(target.stream)).config

    found = query_jetstream(target.url, config)
    assert (found.max_bytes, found.max_age, found.discard, found.subjects) == (
        *(50_000_000, 3600.0, DiscardPolicy.NEW),
        [f"{target.prefix}.>"],
    )
    assert len(target.messages()) == len(batch)  # and what comes twice it keeps once


def test_nats_subject_without_stream_is_unreachable(server: str, batch: Sequence[Delivery]) -> None:
    lost = UniqueStream(server)
    sink = broker(f"{lost.url}/{lost.prefix}")
    with pytest.raises(Unreachable, match="no stream has the subject"):
        sink.send(batch)
    sink.close()


def test_nats_other_stream_does_not_confirm(target: UniqueStream, batch: Sequence[Delivery]) -> None:
    """Another stream may have the same subjects with other limits."""
    target.make(max_bytes=10_000_000)
    sink = broker(f"{target.url}/{target.prefix}#create={target.stream}_OTHER")
    with pytest.raises(Unreachable, match="subjects overlap"):
        sink.send(batch)
    sink.close()


# --- limits ----------------------------------------------------------------------------------------------------------


def test_nats_full_stream_is_retried(target: UniqueStream, tmp_path: Path) -> None:
    """The lag grows, no record is lost, and shipping continues when there is space."""
    target.make(max_msgs=10, discard=DiscardPolicy.NEW, max_bytes=10_000_000)
    written(tmp_path, 30)
    shippers = shippers_to(tmp_path, *open_sinks([SinkUrl.parse(target.sink("&batch=8"))]), options=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["nats"].state == "failing")
    assert "maximum messages exceeded" in str(shippers.usage()["nats"].problem)
    first = target.messages()

    async def make_room(stream: JetStreamContext) -> None:
        config = (await stream.stream_info(target.stream)).config
        await stream.update_stream(config.evolve(max_msgs=1000))

    query_jetstream(target.url, make_room)
    eventually(lambda: shippers.usage()["nats"].lag == 0)
    shippers.close()
    assert len(first) == 10
    assert sorted(ids(target)) == sorted(expected_ids(30))


def test_nats_record_too_large_for_stream_is_listed(target: UniqueStream, tmp_path: Path) -> None:
    target.make(max_msg_size=2000, max_bytes=10_000_000)
    writer = writer_in(tmp_path)
    writer.append([record(number, filler="x" * (3000 if number == 5 else 0)) for number in range(10)])
    writer.close()
    shippers = ship_once(tmp_path, *open_sinks([SinkUrl.parse(target.sink())]))
    assert ids(target) == [each for each in expected_ids(10) if each != "id-5"]
    assert shippers.usage()["nats"].refused == 1


def test_nats_record_too_large_for_server_is_refused(tmp_path: Path, batch: Sequence[Delivery]) -> None:
    """It is not sent, because the server would close the connection."""
    with private_server(tmp_path / "nats", config="max_payload: 4096") as server:
        own = UniqueStream(server.url)
        sink = broker(own.sink())
        offset, big = batch[1]
        with pytest.raises(Refused, match="larger than the server's limit"):
            sink.send([batch[0], Delivery(offset, big | {"filler": "x" * 5000})])
        sink.send(batch)
        sink.close()
        assert ids(own) == expected_ids(10)


def test_nats_slow_consumer_gets_all_records(target: UniqueStream, tmp_path: Path) -> None:
    """It takes one record at a time, disconnects in between, and gets unacknowledged records again."""
    written(tmp_path, 40)
    ship_once(tmp_path, *open_sinks([SinkUrl.parse(target.sink())]))

    async def consume(stream: JetStreamContext, count: int, *, skip_ack: bool) -> list[str]:
        config = ConsumerConfig(ack_wait=0.3, max_ack_pending=1)
        subscription = await stream.pull_subscribe(f"{target.prefix}.>", "slow", target.stream, config)
        found: list[str] = []
        while len(found) < count:
            [message] = await subscription.fetch(1, timeout=10)
            record = json.loads(message.data)
            is_ours = "filler" in record
            found += [record["eventID"]] if is_ours else []
            if not (is_ours and skip_ack):
                await message.ack_sync()
        return found

    got = query_jetstream(target.url, lambda stream: consume(stream, 15, skip_ack=False))
    again = query_jetstream(target.url, lambda stream: consume(stream, 2, skip_ack=True))
    got += query_jetstream(target.url, lambda stream: consume(stream, 25, skip_ack=False))
    assert again == ["id-15", "id-15"]
    assert got == expected_ids(40)


# --- outages ---------------------------------------------------------------------------------------------------------


def test_nats_killed_server_gets_all_records_once(tmp_path: Path) -> None:
    """No record is dropped during the outage, and the stream has each record once."""
    trail = tmp_path / "trail"
    writer = writer_in(trail)
    with private_server(tmp_path / "nats") as server:
        own = UniqueStream(server.url)
        sinks = open_sinks([SinkUrl.parse(own.sink("&batch=7&timeout=2"))])
        shippers = shippers_to(trail, *sinks, options=PATIENT)
        shippers.start()
        for life in range(3):
            writer.append([record(number) for number in range(life * 100, life * 100 + 100)])
            writer.checkpoint()
            eventually(lambda: shippers.usage()["nats"].delivered > life * 100 + 30)  # noqa: B023
            server.kill()
            eventually(lambda: shippers.usage()["nats"].state in ("failing", "shipping"))
            server.start()
        writer.close()
        eventually(lambda: shippers.usage()["nats"].lag == 0 and shippers.usage()["nats"].delivered >= 300)
        shippers.close()
        assert sorted(ids(own), key=lambda each: int(each[3:])) == expected_ids(300)
        assert shippers.usage()["nats"].refused == 0


def test_nats_unreachable_server_shows_in_lag(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trail = tmp_path / "trail"
    written(trail, 20)
    caplog.set_level(logging.DEBUG)
    with private_server(tmp_path / "nats") as server:
        own = UniqueStream(server.url)
        server.kill()
        shippers = shippers_to(trail, *open_sinks([SinkUrl.parse(own.sink("&timeout=2"))]), options=PATIENT)
        shippers.start()
        eventually(lambda: shippers.usage()["nats"].failures > 1)
        usage = shippers.usage()["nats"]
        assert (usage.state, usage.delivered) == ("failing", 0)
        assert usage.lag is not None
        assert usage.lag > 20
        server.start()
        eventually(lambda: shippers.usage()["nats"].lag == 0)
        shippers.close()
        assert ids(own) == expected_ids(20)
    assert not [each for each in caplog.records if each.name.startswith("nats")]


KILLED = """
import os, sys
from pathlib import Path
from iam_guard.audit.shipping import to_nats
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.consumer.subscription import Subscription
from tests.audit.shipping.destinations import ship_once
def die(*_):
    os.kill(os.getpid(), 9)
Subscription.ack = lambda self, *offsets: die() if offsets else None
ship_once(Path(sys.argv[1]), *open_sinks([SinkUrl.parse(sys.argv[2])]))
"""


def test_nats_crash_before_ack_leaves_no_duplicate(target: UniqueStream, tmp_path: Path) -> None:
    """The batch is sent again, and the stream drops the duplicates by id."""
    written(tmp_path, 30)
    text = target.sink("&batch=20")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), text], cwd=ROOT, check=False, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert 0 < len(ids(target)) < 30
    ship_once(tmp_path, *open_sinks([SinkUrl.parse(text)]))
    assert ids(target) == expected_ids(30)


def test_nats_idle_connection_is_reconnected(tmp_path: Path, batch: Sequence[Delivery]) -> None:
    with private_server(tmp_path / "nats") as server:
        own = UniqueStream(server.url)
        sink = broker(own.sink())
        sink.send(batch[:5])
        server.kill()
        server.start()
        sink._used -= 3600
        sink.send(batch[5:])
        sink.close()
        assert ids(own) == expected_ids(10)


# --- credentials -----------------------------------------------------------------------------------------------------

USERS = """
authorization {
  users: [{ user: "ship", password: "p/w:1@x" }]
}
"""
TOKEN = 'authorization { token: "t0ken-of-ours" }'


@pytest.mark.parametrize(
    ("config", "login", "known"),
    [
        (USERS, "ship:p%2Fw%3A1%40x@", {"user": "ship", "password": "p/w:1@x"}),
        (TOKEN, "t0ken-of-ours@", {"token": "t0ken-of-ours"}),
        (TOKEN, "file", {"token": "t0ken-of-ours"}),
    ],
)
def test_nats_credentials_authenticate_and_stay_secret(
    tmp_path: Path,
    batch: Sequence[Delivery],
    config: str,
    login: str,
    known: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with private_server(tmp_path / "nats", config=config) as server:
        own = UniqueStream(server.url)
        options = ""
        if login == "file":
            path = tmp_path / "token"
            path.write_text("t0ken-of-ours\n")
            path.chmod(0o600)
            login, options = "", f"&token_file={path}"
        text = own.sink(options).replace("nats://", f"nats://{login}")
        sink = broker(text)
        sink.send(batch)
        sink.close()
        assert ids(own, **known) == expected_ids(10)
        wrong = broker(own.sink().replace("nats://", "nats://ship:pl4nted@"))
        with pytest.raises(Unreachable) as caught:
            wrong.send(batch)
        wrong.close()
    assert "pl4nted" not in str(caught.value)
    assert "authentication failed" in str(caught.value)
    assert "pl4nted" not in caplog.text
    assert "t0ken" not in repr(sink._server)
    assert "p/w" not in repr(sink._server)


def token_of(signer: nkeys.KeyPair, subject: bytes, claims: dict[str, Any]) -> str:
    """Sign claims as NATS does (its tokens are JWTs that nkeys sign)."""
    body = {
        "jti": "x",
        "iat": 1_700_000_000,
        "iss": signer.public_key.decode(),
        "name": "test",
        "sub": subject.decode(),
    }
    parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, body | {"nats": claims | {"version": 2}}]
    signed = ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{signed}.{urlsafe_b64encode(signer.sign(signed.encode())).decode().rstrip('=')}"


def test_nats_credentials_file_authenticates(tmp_path: Path, batch: Sequence[Delivery]) -> None:
    """As `nsc` creates it: the user's signed token, and the seed that signs the server's challenge."""
    of_account = nkeys.PREFIX_BYTE_ACCOUNT
    kinds = (nkeys.PREFIX_BYTE_OPERATOR, of_account, of_account, nkeys.PREFIX_BYTE_USER)
    seeds = [nkeys.encode_seed(os.urandom(32), kind) for kind in kinds]
    operator, system, account, user = (nkeys.from_seed(bytearray(seed)) for seed in seeds)
    names = "subs data payload imports exports conn leaf mem_storage disk_storage streams consumer".split()
    limits = dict.fromkeys(names, -1) | {"wildcards": True}
    system_token = token_of(operator, system.public_key, {"type": "account"})
    account_token = token_of(operator, account.public_key, {"type": "account", "limits": limits})
    user_token = token_of(account, user.public_key, {"type": "user", "subs": -1, "data": -1, "payload": -1})
    creds = tmp_path / "user.creds"
    creds.write_text(
        f"-----BEGIN NATS USER JWT-----\n{user_token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seeds[3].decode()}\n------END USER NKEY SEED------\n"
    )
    creds.chmod(0o600)
    config = (
        f"operator: {token_of(operator, operator.public_key, {'type': 'operator'})}\nresolver: MEMORY\n"
        f"system_account: {system.public_key.decode()}\nresolver_preload: {{\n"
        f"{system.public_key.decode()}: {system_token}\n{account.public_key.decode()}: {account_token} }}\n"
    )
    with private_server(tmp_path / "nats", config=config) as server:
        own = UniqueStream(server.url)
        sink = broker(own.sink(f"&creds={creds}"))
        sink.send(batch)
        sink.close()
        assert ids(own, user_credentials=str(creds)) == expected_ids(10)
        unauthenticated = broker(own.sink())
        with pytest.raises(Unreachable, match="authentication failed"):
            unauthenticated.send(batch)
        unauthenticated.close()


def test_nats_tls_certificate_is_verified(tmp_path: Path, batch: Sequence[Delivery]) -> None:
    pem = self_signed(tmp_path)
    config = f'tls {{ cert_file: "{pem}", key_file: "{pem}" }}'
    with private_server(tmp_path / "nats", config=config) as server:
        own = UniqueStream(server.url)
        text = own.sink().replace("nats://", "nats+tls://")
        untrusting = broker(text)
        with pytest.raises(Unreachable):
            untrusting.send(batch)
        untrusting.close()
        sink = broker(f"{text}&ca_file={pem}")
        sink.send(batch)
        sink.close()
