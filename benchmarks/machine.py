"""Describe the machine of a benchmark: processor, Python, versions of the peers; no host names, user names or paths."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = (
    *("vakt", "moto", "cedarpy", "pycasbin", "py-abac", "fastapi", "pyjwt", "starlette", "uvicorn", "botocore"),
    *("httptools", "uvloop"),
    *("sqlalchemy", "psycopg", "cerbos", "cerbos-sqlalchemy"),
    *("structlog", "orjson", "opentelemetry-sdk", "duckdb"),
)
"""The distributions whose versions affect a figure."""

_PROCESSORS = Path("/proc/cpuinfo")
_GIB = 1024**3


def describe() -> dict[str, str]:
    """Return the description of the machine, as pairs for the page."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the installed packages."""
    found = {
        distribution.name.lower().replace("_", "-"): distribution.version
        for distribution in importlib.metadata.distributions()
    }
    return {name: found[name] for name in PACKAGES if name in found}


def _processor() -> str:
    if not _PROCESSORS.exists():
        return platform.processor() or platform.machine()
    lines = _PROCESSORS.read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return " ".join(names[0].split()) if names else platform.machine()
