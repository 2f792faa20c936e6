"""Real clients over real sockets: boto3 uploads in chunks and presigns, curl fetches, awscrt signs with SigV4A.

The server is an S3-like application behind uvicorn, also over TLS, as boto3 then leaves bodies unsigned.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import ipaddress
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
import uvicorn
from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.http import HttpHeaders, HttpRequest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from iam_guard import Guard, GuardMiddleware, Service, aws_api, open_guard

SEED = """
version: 1
accounts:
  - id: "111122223333"
    name: acme
    users:
      - name: ada
        inline:
          Objects: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: ["s3:*", "sts:*"], Resource: "*"}]}
        access_keys: [{id: AKIATESTADA000000001, secret: ada-secret}]
    roles:
      - name: Reader
        trust:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Principal: {AWS: "111122223333"}, Action: "sts:AssumeRole"}]
        inline:
          Read: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "s3:GetObject", Resource: "*"}]}
"""
KEY = ("AKIATESTADA000000001", "ada-secret")
objects = Service("s3")
STORED: dict[str, bytes] = {}
HEADERS: dict[str, str] = {}


@objects.requires("PutObject", resource="arn:aws:s3:us-east-1:111122223333:{key}", unsigned_payload=True)
async def put_object(request: Request) -> Response:
    parts = [part async for part in request.stream()]
    HEADERS.clear()
    HEADERS.update(request.headers)
    content = STORED[request.path_params["key"]] = b"".join(parts)
    return Response(headers={"etag": f'"{hashlib.sha256(content).hexdigest()}"'})


@objects.requires("GetObject", resource="arn:aws:s3:us-east-1:111122223333:{key}", unsigned_payload=True)
async def get_object(request: Request) -> Response:
    return Response(STORED[request.path_params["key"]])


def application(guard: Guard) -> Starlette:
    routes = [
        Mount("/aws", app=aws_api(guard)),
        Route("/bucket/{key:path}", put_object, methods=["PUT"]),
        Route("/bucket/{key:path}", get_object, methods=["GET"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[int]:
    """Serve over loopback, and yield the port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for loopback with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "loopback.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    opened = open_guard(str(seed), max_body=256 * 1024)
    STORED.clear()
    yield opened
    opened.close()


@pytest.fixture(params=["http", "https"])
def url(request: pytest.FixtureRequest, guard: Guard, certificate: Path) -> Iterator[str]:
    """The address of the application."""
    options = {"ssl_certfile": certificate, "ssl_keyfile": certificate} if request.param == "https" else {}
    with serving(application(guard), **options) as port:
        yield f"{request.param}://127.0.0.1:{port}"


def s3(url: str, certificate: Path, *, key: tuple[str, ...] = KEY, **config: Any) -> Any:
    return boto3.client(
        "s3",
        "us-east-1",
        endpoint_url=url,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        aws_session_token=key[2] if len(key) > 2 else None,
        verify=str(certificate),
        config=Config(
            s3={"addressing_style": "path"}, signature_version="s3v4", retries={"total_max_attempts": 1}, **config
        ),
    )


CONTENT = bytes(range(256)) * 4096 * 3  # three chunks of botocore's


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_boto3_uploads_a_file(url: str, certificate: Path, algorithm: str) -> None:
    """Over TLS unsigned chunks with a trailing checksum; without TLS with the hash of the body."""
    client = s3(url, certificate)
    client.put_object(Bucket="bucket", Key="a b/c", Body=io.BytesIO(CONTENT), ChecksumAlgorithm=algorithm)
    assert STORED["a b/c"] == CONTENT
    assert HEADERS["content-length"] == str(len(CONTENT))
    assert "aws-chunked" not in HEADERS.get("content-encoding", "")
    assert HEADERS["x-amz-content-sha256"] == (
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" if url.startswith("https") else hashlib.sha256(CONTENT).hexdigest()
    )
    assert client.get_object(Bucket="bucket", Key="a b/c")["Body"].read() == CONTENT


def test_boto3_uploads_unseekable_stream(url: str, certificate: Path) -> None:
    """A small body with a checksum in a header."""
    client = s3(url, certificate, request_checksum_calculation="when_required")
    client.put_object(Bucket="bucket", Key="small", Body=b"abc", ContentEncoding="gzip")
    assert STORED["small"] == b"abc"
    assert HEADERS["content-encoding"] == "gzip"


def test_wrong_secret_uploads_nothing(url: str, certificate: Path) -> None:
    """Rejected before a chunk is read."""
    client = s3(url, certificate, key=(KEY[0], "wrong"))
    with pytest.raises(ClientError, match="401"):
        client.put_object(Bucket="bucket", Key="k", Body=io.BytesIO(b"abc"), ChecksumAlgorithm="CRC32")
    assert STORED == {}


