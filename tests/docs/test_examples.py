"""Run every example in the README and in the pages.

The `python` blocks of one page (`tools/blocks.py`) are one program, run from top to bottom in a separate folder, with
warnings as errors, beside the files that titled blocks make.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.contract import needed
from tests.redis_server import needed_redis
from tools.blocks import files_of, program_of

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_EXAMPLES = [path for path in PAGES if program_of(path.read_text(encoding="utf-8")).strip()]


def run(text: str, folder: Path, name: str = "page.md") -> subprocess.CompletedProcess[str]:
    for file_name, body in files_of(text).items():
        (folder / file_name).write_text(body, encoding="utf-8")
    program = folder / name
    program.write_text(program_of(text), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("IAM_GUARD_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page_examples_run(path: Path, tmp_path: Path) -> None:
    """The blocks of a page, copied into a file, are a program that runs."""
    program = program_of(path.read_text("utf-8"))
    needed(*sorted(set(re.findall(r"^(?:from|import) (iam_guard_\w+)", program, re.M))))
    if "from redis import" in program:
        needed_redis()
    done = run(path.read_text(encoding="utf-8"), tmp_path, path.name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_readme_has_an_example() -> None:
    """The README has code that the test above runs."""
    assert ROOT / "README.md" in WITH_EXAMPLES


PAGE = """
# Title

```yaml title="names.yaml"
ann: 1
```

<!-- no-run -->
```python
raise SystemExit("left out")
```

```python
name = open("names.yaml", encoding="utf-8").readline  # noqa: SIM115
```

```console
$ not run
```

```python
LAST
```
"""


def test_wrong_example_fails_at_its_line(tmp_path: Path) -> None:
    """The runner runs the right blocks, in order, and reports the failing line of the page."""
    good = PAGE.replace("LAST", 'import pathlib\nassert pathlib.Path("names.yaml").read_text() == "ann: 1\\n" and name')
    assert program_of(good).count("\n") == good.count("\n")
    bad = run(PAGE.replace("LAST", "undefined"), tmp_path, "page.py")
    assert bad.returncode == 1
    assert f'page.py", line {PAGE[: PAGE.index("LAST")].count(chr(10)) + 1}' in bad.stderr
