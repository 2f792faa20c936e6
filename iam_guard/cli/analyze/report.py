"""`iam-guard analyze report`: external access, unused access and escalation on one page for people."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from iam_guard.analysis.escalation.escalation_search import escalations
from iam_guard.analysis.findings.external_access import ExternalFinding, external_findings
from iam_guard.analysis.findings.shared_resources import read_shared_resources, read_zones
from iam_guard.analysis.findings.unused_findings import AGES, DEFAULT_AGE, unused_findings
from iam_guard.analysis.reports.access_report import AccessReport, report_html
from iam_guard.cli.analyze.screenshot import find_browser, write_screenshot
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.reference_options import APP, REFERENCE, known_references
from iam_guard.policy.grammar import shown
from iam_guard.settings import load_settings
from iam_guard.store.location import is_seed_file, store_name
from iam_guard.store.opening import open_store
from iam_guard.store.protocol import SourceStore

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--html", "page", type=_FILE, help="Write the report to this file, as one HTML page.")
@click.option("--png", "picture", type=_FILE, help="Write a picture of the page to this file, by an installed browser.")
@click.option(
    "--browser",
    metavar="PROGRAM",
    help="Take the picture with this program; default: Chromium, Chrome or Edge, the first that is installed.",
)
@click.option(
    "--zone",
    type=click.Choice(["account", "organization"]),
    default="account",
    show_default=True,
    help="Trust the account of each resource, or its organization.",
)
@click.option(
    "--age",
    type=click.IntRange(*AGES),
    default=DEFAULT_AGE,
    show_default=True,
    metavar="DAYS",
    help="Report access that was not used for this many days.",
)
@APP
@REFERENCE
@STORE
@answering
@relaxed_gc()
def command(
    page: Path | None,
    picture: Path | None,
    browser: str | None,
    zone: str,
    age: int,
    app: str | None,
    reference_files: tuple[Path, ...],
    store: str,
) -> Answer:
    """Write external access, unused access and escalation as one HTML page for people.

    Without a file, only a sentence about each is printed. Exit code 0 if there is nothing to report, 1 if there is
    anything, 2 if a policy could not be analysed.
    """
    program = find_browser(browser) if picture is not None else ""  # a missing one is reported before the work
    settings, references = load_settings(), known_references(app, reference_files)
    time = datetime.now(UTC)
    with closing(open_store(store, settings)) as opened:
        external = _external(opened, is_organization=zone == "organization")
        with progress("searching unused access"):
            unused = None  # a seed file records no use
            if not is_seed_file(store):
                unused = unused_findings(opened, None, now=int(time.timestamp()), age=age, references=references)
        with progress("searching escalation"):
            escalation = escalations(opened, settings=settings)
    found = AccessReport(
        store_name(store),
        time,
        [finding.to_dict() for finding in external],
        None if unused is None else [finding.to_dict() for finding in unused],
        escalation.to_dict()["paths"],
        escalation.to_dict()["administrators"],
    )
    if page is not None or picture is not None:
        _write(report_html(found), page, picture, program)
    is_broken = any(finding.get("error") for finding in found.external)
    return Answer(
        _as_json(found),
        [shown(f"{section.title}: {section.summary}") for section in found.sections],
        exit_code=2 if is_broken else 1 if found.external or found.unused or found.escalation else 0,
        indent=2,
    )


def _external(store: SourceStore, *, is_organization: bool) -> list[ExternalFinding]:
    """Return the external access to all resources and roles of one state of the store."""
    with store.at_once():
        zones = read_zones(store, organization=is_organization)
        resources = list(read_shared_resources(store))
    found: list[ExternalFinding] = []
    with progress("searching external access", lambda: len(resources), unit="resources") as advance:
        for resource in resources:
            found += external_findings(resource, zones[resource.account])
            advance(1)
    return found


def _write(text: str, page: Path | None, picture: Path | None, browser: str) -> None:
    if page is not None:
        page.write_text(text, encoding="utf-8")
    if picture is not None:
        with progress("drawing"):
            write_screenshot(text, picture, browser)


def _as_json(report: AccessReport) -> dict[str, Any]:
    """Return each part in the form of its own command; None for one that was not analysed."""
    return {
        "external": {"findings": list(report.external)},
        "unused": None if report.unused is None else {"findings": list(report.unused)},
        "escalation": {"paths": list(report.escalation), "administrators": list(report.administrators)},
    }
