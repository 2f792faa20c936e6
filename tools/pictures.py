"""Draw the pictures of the landing page: the page to sign in, and an answer of `iam-guard why`, in light and dark.

    python -m tools.pictures

They are screenshots of what the tutorial about members has. Draw them again when the pages change: no check does.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from html import escape
from pathlib import Path

import httpx2
from playwright.sync_api import sync_playwright

from iam_guard.authn import generate_api_key
from tests.docs.reader import ROOT, Reader

ASSETS = ROOT / "docs" / "assets"
KEY = generate_api_key(secrets.token_bytes)
ADA = "- {name: ada, groups: [admin]}"
RITA = f"- {{name: rita, groups: [viewer], api_keys: [{{id: {KEY.id}, digest: {KEY.digest.hex()}}}]}}"
NO_BREAK = "\N{NON-BREAKING HYPHEN}"
ANSWER = """<!doctype html><meta charset=utf-8><style>
body {{ margin: 0; padding: 16px 20px; font: 15px/1.6 monospace; white-space: pre-wrap; text-wrap: pretty }}
body {{ color: #1c2350; background: #f4f6fd }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6e8f2; background: #1e2233 }} }}
</style>$ iam-guard why {}
{}"""


def denied_request(address: str) -> str:
    """Return the id of a request that is denied to Rita."""
    denied = httpx2.get(f"{address}/plans/merger", headers={"x-api-key": KEY.text})
    return str(denied.headers["x-amzn-requestid"])


def excerpt(answer: str) -> str:
    """Return the answer about the current policies, without the types of policies that say nothing."""
    return "\n\n".join(part for part in answer.split("\n\n")[1:] if not part.startswith("–"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        reader = Reader(Path(folder))
        text = (ROOT / "docs" / "tutorial" / "members.md").read_text(encoding="utf-8")
        reader.follow(text.replace(ADA, f"{ADA}\n      {RITA}").partition("## Invite a member")[0])
        address = f"http://localhost:{reader.port}"
        with reader.serving("uvicorn app:app --no-proxy-headers"):
            request = denied_request(address)
            reader.run(f"iam-guard why {request} --trail audit.jsonl || true", "")
            for scheme in ("light", "dark"):
                context = browser.new_context(color_scheme=scheme, viewport={"width": 460, "height": 720})
                page = context.new_page()
                page.goto(f"{address}/signin?next=/team")
                page.locator("main").screenshot(path=ASSETS / f"sign-in-{scheme}.png")
                page = context.new_page()  # without the content security policy of the other page
                page.set_viewport_size({"width": 960, "height": 100})
                page.set_content(ANSWER.format(request, escape(excerpt(reader.output)).replace("-", NO_BREAK)))
                page.screenshot(path=ASSETS / f"why-{scheme}.png", full_page=True)
                context.close()


if __name__ == "__main__":
    main()
