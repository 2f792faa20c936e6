"""Raw requests to the API, signed by botocore, and their XML responses: what boto3 can't send or show."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

VERSION = "2010-05-08"
NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request; its headers are the signed ones and the signature."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def root(self) -> ElementTree.Element:
        """Parse the XML. Raises `ParseError`."""
        return ElementTree.fromstring(self.body)  # noqa: S314  our own server's answer

    def texts(self, name: str) -> list[str]:
        """Return the texts of all elements with a name."""
        return [each.text or "" for each in self.root.iter(f"{{{NAMESPACE}}}{name}")]

    def text(self, name: str) -> str:
        """Return the text of the only element with a name."""
        (only,) = self.texts(name)
        return only

    @property
    def code(self) -> str:
        """Return the error code; empty for a success."""
        return self.text("Code") if self.status >= 400 else ""


def form(action: str, fields: Mapping[str, str] | Iterable[tuple[str, str]] = (), version: str = VERSION) -> bytes:
    """Return a form as botocore serializes it."""
    parameters = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
    pairs = [("Action", action), ("Version", version), *parameters]
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs).encode("ascii")


def signed(
    url: str,
    key: Key,
    body: bytes = b"",
    *,
    method: str = "POST",
    target: str = "/",
    headers: Mapping[str, str] | None = None,
    service: str = "iam",
) -> RawRequest:
    """Sign a request, by default with a form as its body."""
    parameters = {"Content-Type": FORM} if headers is None else dict(headers)
    request = AWSRequest(
        method=method, url=url + target, data=body, headers={**parameters, "Host": urlsplit(url).netloc}
    )
    SigV4Auth(Credentials(*key), service, "us-east-1").add_auth(request)
    return RawRequest(method, target, {str(name): str(value) for name, value in request.headers.items()}, body)


class Connection:
    """A persistent connection; reopened after an error or when the server closes it."""

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        self.url = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)

    def send(self, request: RawRequest) -> RawAnswer:
        """Send a request and read the response. Raises `OSError`, `HTTPException`."""
        try:
            self._connection.request(request.method, request.target, request.body, dict(request.headers))
            answer = self._connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return RawAnswer(answer.status, headers, answer.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def call(self, key: Key, action: str, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> RawAnswer:
        """Call an operation with arbitrary form fields."""
        return self.send(signed(self.url, key, form(action, fields)))

    def close(self) -> None:
        self._connection.close()
