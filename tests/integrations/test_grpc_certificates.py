# ruff: noqa: N802  # methods are named as in the service definition
"""Client certificates over gRPC: mutual TLS on loopback, with own authorities."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from iam_guard import current_decision, current_principal, open_guard, public
from tests.authn.authorities import SERVER, Party, authority, make
from tests.integrations.application import DOCUMENT, docs
from tests.integrations.contract import needed
from tests.tables import table

needed("grpc", "iam_guard_grpc")

import grpc  # noqa: E402

from tests.integrations.grpc_application import SERVERS, UNARY, Answer, Document, call, handlers, trailing  # noqa: E402

ACCOUNT = "111122223333"
ROBOT = f"arn:aws:sts::{ACCOUNT}:assumed-role/Robot/beef"
FLEET, UNTRUSTED_AUTHORITY = authority("CN=Fleet"), authority("CN=Untrusted")
ISSUING = authority("CN=Issuing", FLEET)
SERVING = make("CN=localhost", FLEET, names=[x509.DNSName("localhost")], usages=(SERVER,))
DIRECT = make("CN=robot-7", FLEET, serial=0xBEEF)
GOOD = make("CN=robot-7", ISSUING, serial=0xBEEF)
UNTRUSTED = make("CN=robot-7", UNTRUSTED_AUTHORITY)
API_SECRET = "ritasecret0123456789abcdefghijklmnopqrst"
READS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "rolesanywhere.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        }
    ],
}
ACME: dict[str, Any] = {
    "id": ACCOUNT,
    "name": "acme",
    "users": [{"name": "rita", "inline": {"R": READS}, "api_keys": [{"id": "RITA", "secret": API_SECRET}]}],
    "roles": [{"name": "Robot", "trust": TRUST, "inline": {"Reads": READS}}],
    "trust_anchors": [{"name": "fleet", "certificates": FLEET.pem}],
    "certificate_profiles": [{"name": "robots", "roles": ["Robot"]}],
}


class Robots:
    @docs.requires("GetDocument", resource=DOCUMENT)
    def Get(self, request: Any, context: Any) -> Any:
        decision = current_decision()
        assert decision is not None
        return Answer(json=json.dumps([current_principal().arn, decision.request.value("aws:securetransport")]))

    @docs.requires("PutDocument", resource=DOCUMENT)
    def Put(self, request: Any, context: Any) -> Any: ...

    @public
    def Health(self, request: Any, context: Any) -> Any:
        return Answer(json=json.dumps(current_principal().arn))


class AioRobots(Robots):
    @docs.requires("GetDocument", resource=DOCUMENT)
    async def Get(self, request: Any, context: Any) -> Any:
        decision = current_decision()
        assert decision is not None
        return Answer(json=json.dumps([current_principal().arn, decision.request.value("aws:securetransport")]))


def pem(*parties: Party) -> bytes:
    return "".join(party.pem for party in parties).encode()


@contextlib.contextmanager
def connected(
    kind: str, folder: Path, party: Party | None, *, asks: bool = True, sources: tuple[str, ...] = ("tls",)
) -> Iterator[Any]:
    """Serve with TLS, and connect with a certificate; gRPC verifies it by authorities that include an untrusted one."""
    (folder / "iam.json").write_text(json.dumps({"version": 1, "accounts": [ACME]}))
    audit = str(folder / "audit.jsonl")
    guard = open_guard(folder / "iam.json", services=[docs], audit=audit, client_certificates=sources)
    serve, interceptor, _ = SERVERS[kind]
    roots = pem(FLEET, UNTRUSTED_AUTHORITY)
    server = grpc.ssl_server_credentials([(SERVING.key_pem.encode(), pem(SERVING))], roots, asks)
    own = (party.key_pem.encode(), pem(*(Party(one, None) for one in party.chain))) if party else (None, None)
    client = grpc.ssl_channel_credentials(roots, *own)
    service = handlers(Robots() if kind == "sync" else AioRobots(), dict.fromkeys(("Get", "Put", "Health"), UNARY))
    options = (("grpc.ssl_target_name_override", "localhost"),)
    with (
        contextlib.closing(guard),
        serve(service, interceptors=[interceptor(guard)], credentials=server) as address,
        grpc.secure_channel(address, client, options) as channel,
    ):
        yield channel


@table("kind", ["sync", "aio"])
@table("party", [DIRECT, GOOD], ids=["direct", "with an intermediate"])
def test_certificate_authenticates_the_caller(tmp_path: Path, kind: str, party: Party) -> None:
    with connected(kind, tmp_path, party) as channel:
        assert call(channel, "Get", Document(document_id="7"))[0] == [[ROBOT, "true"]]
        assert call(channel, "Put", Document(document_id="7"))[1].code() is grpc.StatusCode.PERMISSION_DENIED
        key = (("authorization", f"Bearer igk_RITA_{API_SECRET}_2VtVkd"),)
        _, done = call(channel, "Get", Document(document_id="7"), key)  # two credentials
        assert (done.code(), trailing(done)["x-amzn-errortype"]) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "IncompleteSignature",
        )


@table("kind", ["sync", "aio"])
def test_certificate_without_trust_anchor_is_refused(tmp_path: Path, kind: str) -> None:
    """gRPC accepted the handshake, but no trust anchor matches; a public method does not answer either."""
    with connected(kind, tmp_path, UNTRUSTED) as channel:
        for method in ("Get", "Health"):
            _, done = call(channel, method, Document(document_id="7"))
            assert (done.code(), trailing(done)["x-amzn-errortype"]) == (
                grpc.StatusCode.UNAUTHENTICATED,
                "UntrustedCertificate",
            )


@pytest.mark.parametrize("sources", [("tls",), ()])
def test_missing_or_ignored_certificate_is_anonymous(tmp_path: Path, sources: tuple[str, ...]) -> None:
    """Without a certificate, and with one if the settings do not accept certificates of TLS connections."""
    party = None if sources else GOOD
    with connected("sync", tmp_path, party, asks=party is not None, sources=sources) as channel:
        assert call(channel, "Health", Document())[0] == ["anonymous"]
        assert call(channel, "Get", Document(document_id="7"))[1].code() is grpc.StatusCode.UNAUTHENTICATED
