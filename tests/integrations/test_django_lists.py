"""`permitted` of querysets, its `Q`, and what a model of Django may be declared with."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "iam_guard_django")

from django.db import connections  # noqa: E402
from django.db.models import Count, Exists, OuterRef, Q, Value  # noqa: E402
from django.test import override_settings  # noqa: E402
from iam_guard_django.lists import permitted_q  # noqa: E402

from iam_guard import Guard, NotFilterable, Principal, Service, TagRows, open_guard  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from iam_guard.model.request import Call  # noqa: E402
from iam_guard.web.call_context import CurrentCall, serving  # noqa: E402
from tests.filters.databases import DIALECTS  # noqa: E402
from tests.integrations.django_lists import (  # noqa: E402
    Document,
    Folder,
    LooseTag,
    Report,
    ReportTag,
    django_database,
    seed_text,
)
from tests.integrations.django_project import project  # noqa: E402

ACME, GLOBEX = "111122223333", "444455556666"
GET = "docs:GetReport"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TAGS = TagRows(ReportTag, owner="report", key="key", value="value")
KEYS = {
    "docs:Stage": "stage",
    "docs:Folder": "folder",
    "docs:Address": "address",
    "docs:Created": "created_at",
    "docs:Public": "is_public",
}


def allow(condition: Any = None, resource: str = "*", effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": "docs:*", "Resource": resource, "Condition": condition or {}}


def deny(condition: Any = None, resource: str = "*") -> dict[str, Any]:
    return allow(condition, resource, "Deny")


FIRST = uuid.UUID(int=0xA1)
ARN = f"arn:aws:docs:us-east-1:{ACME}:report"
USERS = {
    "all": [allow()],
    "none": [allow(effect="Deny")],
    "own-team": [allow({"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}})],
    "any-team": [allow({"Null": {"aws:ResourceTag/team": "false"}})],
    "no-team": [allow({"Null": {"aws:ResourceTag/TEAM": "true"}})],
    "not-red": [allow(), deny({"StringEquals": {"aws:ResourceTag/team": "red"}})],
    "red-or-less": [allow({"StringEqualsIfExists": {"aws:ResourceTag/team": "red"}})],
    "like": [allow({"StringLike": {"aws:ResourceTag/team": ["%*", "r?d", "*_"]}})],
    "not-like": [allow({"StringNotLike": {"aws:ResourceTag/team": "r*"}})],
    "for-all": [allow({"ForAllValues:StringEquals": {"aws:ResourceTag/team": ["red", "blue"]}})],
    "two-tags": [allow({"StringEquals": {"aws:ResourceTag/team": "red", "aws:ResourceTag/cost": "1"}})],
    "one": [allow(resource=f"{ARN}/{FIRST}")],
    "two": [allow(resource=f"{ARN}/{FIRST}"), allow(resource=f"{ARN}/{uuid.UUID(int=0xA2)}")],
    "not-one": [allow(), deny(resource=f"{ARN}/{FIRST}")],
    "capitals": [allow(resource=f"{ARN}/{str(FIRST).upper()}")],
    "elsewhere": [allow(resource=f"arn:aws:docs:us-east-1:{GLOBEX}:report/*")],
    "draft": [allow({"StringEquals": {"docs:Stage": "draft"}})],
    "not-draft": [allow({"StringNotEquals": {"docs:Stage": "draft"}})],
    "folder": [allow({"NumericEquals": {"docs:Folder": "1"}})],
    "no-folder": [allow({"Null": {"docs:Folder": "true"}})],
    "not-folder": [allow(), deny({"NumericLessThan": {"docs:Folder": "2"}})],
    "inside": [allow({"IpAddress": {"docs:Address": "10.0.0.0/8"}})],
    "outside": [allow({"NotIpAddress": {"docs:Address": "10.0.0.0/8"}})],
    "text": [allow({"StringEquals": {"docs:Address": "10.1.2.3"}})],
    "early": [allow({"DateLessThanEquals": {"docs:Created": "2026-01-01T12:00:00Z"}})],
    "late": [allow({"DateGreaterThan": {"docs:Created": "2026-01-01T12:00:00Z"}})],
    "exactly": [allow({"DateEquals": {"docs:Created": "2026-01-01T13:00:00+01:00"}})],
    "public": [allow({"Bool": {"docs:Public": "true"}})],
    "not-public": [allow(), deny({"Bool": {"docs:Public": "true"}})],
    "many": [allow({"StringEquals": {"docs:Stage": ["draft", "final", "x"]}, "Bool": {"docs:Public": ["true"]}})],
    "inside-now": [allow({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})],
}
HOSTILE = ["red", "Red", "blue", "", "r%d", "%", "_", "r_d", "réd", "red ", "😀", "'; --", "%s", "\\", "ROT", "x" * 50]


def declare(template: str = "report/{id}", **options: Any) -> Any:
    declared = {"model": Report, "account": "account", "tags": TAGS, "keys": KEYS} | options
    return Service("docs").resource_type("report", template, **declared)


def user(name: str) -> Principal:
    return Principal.from_arn(f"arn:aws:iam::{ACME}:user/{name}", tags={"team": "red"})


class Place(NamedTuple):
    """A database with reports, and a guard."""

    alias: str
    guard: Guard
    reports: Any

    @property
    def rows(self) -> Any:
        return Report.objects.using(self.alias)

    def permitted(self, name: str, **options: Any) -> Any:
        return self.rows.permitted(GET, principal=user(name), guard=self.guard, **options)

    def allowed(self, name: str) -> set[uuid.UUID]:
        """Return the ids of the reports that are allowed one by one."""
        resources = [(row.id, self.reports.resource_of(row)) for row in self.rows.all()]
        return {id for id, resource in resources if self.guard.decide(user(name), GET, resource).allowed}

    def q(self, name: str) -> Q:
        return permitted_q(Report, GET, principal=user(name), guard=self.guard)


@contextmanager
def opened(folder: Path, users: Any = USERS, **declared: Any) -> Iterator[tuple[Guard, Any]]:
    """Open a guard with these users, and yield it with the declared type of reports."""
    (folder / "iam.yaml").write_text(seed_text(users, ACME), encoding="utf-8")
    docs = Service("docs")
    options = {"account": "account", "tags": TAGS, "keys": KEYS} | declared
    reports = docs.resource_type("report", "report/{id}", model=Report, **options)
    with closing(open_guard(folder / "iam.yaml", services=[docs], audit=str(folder / "audit.jsonl"))) as guard:
        yield guard, reports


@pytest.fixture(scope="module", params=DIALECTS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("lists")
    with django_database(request.param) as alias, opened(folder) as (guard, reports):
        _insert(alias)
        yield Place(alias, guard, reports)


def _insert(alias: str) -> None:
    folders = [Folder(id=1, name="one"), Folder(id=2, name="two", parent_id=1)]
    Folder.objects.using(alias).bulk_create(folders)
    addresses = ["10.1.2.3", "11.0.0.0", "2001:db8::1", None]
    for number, team in enumerate([*HOSTILE, None, None, "red", "red"]):
        report = Report.objects.using(alias).create(
            id=uuid.UUID(int=0xA1 + number),
            account=GLOBEX if number == 5 else ACME,
            folder_id=[1, 2, None][number % 3],
            stage=["draft", "final"][number % 2],
            address=addresses[number % 4],
            created_at=[NOON, NOON - timedelta(microseconds=1), NOON + timedelta(microseconds=1), None][number % 4],
            is_public=number % 3 == 0,
        )
        if team is not None:
            ReportTag.objects.using(alias).create(report=report, key="team", value=team)
        ReportTag.objects.using(alias).create(report=report, key="Cost", value=str(number % 2))


def ids(rows: Any) -> set[uuid.UUID]:
    return set(rows.values_list("id", flat=True))


# --- the rows ----------------------------------------------------------------------------------------------------


def test_list_has_the_rows_that_decisions_allow(place: Place, subtests: pytest.Subtests) -> None:
    sizes = {}
    for name in USERS:
        with subtests.test(name):
            found = ids(place.permitted(name))
            assert found == place.allowed(name)
            sizes[name] = len(found)
    assert sizes["none"] == sizes["capitals"] == sizes["elsewhere"] == 0
    assert sizes["all"] == len(HOSTILE) + 3
    assert sum(0 < size < sizes["all"] for size in sizes.values()) > 20


def test_list_combines_with_other_conditions(place: Place) -> None:
    """Filters, an order with a limit, counts, values, subqueries, joins and updates of the same table."""
    red = place.permitted("own-team")
    expected = place.allowed("own-team")
    drafts = {row.id for row in place.rows.filter(stage="draft")}
    assert len(expected) == 3
    assert ids(red.filter(stage="draft")) == expected & drafts
    assert ids(red.exclude(stage="draft")) == expected - drafts
    assert list(red.order_by("-id").values_list("id", flat=True)[:2]) == sorted(expected, reverse=True)[:2]
    assert red.count() == red.distinct().count() == 3
    assert red.exists()
    assert {row.folder and row.folder.name for row in red.select_related("folder__parent")} <= {"one", "two", None}
    assert ids(red.filter(folder__name="one")) == {row.id for row in place.rows.filter(folder=1)} & expected
    assert ids(place.rows.filter(id__in=red.values("id"))) == expected
    tagged = Exists(red.filter(id=OuterRef("report_id")))
    assert {tag.report_id for tag in ReportTag.objects.using(place.alias).filter(tagged)} == expected
    assert {tag.report_id for tag in ReportTag.objects.using(place.alias).filter(report__in=red)} == expected
    groups = red.values("stage").annotate(number=Count("id")).order_by("stage")
    assert sum(group["number"] for group in groups) == 3
    assert ids(place.permitted("any-team") & red) == expected
    assert ids(red | place.permitted("one")) == expected | place.allowed("one")
    assert red.filter(stage="draft").update(notes=b"100%") == len(expected & drafts)


def test_condition_of_q_is_combined_and_negated(place: Place) -> None:
    """Its negation has the rows that are not permitted, those without a value included."""
    everything, red = ids(place.rows), place.allowed("own-team")
    drafts = {row.id for row in place.rows.filter(stage="draft")}
    assert ids(place.rows.filter(place.q("own-team"))) == red
    assert ids(place.rows.filter(copy.deepcopy(place.q("own-team")))) == red
    assert ids(place.rows.filter(place.q("own-team") | Q(stage="draft"))) == red | drafts
    assert ids(place.rows.filter(place.q("own-team") & Q(stage="draft"))) == red & drafts
    assert ids(place.rows.filter(place.q("all") | Q(stage="draft"))) == place.allowed("all") | drafts
    for name in ("own-team", "inside", "early", "folder", "all", "none", "like"):
        assert ids(place.rows.exclude(place.q(name))) == everything - place.allowed(name)
        assert ids(place.rows.filter(~place.q(name))) == everything - place.allowed(name)
    shown = place.rows.annotate(may=place.q("inside")).values_list("id", "may")
    assert {id for id, may in shown if may} == place.allowed("inside")
    assert {bool(may) is may or may in (0, 1) for _, may in shown} == {True}


def test_list_is_one_query(place: Place) -> None:
    queries: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    with connections[place.alias].execute_wrapper(note):
        assert len(place.permitted("own-team")) == 3
    assert len(queries) == 1


def test_list_is_recorded_once(place: Place, tmp_path: Path) -> None:
    with opened(tmp_path) as (guard, _):
        rows = place.rows.permitted(GET, principal=user("own-team"), guard=guard)
        assert rows.count() == len(rows) == 3
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    [record] = [line for line in lines if line["eventName"] == "FilterList"]
    assert record["iamGuard"]["filter"]["outcome"] == "some"
    assert record["iamGuard"]["filter"]["resourceType"] == "docs report"


# --- the guard and the caller ------------------------------------------------------------------------------------


def test_guard_is_that_of_the_call_or_of_the_settings(place: Place) -> None:
    expected = place.allowed("own-team")
    with serving(CurrentCall(place.guard, user("own-team"), Call("1"))):
        assert ids(place.rows.permitted(GET)) == expected
    with project(place.guard):
        assert ids(place.rows.permitted(GET, principal=user("own-team"))) == expected
        with pytest.raises(ConfigurationError, match="expected a principal"):
            place.rows.permitted(GET)
    with pytest.raises(ConfigurationError, match="IAM_GUARD"), override_settings(IAM_GUARD=None):
        place.rows.permitted(GET, principal=user("own-team"))


def test_list_follows_the_call_and_the_context(place: Place) -> None:
    inside = Call("1", kind="http", source_ip="10.1.2.3")
    assert ids(place.permitted("inside-now", call=inside)) == place.allowed("all")
    assert not place.permitted("inside-now").exists()
    assert ids(place.permitted("draft", context={"docs:Stage": "draft"})) == place.allowed("all")


def test_loaded_reports_are_decided_about(place: Place) -> None:
    rows = list(place.rows.all())
    permitted = place.guard.permitted(rows, GET, principal=user("own-team"))
    assert {row.id for row in permitted} == place.allowed("own-team")
    other = next(row for row in rows if row.id not in place.allowed("own-team"))
    assert place.guard.lists.why_not(other, GET, principal=user("own-team")).outcome != "Allowed"


def test_model_of_no_resource_type_is_refused(place: Place) -> None:
    with pytest.raises(ConfigurationError, match="got `Document`"):
        Document.objects.permitted(GET, principal=user("all"), guard=place.guard)


def test_condition_in_a_query_of_another_model_is_refused(place: Place) -> None:
    """Its columns might have the same names."""
    with pytest.raises(ConfigurationError, match="expected a query of `Report`, got one of `Folder`"):
        len(Folder.objects.using(place.alias).filter(place.q("all")))


def test_proxy_of_the_model_is_filtered(place: Place) -> None:
    class Draft(Report):
        class Meta:
            app_label = f"proxies_of_{place.alias}"
            proxy = True

    found = Draft.objects.using(place.alias).permitted(GET, principal=user("own-team"), guard=place.guard)
    assert ids(found) == place.allowed("own-team")


def test_datetimes_in_local_time_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = place.permitted("early")
    monkeypatch.setitem(connections[place.alias].__dict__, "timezone_name", "Europe/Berlin")
    with pytest.raises(NotFilterable, match="Europe/Berlin"):
        len(rows)


def test_policy_that_cannot_be_translated_is_named(place: Place, tmp_path: Path) -> None:
    odd = allow({"StringEqualsIgnoreCase": {"aws:ResourceTag/team": "a"}})
    refused = pytest.raises(NotFilterable, match="StringEqualsIgnoreCase")
    with opened(tmp_path, {"odd": [odd]}) as (guard, _), refused as caught:
        place.rows.permitted(GET, principal=user("odd"), guard=guard)
    assert (caught.value.policy, caught.value.statement) == ("user/odd/own", "0")


def test_uuid_is_part_of_a_longer_name(place: Place, tmp_path: Path) -> None:
    """SQLite stores it without hyphens."""
    pattern = f"arn:aws:docs:us-east-1:{ACME}:*/report/00000000-*-0000000000a?"
    docs = Service("docs")
    reports = docs.resource_type("report", "{stage}/report/{id}", model=Report, account="account")
    (tmp_path / "iam.yaml").write_text(seed_text({"pat": [allow(resource=pattern)]}, ACME), encoding="utf-8")
    with closing(open_guard(tmp_path / "iam.yaml", services=[docs])) as guard:
        found = ids(place.rows.permitted(GET, principal=user("pat"), guard=guard))
        decided = [guard.decide(user("pat"), GET, reports.resource_of(row)).allowed for row in place.rows.all()]
    assert len(found) == sum(decided) > 10


# --- declarations ------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown field": (lambda: declare(keys={"docs:Size": "size"}), "expected the name of a field of `Report`"),
    "no name": (lambda: declare(account=Report.stage), "expected the name of a field"),
    "bytes": (lambda: declare(keys={"docs:Notes": "notes"}), "got `notes`, a `BinaryField`"),
    "no text": (lambda: declare(account="created_at"), "expected text as the account"),
    "no JSON": (lambda: declare(tags="stage"), "expected a JSON column or `TagRows`"),
    "not unique": (
        lambda: declare(tags=TagRows(LooseTag, owner="report", key="key", value="value")),
        "expected a unique constraint on `report_id` and `key`",
    ),
    "tags of another model": (
        lambda: declare(model=Folder, account=ACME, keys={}, template="folder/{id}"),
        "expected an owner of tags that refers to `Folder`, got one of `Report`",
    ),
    "unknown parameter": (
        lambda: Service("docs").resource_type("report", "report/{slug}", model=Report, account=ACME),
        "expected the name of a field of `Report`, got `'slug'`",
    ),
    "no model": (lambda: declare().for_django(Report.objects), "expected a model of Django"),
    "other key": (
        lambda: declare().for_django(Document, keys={"docs:Other": "title"}),
        "expected a declared condition key, got `docs:other`",
    ),
    "abstract": (lambda: declare(model=Document.__mro__[1]), "expected a model of one table, got `Columns`"),
}


def test_declaration_that_cannot_be_exact_is_refused(subtests: pytest.Subtests) -> None:
    for name, (declaration, message) in REFUSED.items():
        with subtests.test(name), pytest.raises(ConfigurationError) as caught:
            declaration()
        assert message in str(caught.value), name


def test_field_of_another_class_is_refused() -> None:
    """It may load another value than the database compares."""
    from django.db import models

    class Sealed(models.CharField):
        def from_db_value(self, value: Any, *rest: Any) -> Any:
            return value and value[::-1]

    class Letter(models.Model):
        body = Sealed(max_length=10)
        folded = models.CharField(max_length=10, db_collation="nocase")

        class Meta:
            app_label = "lists"

    for name in ("body", "folded"):
        with pytest.raises(ConfigurationError, match=f"got `{name}`"):
            Service("docs").resource_type("letter", "letter/{id}", model=Letter, account=ACME, keys={"docs:Body": name})


def test_decimals_are_filtered_where_they_are_exact(place: Place, tmp_path: Path) -> None:
    """In PostgreSQL; SQLite stores them as floating-point numbers."""
    users = {"dee": [allow({"NumericLessThan": {"docs:Price": "0.3"}})]}
    rows = place.rows.filter(account=ACME)
    rows.update(price=Value(None))
    rows.filter(stage="draft").update(price=Decimal("0.29"))
    rows.filter(stage="draft", is_public=True).update(price=Decimal("0.30"))
    is_sqlite = place.alias == "lists_sqlite"
    with opened(tmp_path, users, account=ACME, keys={"docs:Price": "price"}) as (guard, reports):
        listed = rows.permitted(GET, principal=user("dee"), guard=guard)
        with pytest.raises(NotFilterable, match="rounding error") if is_sqlite else nullcontext():
            found = ids(listed)
            assert 0 < len(found) < rows.count()
            decided = {row.id for row in rows if guard.decide(user("dee"), GET, reports.resource_of(row)).allowed}
            assert found == decided
