"""Run the example end to end: uvicorn serves it, real clients call it, and the demo reads the audit trail.

Each request has an expected result; the exit code is 1 if one differs or an audit record is missing. botocore
signs the requests, as in boto3 and the `aws` CLI. `--serve` leaves the service running.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.auth
import browser_of_the_demo
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session
from browser_of_the_demo import Answer, Browser
from credentials_of_the_demo import ISSUER, Provider, assumed, give_password, published
from requests_of_the_demo import ACCESS_KEYS, API_KEYS, ASSUMED, PASSWORD, REQUESTS, SUBJECTS, Step
from rich.console import Console
from rich.table import Table

from iam_guard.audit import read_records

HERE = Path(__file__).resolve().parent
REGION = "us-east-1"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--serve", action="store_true", help="leave the service running")
    serve = arguments.parse_args().serve
    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if has_width else 160)
    with tempfile.TemporaryDirectory(prefix="iam-guard-demo-") as folder:
        prepare(Path(folder))
        provider = Provider()
        with published(provider) as issuer, service(Path(folder), issuer) as address:
            give_password(address, ACCESS_KEYS["ada"], "ed", PASSWORD)
            with browser_of_the_demo.opened(address) as browser:
                answers = [(step, send(address, step, provider, browser)) for step in REQUESTS]
            failures = report(console, answers, records_of(Path(folder)))
            console.print(f"The person signed in with {browser.name}.")
            if serve:
                invite(console, address, Path(folder))
    return 1 if failures else 0


# --- the service -----------------------------------------------------------------------------------------------------


def prepare(folder: Path) -> None:
    """Create the embedded store and apply the seed twice: the second time changes nothing."""
    store = f"sqlite:///{folder}/iam.db"
    command = [sys.executable, "-m", "iam_guard"]
    subprocess.run([*command, "init", "--store", store], check=True, stdout=subprocess.DEVNULL)
    for _ in range(2):
        subprocess.run(
            [*command, "apply", str(HERE / "iam.yaml"), "--store", store], check=True, stdout=subprocess.DEVNULL
        )


@contextlib.contextmanager
def service(folder: Path, issuer: str) -> Iterator[str]:
    """Run the example under uvicorn on a free port until the block ends; yield its address.

    `issuer` is the address of the token provider.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "DOCUMENTS_IAM": f"sqlite:///{folder}/iam.db",
        "DOCUMENTS_DB": str(folder / "documents.db"),
        "IAM_GUARD_AUDIT": str(folder / "audit.jsonl"),
        "IAM_GUARD_SIGN_IN_URL": "/signin",
        "IAM_GUARD_OIDC_ADDRESSES": f"{ISSUER}={issuer}",
        "IAM_GUARD_OIDC_ROLES": f"{ISSUER} sub=repo:acme/* arn:aws:iam::111122223333:role/pipeline",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "app:create", "--app-dir", str(HERE)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--no-proxy-headers", "--log-level", "warning"]
    process = subprocess.Popen([*command, *options], env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(address + "/health", process)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit("the service ended while starting")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10):  # noqa: S310  our own address
            return
        time.sleep(0.05)
    raise SystemExit("the service did not start within two minutes")


# --- the clients -----------------------------------------------------------------------------------------------------


def send(address: str, step: Step, provider: Provider, browser: Browser) -> Answer:
    """Send one request as its step says, and return the answer."""
    match step.by, step.method:
        case "browser", "GET":
            return browser.open(step.path)
        case "browser" | "cookie", _:
            return browser.fetch(step.method, step.path, step.body, own_page=step.by == "browser")
        case "form", _:
            return browser.submit(step.body) if step.body else browser_of_the_demo.add_second_factor(browser)
        case _:
            return send_alone(address, step, provider)


def send_alone(address: str, step: Step, provider: Provider) -> Answer:
    """Send one request with the credential of its step, if it has one."""
    body = b"" if step.body is None else json.dumps(step.body).encode()
    headers = {"content-type": "application/json"} if body else {}
    request = AWSRequest(method=step.method, url=address + step.path, data=body, headers=headers)
    match step.by:
        case "api key":
            request.headers["authorization"] = f"Bearer {API_KEYS[step.who]}"
        case "token":
            request.headers["authorization"] = f"Bearer {provider.token(SUBJECTS[step.who])}"
        case "session":
            user, role = ASSUMED[step.who]
            sign(request, assumed(address, ACCESS_KEYS[user], role), step)
        case _ if step.who in ACCESS_KEYS:
            sign(request, Credentials(*ACCESS_KEYS[step.who]), step)
    if step.altered_body is not None:
        request.data = json.dumps(step.altered_body).encode()
    answer = URLLib3Session().send(request.prepare())
    return Answer(answer.status_code, answer.headers)


