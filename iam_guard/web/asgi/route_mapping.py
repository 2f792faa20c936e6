"""The row of a route map that a route enforces after matching, so that paths are never compared.

Each framework's reader installs it where the framework calls it: around the application of a route (Starlette,
FastAPI), or as the first guard of a handler (Litestar). The handler gets the parameters that were decided about.

An application that is mounted twice has one set of routes. So each mount, and each route for a host, records itself in
the scope (`pass_mount`), and the row is looked up by the complete template. A route added later has no guard, and
answers 500 like every endpoint without a decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from starlette.types import Scope

from iam_guard.errors import ConfigurationError
from iam_guard.web.asgi.route_table import MountPath
from iam_guard.web.call_context import current_call
from iam_guard.web.requirement import Requirement
from iam_guard.web.route_maps.route_map import WEBSOCKET, RouteMap

ROW_KEY: Final = "iam_guard.row"
"""The key of a scope for the route map row that guards its route."""
_MOUNTS: Final = "iam_guard.template"
"""The key of a scope for the mounts that its request has passed."""


def pass_mount(scope: Scope, path: str, host: str | None = None) -> None:
    """Record in the scope of a request that it has passed a mount."""
    scope[_MOUNTS] = scope.get(_MOUNTS, MountPath()).through(path, host)


@dataclass(eq=False, slots=True)
class RouteRow:
    """Enforces the row of one route; `mounts` are the mount paths that lead to it."""

    route_map: RouteMap
    path: str
    host: str | None = None
    mounts: set[MountPath] = field(default_factory=set)

    async def decide(self, scope: Scope) -> None:
        """Enforce the row for the mounts that the request has passed; do nothing without a row.

        Nor if another guard of the application, with another map, serves the request.
        """
        method = WEBSOCKET if scope["type"] == "websocket" else scope["method"].upper()
        mount_path = self._mount_path(scope.get(_MOUNTS, MountPath()))
        row = self.route_map.row(method, mount_path.path + self.path or "/", self.host or mount_path.host)
        if row is None:
            return
        call = current_call()
        if call.route_map is not self.route_map:
            return
        if isinstance(row.mark, Requirement):
            call.scope = scope
            scope[ROW_KEY] = row
            await row.enforce_async({})
        else:
            call.is_public = True

    def _mount_path(self, mount: MountPath) -> MountPath:
        """Return the mount path of a request; `mount` is longer if the guarded application is mounted itself."""
        if mount == MountPath() and len(self.mounts) == 1:
            return next(iter(self.mounts))  # the first request passed the mount before it was wrapped
        matching = [path for path in self.mounts if mount.ends_with(path)]
        if not matching:
            raise ConfigurationError(f"expected a known mount before `{self.path}`, got `{mount.path}`", place="routes")
        return max(matching, key=lambda mount_path: (len(mount_path.path), mount_path.host is not None))
