"""Makes `tests` the package of this repository, whose helpers benchmarks use: two peers install another one.

Import it before anything from `tests`, in each process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

tests = sys.modules["tests"] = ModuleType("tests")
tests.__path__ = [str(Path(__file__).resolve().parent.parent / "tests")]