def sign(request: AWSRequest, credentials: Credentials, step: Step) -> None:
    """Sign in the header, or in the URL."""
    form = botocore.auth.SigV4QueryAuth if step.by == "presigned" else botocore.auth.SigV4Auth
    clock = botocore.auth.get_current_datetime() - timedelta(minutes=step.minutes_late)
    with mock.patch("botocore.auth.get_current_datetime", return_value=clock):
        form(credentials, "docs", REGION).add_auth(request)


# --- the report ------------------------------------------------------------------------------------------------------


def records_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the audit file back; the last record of a request is the one that refused or allowed it."""
    return {record["requestID"]: record for record in read_records(folder / "audit.jsonl")}


def report(console: Console, answers: list[tuple[Step, Answer]], records: dict[str, dict[str, Any]]) -> int:
    """Print each request with its decision and reason; return the number of unexpected results."""
    table = Table(title="iam_guard: real requests, real decisions", header_style="bold", row_styles=["", "dim"])
    is_narrow = console.width < 120
    for column in ("#", *(["request"] if is_narrow else ["who", "request", "action"]), "answer", "because"):
        table.add_column(column, overflow="fold")
    failures, missing, reasons = [], [], set()
    for number, (step, answer) in enumerate(answers, 1):
        record = records.get(answer.headers.get("x-amzn-requestid", ""))
        because = why(record, answer) if record else "public" if step.public else "NOT IN THE AUDIT TRAIL"
        if record is None and not step.public:
            missing.append(step)
        if answer.status_code != step.expected or (step.because and step.because not in because):
            failures.append(f"#{number} {step.who} {step.method} {step.path}: expected {step.expected} {step.because}")
        if answer.status_code >= 400:
            reasons.add(because)
        action = f"{record['eventSource'].split('.')[0]}:{record['eventName']}" if record else "-"
        request = [step.who, f"{step.method} {step.path}", action]
        table.add_row(str(number), *(["\n".join(request)] if is_narrow else request), colour(answer), because)
    console.print(table)
    refused = sum(1 for _, answer in answers if answer.status_code >= 400)
    console.print(
        f"{len(answers)} requests, {refused} refused for {len(reasons)} different reasons; "
        f"{len(records)} audit records, {len(missing)} missing; {len(failures)} unexpected results."
    )
    for failure in failures:
        console.print(f"[bold red]unexpected[/] {failure}")
    return len(failures) + len(missing)


def colour(answer: Answer) -> str:
    name = {2: "green", 3: "yellow"}.get(answer.status_code // 100, "red")
    return f"[{name}]{answer.status_code}[/]"


def why(record: dict[str, Any], answer: Answer) -> str:
    """Return the deciding statement and policy in one line, from the audit record, and where a redirect leads."""
    reasons = record["iamGuard"].get("reasons")
    if reasons:
        text = " and ".join(reason_text(reason) for reason in reasons)
    elif record["eventName"] == "ConsoleLogin":
        text = f"{record['responseElements']['ConsoleLogin']}, MFAUsed: {record['additionalEventData']['MFAUsed']}"
    else:
        text = f"{record.get('errorCode', '')}: {record.get('errorMessage', '')}"
    return f"{text}; on to {answer.headers['location']}" if "location" in answer.headers else text


def reason_text(reason: dict[str, Any]) -> str:
    kind = reason["policyType"]
    if "effect" not in reason:
        return reason.get("note") or f"no {kind} allows it"
    statement = reason.get("sid") or f"statement {reason['statement']}"
    return f"{reason['effect']} by {statement} of {reason['policy']} ({kind})"


def invite(console: Console, address: str, folder: Path) -> None:
    """Print requests to try, and wait."""
    give_password(address, ACCESS_KEYS["ada"], "rita", PASSWORD)
    key_id, secret = ACCESS_KEYS["rita"]
    console.print(f"\nThe service listens on {address}; its audit trail is {folder}/audit.jsonl. Try:\n")
    signed = f"curl --aws-sigv4 aws:amz:us-east-1:docs --user {key_id}:{secret}"
    console.print(f"  {signed} {address}/documents", soft_wrap=True)
    console.print(f"  {signed} {address}/documents/plan", soft_wrap=True)
    console.print(
        f"  AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID={key_id} AWS_SECRET_ACCESS_KEY={secret} \\\n"
        f"    aws --endpoint-url {address}/iam sts get-caller-identity",
        soft_wrap=True,
    )
    console.print(f"  curl -H 'Authorization: Bearer {API_KEYS['robot']}' {address}/documents", soft_wrap=True)
    console.print(f"  tail -f {folder}/audit.jsonl\n", soft_wrap=True)
    console.print(f"Or open {address}/documents/plan in a browser, and sign in:", soft_wrap=True)
    console.print(f"  account acme, user name rita, password {PASSWORD}\n\nStop with Ctrl-C.", soft_wrap=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
