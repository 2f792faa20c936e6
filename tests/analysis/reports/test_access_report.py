"""The report as one page: its numbers, its completeness, and that texts of tenants stay texts."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256

from iam_guard.analysis.reports.access_report import report_html
from iam_guard.analysis.reports.sections import MAX_ROWS, PAGE_ROWS
from iam_guard.policy.grammar import shown
from tests.analysis.reports.sample_findings import (
    COMPANY,
    EMPTY,
    ESCALATION,
    EXTERNAL,
    UNUSED,
    external,
    hostile,
    large,
    path,
    unused,
)
from tests.analysis.reports.test_markup import Reader
from tests.tables import table


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def rows_of(page: str, anchor: str) -> list[str]:
    """Return the rows of the table with every finding of a section, as texts."""
    section = page.split(f'id="{anchor}"')[1].split("</section>")[0]
    tables = section[section.index("<summary>") :].split("<tbody>")[1:]
    rows = [row for table in tables for row in table.split("</tbody>")[0].split("<tr>")[1:]]
    return [read(row).text for row in rows]


def test_page_lists_every_finding() -> None:
    page = report_html(COMPANY)
    shared, idle, paths = (rows_of(page, anchor) for anchor in ("external", "unused", "escalation"))
    assert (len(shared), len(idle), len(paths)) == (len(EXTERNAL), len(UNUSED), len(ESCALATION))
    for finding in EXTERNAL:
        [name] = finding["principal"].values()
        texts = [finding["resource"], name, *finding["action"], *finding["condition"], *finding["condition"].values()]
        assert any(all(text in row for text in texts) for row in shared), finding
    for finding in UNUSED:
        names = [action["action"] for action in finding.get("actions", ())]
        texts = [finding["resource"], finding.get("accessKeyId", ""), finding.get("serviceNamespace", ""), *names]
        assert any(all(text in row for text in texts) for row in idle), finding
    for found in ESCALATION:
        texts = [found["from"], *(value for step in found["steps"] for value in step.values())]
        assert any(all(text in row for text in texts) for row in paths), found


def test_public_access_and_administrators_come_first() -> None:
    page = report_html(COMPANY)
    assert ["Public" in row for row in rows_of(page, "external")] == [True] * 2 + [False] * 8
    assert ["Administrator" in row for row in rows_of(page, "escalation")] == [True] * 4 + [False]
    assert "never" in rows_of(page, "unused")[0]


def test_resource_that_was_not_analysed_is_shown_like_a_public_one() -> None:
    """Unknown is never shown as safe."""
    failed = {**external("arn:aws:sqs:eu:1:q", "AWS::SQS::Queue", {}), "error": "the policy has more than <limit>"}
    page = report_html(replace(EMPTY, external=[*EXTERNAL[1:2], failed]))
    assert ["Not analysed" in row and "more than <limit>" in row for row in rows_of(page, "external")] == [True, False]
    assert [text for text in ("1 not analysed", "1 resource could not be analysed") if text not in page] == []
    alone = report_html(replace(EMPTY, external=[failed]))
    assert "No other resource can be reached" in alone
    assert alone.count("✓ 0") == 2
    assert len(rows_of(alone, "external")) == 1


def test_excluded_actions_and_verified_fixes_are_shown() -> None:
    more = {"notAction": ["sqs:Purge*"], "suggestedFix": {"sentence": "remove 444455556666 from the principals"}}
    [row] = rows_of(report_html(replace(EMPTY, external=[{**EXTERNAL[1], **more}])), "external")
    assert "sqs:SendMessage, sqs:GetQueueUrl except sqs:Purge*" in row
    assert "Verified fix: remove 444455556666 from the principals" in row


@table(
    "report, texts",
    [
        (COMPANY, ["9 resources can be reached from outside the zone of trust, by 5 outside parties; 2 are public."]),
        (
            COMPANY,
            ["8 principals have unused access: 2 roles, 1 password, 3 access keys, 11 services with unused"],
        ),
        (COMPANY, ["5 principals have access that was never used.", "4 principals can become administrator."]),
        (COMPANY, ["seed.yaml", "29 November 2026, 02:10 UTC"]),
        (EMPTY, ["No resource can be reached", "No role, password, access key or permission is unused", "✓ 0"]),
        (EMPTY, ["No principal can become another one, or an administrator."]),
        (replace(EMPTY, unused=None), ["unknown", "Unused access was not analysed."]),
        (
            replace(EMPTY, external=[external("a", "docs:x", {"AWS": "1" * 12}, "docs:Get")]),
            ["1 resource can", "1 outside party; none is public"],
        ),
        (
            replace(EMPTY, unused=[unused("UnusedIAMRole", "arn:aws:iam::1:role/a", 91)]),
            ["1 principal has unused access: 1 role. None has access"],
        ),
        (
            replace(EMPTY, escalation=[path("a", "b", ("x:Y", "b", "w"))]),
            ["1 principal can become another principal, none an administrator."],
        ),
        (
            replace(
                EMPTY, escalation=[path("a", "administrator", ("x:Y", "b", "w")), path("c", "b", ("x:Y", "b", "w"))]
            ),
            ["1 principal can become administrator, and 1 only another principal."],
        ),
    ],
)
def test_sentences_say_what_was_found(report: object, texts: list[str]) -> None:
    shown_text = read(report_html(report)).text  # type: ignore[arg-type]
    assert [text for text in texts if text not in shown_text] == []


def test_heat_map_says_in_words_what_its_shades_show() -> None:
    page = report_html(COMPANY)
    cells = re.findall(r'<td class="level-(\d)">(.*?)</td>', page)
    assert len(cells) == 16  # two access keys of a user share a cell
    for level, cell in cells:
        text = read(cell).text
        days = re.search(r"(\d+) days", text)
        expected = 4 if "never" in text else 3 if int(days[1]) >= 365 else 2 if int(days[1]) >= 180 else 1  # type: ignore[index]
        assert int(level) == expected, text


def test_hostile_texts_stay_texts() -> None:
    """Every element and attribute is ours, and each text is shown whole, up to its limit."""
    report = hostile()
    reader = read(report_html(report))
    expected = read(report_html(COMPANY))
    assert set(reader.tags) == set(expected.tags)
    names = {name for name, _ in reader.attributes}
    assert names == {name for name, _ in expected.attributes}
    assert not names & {"src", "style", "srcset", "action"}
    assert not [name for name in names if name.startswith("on")]
    links = {value for name, value in reader.attributes if name == "href"}
    assert links == {"#findings", "#external", "#unused", "#escalation"}
    for finding in report.external:
        assert shown(finding["resource"]) in reader.text


def test_page_loads_nothing_and_allows_only_its_style() -> None:
    page = report_html(COMPANY)
    assert not set(read(page).tags) & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    style = page.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policies = [value for name, value in read(page).attributes if name == "content" and "default-src" in (value or "")]
    assert policies == [f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"]


def test_ids_are_unique_and_references_exist() -> None:
    reader = read(report_html(COMPANY))
    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    references = {
        name
        for key, value in reader.attributes
        if key in {"aria-labelledby", "href"}
        for name in (value or "").removeprefix("#").split()
    }
    assert references <= set(ids)


def test_many_findings_are_aggregated_and_the_limit_is_stated() -> None:
    page = report_html(large(MAX_ROWS + 1))
    assert page.count("<tr><th") < 3 * (MAX_ROWS + 50)
    assert f"The first {MAX_ROWS:,} are listed" in page
    assert f"({MAX_ROWS + 1:,})" in page
    assert len(rows_of(page, "external")) == MAX_ROWS
    assert "External access, every finding, 501 to 1,000" in page
    assert page.count("<table>") == 3 * MAX_ROWS // PAGE_ROWS
    assert "<details open" not in page
    assert [text for text in ("docs document", "28 more", "23 more", "981 more", "user/*") if text not in page] == []
