"""On what a benchmark ran: processor, Python, the versions of the peers. No names of hosts or people, no paths."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = (
    *("vakt", "moto", "cedarpy", "pycasbin", "py-abac", "fastapi", "pyjwt", "starlette", "uvicorn", "botocore"),
    *("structlog", "orjson", "opentelemetry-sdk", "duckdb"),
)
"""The distributions whose versions matter to a figure."""

_PROCESSORS = Path("/proc/cpuinfo")
_GIB = 1024**3


def describe() -> dict[str, str]:
    """Return what the machine is, as pairs of words for a page."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of what is installed of the packages."""
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
