"""The example of each adapter: what its tenants see of each other, over a real connection."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from iam_guard import open_guard
from iam_guard.authn.api_key import format_api_key
from tests.integrations.contract import Sent, needed, over
from tests.serving import serving
from tests.tables import table

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "ada": format_api_key("ADA1", "adasecret0123456789abcdefghijklmnopqrstuv"),
    "rita": format_api_key("RITA", "ritasecret0123456789abcdefghijklmnopqrst"),
    "gus": format_api_key("GUS1", "gussecret0123456789abcdefghijklmnopqrstuv"),
}


def example(framework: str) -> Any:
    """Import the example as a program in its folder."""
    path = ROOT / "integrations" / framework / "example" / f"{framework}_service.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@table("framework", ["fastapi", "litestar"])
def test_tenants_see_only_their_own_documents(framework: str) -> None:
    """Written by one caller, read by another of the same tenant, concealed from the other tenant."""
    needed(framework, f"iam_guard_{framework}")
    module = example(framework)
    guard = open_guard(module.HERE / "iam.yaml", services=[module.docs])
    with serving(module.create(guard)) as address:
        send = over(address)

        def ask(who: str | None, method: str, path: str, body: object = None) -> tuple[int, Any]:
            headers = {"authorization": f"Bearer {KEYS[who]}"} if who else {}
            content = b"" if body is None else json.dumps(body).encode()
            answer = send(Sent(method, path, {**headers, "content-type": "application/json"}, content))
            return answer.status, answer.messages or (json.loads(answer.body) if answer.status == 200 else None)

        written = {"text": "new", "account": "111122223333"}
        checks: list[tuple[Callable[[], tuple[int, Any]], tuple[int, Any]]] = [
            (lambda: ask("rita", "GET", "/documents"), (200, [7])),
            (lambda: ask("gus", "GET", "/documents"), (200, [])),
            (lambda: ask(None, "GET", "/documents"), (401, None)),
            (lambda: ask("rita", "PUT", "/documents/8", {"text": "no"}), (403, None)),
            (
                lambda: ask("ada", "PUT", "/documents/8", {"text": "new"}),
                (200, written),
            ),
            (lambda: ask("rita", "GET", "/documents/8"), (200, written)),
            (lambda: ask("gus", "GET", "/documents/8"), (404, None)),
            (lambda: ask("gus", "PUT", "/documents/8", {"text": "mine"}), (403, None)),
            (lambda: ask("rita", "GET", "/documents/9"), (404, None)),
            (lambda: ask("rita", "WEBSOCKET", "/documents/8/watch"), (101, ("new",))),
            (lambda: ask("gus", "WEBSOCKET", "/documents/8/watch"), (404, None)),
        ]
        for check, expected in checks:
            assert check() == expected
    guard.close()


@table("framework", ["fastapi", "litestar"])
def test_key_in_the_docstring_is_in_the_seed(framework: str) -> None:
    """The command in the docstring works."""
    text = (ROOT / "integrations" / framework / "example" / f"{framework}_service.py").read_text(encoding="utf-8")
    assert KEYS["rita"] in text
