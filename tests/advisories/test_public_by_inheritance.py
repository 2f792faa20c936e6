"""Advisory: static files were public because the base of their class was.

The hole: `@public` on a class applied to the instances of its subclasses, also in the check at start-up. Now the mark
of a class applies only to its own instances.
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, public
from iam_guard.web.asgi.routes import unguarded


def test_instance_does_not_inherit_public_from_a_base_class(guard: Guard, tmp_path: Path) -> None:
    """It may be marked itself."""
    (tmp_path / "plan.txt").write_text("secret content")

    @public
    class Open(StaticFiles): ...

    class Secret(Open): ...

    files = {"/open": Open, "/secret": Secret, "/opened": lambda directory: public(Secret(directory=directory))}
    mounts = [Mount(path, make(directory=tmp_path)) for path, make in files.items()]
    app = Starlette(routes=mounts, middleware=[Middleware(GuardMiddleware, guard=guard, check_routes=False)])
    assert [each.path for each in unguarded(app)] == ["/secret"]
    client = TestClient(app)
    assert [client.get(f"{path}/plan.txt").status_code for path in files] == [200, 500, 200]