def session_of(url: str, certificate: Path) -> tuple[str, str, str]:
    """Let boto3 assume the role that reads."""
    sts = boto3.client(
        "sts",
        "us-east-1",
        endpoint_url=f"{url}/aws/",
        aws_access_key_id=KEY[0],
        aws_secret_access_key=KEY[1],
        verify=str(certificate),
    )
    credentials = sts.assume_role(RoleArn="arn:aws:iam::111122223333:role/Reader", RoleSessionName="test")[
        "Credentials"
    ]
    return credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]


def test_boto3_presigns_downloads_and_uploads(url: str, certificate: Path) -> None:
    """With a long-term key and a session key; the URL permits one operation until it expires."""
    http = urllib3.PoolManager(ca_certs=str(certificate))
    upload = s3(url, certificate).generate_presigned_url(
        "put_object", Params={"Bucket": "bucket", "Key": "k/ü +"}, ExpiresIn=60
    )
    assert http.request("PUT", upload, body=b"content").status == 200
    reader = session_of(url, certificate)
    download = s3(url, certificate, key=reader).generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": "k/ü +", "ResponseContentType": "text/plain"}, ExpiresIn=60
    )
    assert "X-Amz-Security-Token" in download
    for _ in range(2):
        assert http.request("GET", download).data == b"content"
    assert http.request("GET", upload).status == 401
    assert http.request("GET", download.replace("%20", "%21")).status == 401
    no_longer = s3(url, certificate).generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": "k"}, ExpiresIn=1
    )
    time.sleep(2.1)
    refused = http.request("GET", no_longer)
    assert (refused.status, "Signature expired" in refused.data.decode()) == (401, True)
    may_not = s3(url, certificate, key=reader).generate_presigned_url(
        "put_object", Params={"Bucket": "bucket", "Key": "k"}
    )
    assert http.request("PUT", may_not, body=b"x").status == 403


@pytest.mark.parametrize("url", ["http"], indirect=True)
def test_sts_answers_presigned_calls(url: str, certificate: Path) -> None:
    """Clusters and vaults prove an identity by relaying a presigned `GetCallerIdentity`."""
    for key in (KEY, session_of(url, certificate)):
        sts = boto3.client("sts", "us-east-1", endpoint_url=f"{url}/aws/", **_credentials(key))
        presigned = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
        http = urllib3.PoolManager()
        assert b"<Account>111122223333</Account>" in http.request("GET", presigned).data
        refused = http.request("GET", presigned.replace("GetCallerIdentity", "GetSessionToken"))
        assert (refused.status, b"SignatureDoesNotMatch" in refused.data) == (403, True)


def _credentials(key: tuple[str, ...]) -> dict[str, str]:
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return dict(zip(names, key, strict=False))


@pytest.mark.parametrize("url", ["http"], indirect=True)
def test_curl_uploads_and_downloads(url: str) -> None:
    """`curl --aws-sigv4` for S3 declares the body unsigned or states its hash; both are accepted."""
    signing = ["curl", "-sS", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", ":".join(KEY)]
    subprocess.run([*signing, "-X", "PUT", "--data-binary", "content", f"{url}/bucket/curl"], check=True)
    assert STORED["curl"] == b"content"
    fetched = subprocess.run([*signing, f"{url}/bucket/curl"], check=True, capture_output=True)
    assert fetched.stdout == b"content"
    unsigned = [
        *signing,
        "-H",
        "x-amz-content-sha256: UNSIGNED-PAYLOAD",
        "-X",
        "PUT",
        "-d",
        "more",
        f"{url}/bucket/curl",
    ]
    subprocess.run(unsigned, check=True)
    assert STORED["curl"] == b"more"


@pytest.mark.parametrize("url", ["http"], indirect=True)
@pytest.mark.parametrize("place", [AwsSignatureType.HTTP_REQUEST_HEADERS, AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS])
def test_awscrt_signs_for_a_set_of_regions(url: str, certificate: Path, place: AwsSignatureType) -> None:
    """SigV4A with a long-term key and a session key, in the header and in the query."""
    STORED["k"] = b"content"
    for key, regions, expected in (
        (KEY, "us-*,eu-west-1", 200),
        (KEY, "*", 200),
        (KEY, "eu-*", 401),
        (session_of(url, certificate), "*", 200),
        ((KEY[0], "wrong"), "*", 401),
    ):
        host = url.removeprefix("http://")
        request = HttpRequest("GET", "/bucket/k?a=b%20c", HttpHeaders([("host", host)]))
        config = AwsSigningConfig(
            algorithm=AwsSigningAlgorithm.V4_ASYMMETRIC,
            signature_type=place,
            credentials_provider=AwsCredentialsProvider.new_static(*key),
            region=regions,
            service="s3",
            signed_body_value=None if place == AwsSignatureType.HTTP_REQUEST_HEADERS else "UNSIGNED-PAYLOAD",
            expiration_in_seconds=60 if place == AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS else None,
        )
        aws_sign_request(request, config).result()
        answer = urllib3.PoolManager().request("GET", url + request.path, headers=dict(request.headers))
        assert answer.status == expected, answer.data
