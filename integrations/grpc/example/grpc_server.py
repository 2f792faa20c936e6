"""A guarded gRPC server with two tenants. `python grpc_server.py` sends some calls to it.

The messages come with protobuf; a service of your own has generated ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from iam_guard_grpc import GuardInterceptor, streaming

from iam_guard import Guard, Service, current_principal, open_guard, public
from iam_guard.authn import format_api_key

docs = Service("docs")
SERVICE = "acme.docs.v1.Documents"
DOCUMENTS: dict[tuple[str, str], list[str]] = {}


class Documents:
    """The documents of each account, with their versions."""

    @docs.requires("GetDocument", resource="document/{value}")
    @streaming
    def get_document(self, request: Any, context: Any) -> Iterator[Any]:
        """Return the versions of a document of the caller's own account."""
        for text in DOCUMENTS.get((current_principal().account or "", request.value), []):
            yield StringValue(value=text)

    @docs.requires("PutDocument", resource="document/{value}")
    def put_document(self, request: Any, context: Any) -> Any:
        """Add a version to a document of the caller's own account."""
        versions = DOCUMENTS.setdefault((current_principal().account or "", request.value), [])
        versions.append(f"version {len(versions) + 1} by {current_principal().name}")
        return StringValue(value=versions[-1])

    @public
    def ping(self, request: Any, context: Any) -> Any:
        """Answer without authentication."""
        return StringValue(value="pong")


def create(guard: Guard) -> tuple[GuardInterceptor, Any]:
    """Return the interceptor and the server."""
    interceptor = GuardInterceptor(guard)
    server = interceptor.checked(grpc.server(ThreadPoolExecutor(10), interceptors=[interceptor]))
    documents, codec = Documents(), (StringValue.FromString, StringValue.SerializeToString)
    handlers = {
        "GetDocument": grpc.unary_stream_rpc_method_handler(documents.get_document, *codec),
        "PutDocument": grpc.unary_unary_rpc_method_handler(documents.put_document, *codec),
        "Ping": grpc.unary_unary_rpc_method_handler(documents.ping, *codec),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    return interceptor, server


CALLERS = {
    "ada of acme": format_api_key("ADAS", "adasecret00123456789abcdefghijklmnopqrst"),
    "rita of acme": format_api_key("RITA", "ritasecret0123456789abcdefghijklmnopqrst"),
    "gus of globex": format_api_key("GUSS", "gussecret00123456789abcdefghijklmnopqrst"),
}


def ask(channel: Any, name: str, key: str | None) -> str:
    """Call a method about document 7, and return its result."""
    call = channel.unary_stream if name == "GetDocument" else channel.unary_unary
    method = call(f"/{SERVICE}/{name}", StringValue.SerializeToString, StringValue.FromString)
    metadata = () if key is None else (("authorization", f"Bearer {key}"),)
    try:
        answer = method(StringValue(value="7"), metadata=metadata)
        answers = [answer] if name == "PutDocument" else list(answer)
    except grpc.RpcError as error:
        return str(error.code().name)
    return f"OK {[message.value for message in answers]}"


def main() -> None:
    """Print the guards of the methods, and the results of some calls."""
    guard = open_guard(Path(__file__).with_name("iam.yaml"), services=[docs])
    interceptor, server = create(guard)
    for endpoint in interceptor.endpoints:
        print(f"{endpoint.path:45} {', '.join(endpoint.guards)}")
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for caller, key in CALLERS.items():
            for name in ("PutDocument", "GetDocument"):
                print(f"{caller:15} {name:15} {ask(channel, name, key)}")
        print(f"{'anonymous':15} {'GetDocument':15} {ask(channel, 'GetDocument', None)}")
    server.stop(None).wait()
    guard.close()


if __name__ == "__main__":
    main()
