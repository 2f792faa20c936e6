"""Policies, stores and generators of tests, moved to another partition than `aws`."""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

PARTITION = "aws-cn"


def moved(value: Any) -> Any:
    """Return a JSON value with another partition in all its ARNs, and the services that its principals have there."""
    return json.loads(moved_text(json.dumps(value)))


def moved_text(text: str) -> str:
    return re.sub(r"\.amazonaws\.com(?!\.cn)", ".amazonaws.com.cn", text.replace("arn:aws:", f"arn:{PARTITION}:"))


@cache
def moved_module(name: str) -> ModuleType:
    """Return a generator whose own source is moved, and that of the generators that it imports."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    for other in _MOVED:
        if other in source and other != name:
            source = source.replace(other, moved_module(other).__name__)
    source = moved_text(source).replace('PARTITION = "aws"', f'PARTITION = "{PARTITION}"')
    module = ModuleType(f"{name}_{PARTITION}".replace("-", "_"))
    sys.modules[module.__name__] = module
    exec(compile(source, spec.origin, "exec"), module.__dict__)  # noqa: S102  the source of a test
    return module


_MOVED = ("tests.analysis.checks.small_policies", "tests.analysis.invariants.small_stores")


def generators(name: str) -> tuple[ModuleType, ModuleType]:
    """Return a generator as it is, and moved."""
    return import_module(name), moved_module(name)
