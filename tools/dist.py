"""Build all distributions into `dist/` and try them: `make dist`.

Each one becomes a wheel and a source archive; the wheel built again from the archive must be the same. Then all wheels
are installed into a new environment, without the repository on the path, and the README's example serves a signed
request there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

from tools.blocks import files_of, program_of

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("integrations/*/pyproject.toml"))]
CALL = """
import threading, time, urllib.request
import botocore.auth, uvicorn
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

server = uvicorn.Server(uvicorn.Config(app, port=0, proxy_headers=False, log_level="warning"))
threading.Thread(target=server.run, daemon=True).start()
while not server.started:
    time.sleep(0.05)
port = server.servers[0].sockets[0].getsockname()[1]
request = AWSRequest("GET", f"http://127.0.0.1:{port}/documents/7")
key = Credentials("AKIATESTRITA00000001", "rita-secret-0123456789abcdefghijklmnopqr")
botocore.auth.SigV4Auth(key, "docs", "us-east-1").add_auth(request)
print(urllib.request.urlopen(urllib.request.Request(request.url, headers=dict(request.headers))).read().decode())
server.should_exit = True
"""
ANSWER = '{"reader":"arn:aws:iam::111122223333:user/rita"}'


def run(*command: object, cwd: Path = ROOT) -> str:
    """Run a command and return its output; exit with its errors if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(str(part) for part in command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(project: Path) -> tuple[Path, Path]:
    """Build wheel and source archive of a project, and return their paths."""
    metadata = read_project(project)
    stem = f"{metadata['name'].replace('-', '_')}-{metadata['version']}"
    run(sys.executable, "-m", "hatchling", "build", "-d", DIST, cwd=project)
    return DIST / f"{stem}-py3-none-any.whl", DIST / f"{stem}.tar.gz"


def read_project(project: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    return metadata


def check_archive(wheel: Path, archive: Path) -> None:
    """Exit unless the source archive builds the same wheel."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as source:
            source.extractall(folder, filter="data")
        [unpacked] = Path(folder).iterdir()
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=unpacked)
        [again] = Path(folder).glob("*.whl")
        first, second = contents(wheel), contents(again)
    if first != second:
        differing = ", ".join(sorted({name for name, _ in first ^ second}))
        sys.exit(f"expected {archive.name} to build the same {wheel.name}, got other files: {differing}")


def contents(wheel: Path) -> set[tuple[str, int]]:
    """Return name and checksum of each file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {(item.filename, item.CRC) for item in archive.infolist()}


def try_example(wheels: list[Path]) -> None:
    """Install the wheels into a new environment and serve the README's example there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        core, *adapters = wheels
        constraints = ("--constraint", ROOT / "constraints.txt")
        run(python, "-m", "pip", "install", "--quiet", *constraints, f"{core}[server]", *adapters, cwd=folder)
        for wheel in wheels:
            run(python, "-W", "error", "-c", f"import {wheel.name.partition('-')[0]}", cwd=folder)
        readme = (ROOT / "README.md").read_text()
        for file, body in files_of(readme).items():
            (folder / file).write_text(body)
        program = readme[readme.index("## Quick start") :].partition("\n## ")[0]
        (folder / "example.py").write_text(program_of(program) + CALL)
        answer = run(python, "example.py", cwd=folder).strip()
    if answer != ANSWER:
        sys.exit(f"expected the README's example to answer {ANSWER}, got {answer}")


def main() -> None:
    versions = {read_project(project)["version"] for project in PROJECTS}
    if len(versions) != 1:
        sys.exit(f"expected one version for all distributions, got {', '.join(sorted(versions))}")
    shutil.rmtree(DIST, ignore_errors=True)
    built = [build(project) for project in PROJECTS]
    for wheel, archive in built:
        check_archive(wheel, archive)
    run(sys.executable, "-m", "twine", "check", "--strict", *(path for pair in built for path in pair))
    try_example([wheel for wheel, _ in built])
    print(f"dist/ has {2 * len(built)} archives of version {versions.pop()}; the README's example runs on them")


if __name__ == "__main__":
    main()
