"""Advisory: static files were open to everybody, since others that their class was made from were.

`@public` on a class counted for the objects of every class made from it: at the start as well, so nothing told. What a
class says of itself counts for its own objects.
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


def test_an_object_does_not_inherit_that_the_base_of_its_class_is_public(guard: Guard, tmp_path: Path) -> None:
    """It may be opened by itself."""
    (tmp_path / "plan.txt").write_text("for nobody's eyes")

    @public
    class Open(StaticFiles): ...

    class Secret(Open): ...

    files = {"/open": Open, "/secret": Secret, "/opened": lambda directory: public(Secret(directory=directory))}
    mounts = [Mount(path, make(directory=tmp_path)) for path, make in files.items()]
    app = Starlette(routes=mounts, middleware=[Middleware(GuardMiddleware, guard=guard, check_routes=False)])
    assert [each.path for each in unguarded(app)] == ["/secret"]
    client = TestClient(app)
    assert [client.get(f"{path}/plan.txt").status_code for path in files] == [200, 500, 200]
