# ruff: noqa: N802  # methods are named as in the service definition
"""The check of a gRPC server at start-up, its inventory, and the services that come with gRPC."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard, Service
from iam_guard.errors import ConfigurationError
from tests.docs.test_examples import run
from tests.integrations.application import DOCUMENT, docs
from tests.integrations.contract import needed
from tests.tables import table

needed("grpc", "grpc_health", "iam_guard_grpc")

import grpc  # noqa: E402
import grpc.aio  # noqa: E402
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # noqa: E402
from iam_guard_grpc import AioGuardInterceptor, GuardInterceptor, inventory_of, route_map_of  # noqa: E402

from tests.integrations.grpc_application import (  # noqa: E402
    CLIENT_STREAM,
    SERVICE,
    UNARY,
    handlers,
    opened,
)
from tests.integrations.test_grpc_declarations import PLAIN, AioPlain, Plain, plain_map  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
HEALTH = "grpc.health.v1.Health"


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    with opened(tmp_path) as made:
        yield made


class Wrong:
    @docs.requires("GetDocument", resource="document/{id}")
    def Get(self, request: Any, context: Any) -> Any: ...


class WrongStream:
    @docs.requires("GetDocument", resource=DOCUMENT)
    def Get(self, request_iterator: Any, context: Any) -> Any: ...


class Elsewhere:
    @Service("other").requires("Get")
    def Get(self, request: Any, context: Any) -> Any: ...


@table(
    ("servicer", "cardinality", "options", "message"),
    [
        (Plain(), UNARY, {}, "neither guarded nor public"),
        (Wrong(), UNARY, {}, "expected the parameter `id`"),
        (WrongStream(), CLIENT_STREAM, {}, "expected the parameter `document_id`"),
        (Elsewhere(), UNARY, {}, "expected the service `other`"),
        (Plain(), UNARY, {"default_services": {SERVICE: Service("more")}}, "expected the service `more`"),
    ],
)
def test_checked_server_refuses_a_wrong_method(
    guard: Guard, servicer: Any, cardinality: tuple[bool, bool], options: dict[str, Any], message: str
) -> None:
    server = GuardInterceptor(guard, **options).checked(grpc.server(ThreadPoolExecutor(1)))
    with pytest.raises(ConfigurationError, match=message):
        server.add_generic_rpc_handlers([handlers(servicer, {"Get": cardinality})])


def test_checked_server_refuses_a_row_without_method(guard: Guard) -> None:
    interceptor = GuardInterceptor(guard, routes=plain_map())
    server = interceptor.checked(grpc.server(ThreadPoolExecutor(1), interceptors=[interceptor]))
    server.add_generic_rpc_handlers([handlers(Plain(), {"Get": UNARY})])
    with pytest.raises(ConfigurationError, match=r"no such route: POST /docs\.Documents/Follow"):
        server.start()


def test_inventory_lists_methods_and_guards(guard: Guard) -> None:
    """As `iam-guard routes` prints them: with the guards of the map, of decorators, and of the interceptor."""
    interceptor = GuardInterceptor(guard, routes=plain_map(), public=[HEALTH])
    server = interceptor.checked(grpc.server(ThreadPoolExecutor(1), interceptors=[interceptor]))
    server.add_generic_rpc_handlers([handlers(Plain(), PLAIN)])
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    routes, endpoints = route_map_of(interceptor), inventory_of(interceptor)
    assert routes is not None
    assert endpoints is not None
    methods = health_pb2.DESCRIPTOR.services_by_name["Health"].methods_by_name  # `List` is not in old versions
    listed = {endpoint.path: endpoint.guards for endpoint in routes.joined(endpoints)}
    assert listed == {
        f"/{SERVICE}/Get": (f"docs:GetDocument on {DOCUMENT}, by the map",),
        f"/{SERVICE}/Follow": (f"docs:GetDocument on {DOCUMENT}, by the map",),
        f"/{SERVICE}/Collect": ("docs:PutDocuments on *, by the map",),
        f"/{SERVICE}/Talk": ("public, by the map",),
        **{f"/{HEALTH}/{name}": ("public",) for name in methods},
    }


def test_health_service_is_served(guard: Guard) -> None:
    """As generated code adds it, with a stream that answers through callbacks."""
    interceptor = GuardInterceptor(guard, public=[HEALTH])
    pool = ThreadPoolExecutor(2)
    server = interceptor.checked(grpc.server(pool, interceptors=[interceptor]))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest()
        assert stub.Check(request, timeout=60).status == health_pb2.HealthCheckResponse.SERVING
        watched = stub.Watch(request, timeout=60)
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(request, metadata=(("authorization", "Bearer nonsense"),), timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        watched.cancel()
    server.stop(None).wait()
    pool.shutdown()


def test_checked_aio_server_starts(guard: Guard) -> None:
    async def serve() -> Any:
        interceptor = AioGuardInterceptor(guard, routes=plain_map(), public=[HEALTH])
        server = interceptor.checked(grpc.aio.server(interceptors=[interceptor]))
        server.add_generic_rpc_handlers((handlers(AioPlain(), PLAIN),))
        health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        await server.stop(None)
        return answer.status

    assert asyncio.run(serve()) == health_pb2.HealthCheckResponse.SERVING


def test_example_keeps_tenants_apart() -> None:
    """Rita of acme reads what Ada wrote; Gus of globex has his own documents."""
    program = ROOT / "integrations/grpc/example/grpc_server.py"
    command = [sys.executable, "-W", "error", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    results = [line.split(maxsplit=3)[-1] for line in done.stdout.splitlines()[3:9]]
    own, shared = "OK ['version 1 by gus']", "OK ['version 1 by ada']"
    assert [line.rpartition("Document ")[2].strip() for line in results] == [
        *(shared, shared, "PERMISSION_DENIED", shared, own, own)
    ]
    assert done.stdout.splitlines()[-1].split() == ["anonymous", "GetDocument", "UNAUTHENTICATED"]


def test_example_of_the_readme_runs(tmp_path: Path) -> None:
    readme = (ROOT / "integrations/grpc/README.md").read_text(encoding="utf-8")
    done = run(readme, tmp_path, "readme.py")
    assert done.returncode == 0, done.stdout + done.stderr
