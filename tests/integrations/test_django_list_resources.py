"""Questions by ARN about rows of Django's models: `ModelResources`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "iam_guard_django")

from django.db import connections, models, transaction  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import AsyncClient, Client, override_settings  # noqa: E402
from django.urls import path  # noqa: E402
from iam_guard_django.lists import PermittedQuerySet  # noqa: E402
from iam_guard_django.resources import ModelResources  # noqa: E402

from iam_guard import Guard, NotFilterable, Principal, Service, TagRows, open_guard  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from iam_guard.filters.mapped_resources import MappedResources  # noqa: E402
from iam_guard.model.request import Call  # noqa: E402
from iam_guard.testing import as_principal  # noqa: E402
from iam_guard.web.call_context import CurrentCall, serving  # noqa: E402
from tests.filters.databases import DIALECTS  # noqa: E402
from tests.filters.models import DOCUMENTS  # noqa: E402
from tests.integrations.django_lists import (  # noqa: E402
    Document,
    Folder,
    Report,
    ReportTag,
    django_database,
    seed_text,
)
from tests.integrations.django_project import project  # noqa: E402

ACME, GLOBEX = "111122223333", "444455556666"
FIRST, SECOND = uuid.UUID(int=0xA1), uuid.UUID(int=0xA2)


class Shown(models.Manager):  # type: ignore[misc]  # Django has no types
    """A manager that hides rows."""

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(is_hidden=False)


class Note(models.Model):  # type: ignore[misc]  # Django has no types
    slug = models.TextField()
    account = models.CharField(max_length=12, db_column="Owner of it")
    is_hidden = models.BooleanField(default=False)
    every = PermittedQuerySet.as_manager()
    objects = Shown()

    class Meta:
        app_label = "resources"
        base_manager_name = "objects"


class NoteTag(models.Model):  # type: ignore[misc]  # Django has no types
    note = models.ForeignKey(Note, models.CASCADE, db_column="of note")
    key = models.TextField()
    value = models.TextField()
    is_hidden = models.BooleanField(default=True)
    objects = Shown()

    class Meta:
        app_label = "resources"
        base_manager_name = "objects"
        unique_together = (("note", "key"),)


class Shouted(models.TextField):  # type: ignore[misc]  # Django has no types
    """A field whose values are other ones in Python than in the database."""

    def to_python(self, value: Any) -> Any:
        return value if value is None else str(value).upper()


RED = {"StringEquals": {"aws:ResourceTag/team": "red"}}
USERS = {
    "all": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}],
    "red": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*", "Condition": RED}],
    "open": [
        {"Effect": "Allow", "Action": "docs:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "docs:*", "Resource": "*", "Condition": RED},
    ],
}


def user(name: str, account: str = ACME) -> Principal:
    return Principal.from_arn(f"arn:aws:iam::{account}:user/{name}")


def arn(name: str, account: str = ACME) -> str:
    return f"arn:aws:docs:us-east-1:{account}:{name}"


def declared() -> tuple[Service, dict[str, Any]]:
    docs = Service("docs")
    tags = TagRows(ReportTag, owner="report", key="key", value="value")
    note_tags = TagRows(NoteTag, owner="note", key="key", value="value")
    reports = docs.resource_type(
        "report", "report/{id}", model=Report, account="account", tags=tags, keys={"docs:Stage": "stage"}
    )
    notes = docs.resource_type("note", "note/{id}", model=Note, account="account", tags=note_tags)
    slugs = docs.resource_type("slug", "slug/{slug}", model=Note, account="account")
    documents = docs.resource_type(
        "document",
        "document/{number}",
        model=Document,
        account="account",
        tags="tags",
        keys={"docs:Class": "classification"},
    )
    return docs, {"report": reports, "note": notes, "slug": slugs, "document": documents}


@contextmanager
def tables(alias: str) -> Iterator[None]:
    with connections[alias].schema_editor() as editor:
        for model in (Note, NoteTag):
            editor.create_model(model)
    yield


@pytest.fixture(scope="module", params=DIALECTS)
def alias(request: pytest.FixtureRequest) -> Iterator[str]:
    with django_database(request.param) as alias, tables(alias):
        insert(alias)
        yield alias


def insert(alias: str) -> None:
    Report.objects.using(alias).create(id=FIRST, account=ACME, stage="draft")
    Report.objects.using(alias).create(id=SECOND, account=GLOBEX, stage="draft")
    ReportTag.objects.using(alias).create(report_id=FIRST, key="team", value="red")
    Document.objects.using(alias).create(number=7, account=ACME, classification="a", tags={"team": "red", "cost": 1})
    Document.objects.using(alias).create(number=8, account="none", tags={"team": "red"})
    Document.objects.using(alias).create(number=9, account=None)
    note = Note.every.using(alias).create(id=1, slug="a", account=ACME, is_hidden=True)
    Note.every.using(alias).create(id=2, slug="a", account=ACME)
    Note.every.using(alias).create(id=3, slug="B", account=ACME)
    NoteTag.objects.using(alias).create(note=note, key="team", value="red")


@pytest.fixture
def load(alias: str) -> Callable[[str], Any]:
    _, types = declared()
    return ModelResources(*types.values(), using=alias)


@contextmanager
def opened(folder: Path, resources: Callable[[dict[str, Any]], Any]) -> Iterator[Guard]:
    (folder / "iam.yaml").write_text(seed_text(USERS, ACME), encoding="utf-8")
    docs, types = declared()
    with closing(open_guard(folder / "iam.yaml", services=[docs], resources=resources(types))) as guard:
        yield guard


# --- the resource ------------------------------------------------------------------------------------------------


def test_row_has_the_data_of_its_declaration(load: Callable[[str], Any]) -> None:
    report = load(arn(f"report/{FIRST}"))
    assert (report.arn, report.account) == (arn(f"report/{FIRST}"), ACME)
    assert (report.tags, report.keys) == ({"team": "red"}, {"docs:Stage": "draft"})
    document = load(arn("document/7"))
    assert (document.tags, document.keys) == ({"team": "red"}, {"docs:Class": "a"})


UNKNOWN = [
    *("", "arn", "*", "arn:aws:docs", "report/1", arn(""), arn("report"), arn("report/"), arn("report/*")),
    *(arn("folder/7"), arn(f"document/{FIRST}"), arn("report/7"), arn(f"report/{uuid.UUID(int=1)}")),
    *(arn(f"report/{FIRST}", GLOBEX), arn(f"report/{SECOND}"), arn("document/7", GLOBEX), arn("document/7", "")),
    *(arn("document/abc"), arn("document/07"), arn("document/+7"), arn("document/ 7"), arn("document/７")),
    *(arn("document/-1"), arn("document/" + "9" * 5000), arn(f"document/{2**63}"), arn(f"document/{2**31}")),
    *(arn("document/7\0"), arn("document/\0"), arn("slug/a\0"), arn("slug/\ud800"), arn("slug/A"), arn("slug/b")),
    *(arn("slug/%"), arn("slug/_"), arn("slug/"), arn("slug/?"), arn("slug/'"), arn("slug/" + "a" * 100_000)),
    *(arn("document/8", "none"), arn("document/8"), arn("document/9", "None"), arn("document/9", "")),
    *(arn(f"report/{str(FIRST).upper()}"), arn(f"report/{FIRST.hex}"), arn(f"report/{{{FIRST}}}")),
    *(arn(f"report/{FIRST}/"), arn(f"report/{FIRST}:"), arn(f"report/{FIRST} "), f"arn:aws:docs:eu-west-1:{ACME}:x"),
    *(f"arn:aws-cn:docs:us-east-1:{ACME}:document/7", f"arn:aws:other:us-east-1:{ACME}:document/7"),
]


def test_other_arn_has_no_resource(load: Callable[[str], Any], alias: str) -> None:
    """Nor does it make the database fail, which would end the caller's transaction."""
    with transaction.atomic(using=alias):
        assert {name[:80]: load(name) for name in UNKNOWN if load(name) is not None} == {}
        assert load(arn("document/7")) is not None


def test_several_rows_of_one_arn_are_refused(load: Callable[[str], Any]) -> None:
    assert load(arn("slug/B")).arn == arn("slug/B")
    with pytest.raises(ConfigurationError, match="expected a declaration whose parameters are a key"):
        load(arn("slug/a"))


def test_manager_hides_neither_rows_nor_tags(load: Callable[[str], Any], alias: str) -> None:
    assert not Note.objects.using(alias).filter(id=1).exists()
    assert load(arn("note/1")).tags == {"team": "red"}
    assert load(arn("note/2")).tags == {}


def test_row_is_read_in_one_query(load: Callable[[str], Any], alias: str) -> None:
    """Tags in rows take a second one, and other names none."""
    queries: list[str] = []

    def record(execute: Any, sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    with connections[alias].execute_wrapper(record):
        for name, number in ((arn("document/7"), 1), (arn(f"report/{FIRST}"), 2), (arn("document/abc"), 1)):
            queries.clear()
            load(name)
            assert len(queries) <= number, queries


def test_row_that_moves_to_another_account_has_another_arn(load: Callable[[str], Any], alias: str) -> None:
    with transaction.atomic(using=alias):
        Note.every.using(alias).filter(id=3).update(account=GLOBEX)
        assert load(arn("note/3")) is None
        assert load(arn("note/3", GLOBEX)).account == GLOBEX
        transaction.set_rollback(True, using=alias)


def test_second_model_of_a_type_is_read(alias: str) -> None:
    """`for_django` of a type with a model of SQLAlchemy."""
    mapping = DOCUMENTS.declare()
    with pytest.raises(ConfigurationError, match="expected a model of Django, got `Document`"):
        ModelResources(mapping)
    django = mapping.for_django(Document)
    row = Document.objects.using(alias).get(number=7)
    row.id = 70
    row.save(using=alias)
    resource = mapping.resource_of(row)
    assert ModelResources(mapping, using=alias)(resource.arn) == resource
    with pytest.raises(ConfigurationError, match="expected a model of SQLAlchemy, got `Document` of Django"):
        MappedResources(lambda: pytest.fail("no session"), django)


def test_field_with_other_values_in_python_is_refused() -> None:
    class Shout(models.Model):  # type: ignore[misc]  # Django has no types
        name = Shouted(primary_key=True)

        class Meta:
            app_label = "resources"

    with pytest.raises(ConfigurationError, match="got `name`, a `Shouted`"):
        Service("docs").resource_type("shout", "shout/{name}", model=Shout, account=ACME)


# --- decisions ---------------------------------------------------------------------------------------------------


def test_decision_by_arn_follows_the_tags(alias: str, tmp_path: Path) -> None:
    """As of the loaded object, and lists still work. Callers of another account can't use this one in the name."""
    with opened(tmp_path, lambda types: ModelResources(*types.values(), using=alias)) as guard:
        for name, allowed in (("red", True), ("open", False), ("all", True)):
            for resource in (f"report/{FIRST}", "document/7", "note/1"):
                assert guard.decide(user(name), "docs:GetIt", arn(resource)).allowed is allowed, (name, resource)
        assert not guard.decide(user("red"), "docs:GetIt", arn("note/2")).allowed
        assert not guard.decide(user("all"), "docs:GetIt", arn(f"report/{SECOND}", GLOBEX)).allowed
        assert not guard.decide(user("red"), "docs:GetIt", arn(f"report/{SECOND}")).allowed
        assert guard.decide(user("open"), "docs:GetIt", arn("slug/a")).error is not None
        listed = Report.objects.using(alias).permitted("docs:GetIt", principal=user("red"), guard=guard)
        assert [row.id for row in listed] == [FIRST]


class ToOne:
    """A router that reads all rows from one database."""

    alias = ""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return self.alias


def test_router_names_the_database(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, types = declared()
    monkeypatch.setattr(ToOne, "alias", alias)
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.ToOne"]):
        from django.db import router

        monkeypatch.setattr(router, "routers", [ToOne()])
        assert ModelResources(types["document"])(arn("document/7")).tags == {"team": "red"}


@pytest.fixture
def file_alias(tmp_path: Path) -> Iterator[str]:
    """A database that other threads see."""
    alias = "resources_in_a_file"
    known = {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "rows.db"}
    connections.settings[alias] = connections.configure_settings({"default": {}, alias: known})[alias]
    try:
        with connections[alias].schema_editor() as editor:
            for model in (Folder, Report, ReportTag, Document, Note, NoteTag):
                editor.create_model(model)
        insert(alias)
        connections[alias].close()
        yield alias
    finally:
        connections[alias].close()
        del connections[alias], connections.settings[alias]


def test_asynchronous_decision_loads_in_a_thread(file_alias: str, tmp_path: Path) -> None:
    """Its connection is closed: Django closes only those of threads that serve requests."""
    docs = Service("docs")
    used = []

    def load(types: dict[str, Any]) -> Any:
        class Watched(ModelResources):
            def __call__(self, arn: str) -> Any:
                found = super().__call__(arn)
                used.append((connections[file_alias], connections[file_alias].connection))
                return found

        return Watched(*types.values(), using=file_alias)

    async def decide(guard: Guard, name: str) -> bool:
        with serving(CurrentCall(guard, user(name), Call("1"))):
            return (await docs.decide_async("GetIt", arn("document/7"))).allowed

    with opened(tmp_path, load) as guard:
        assert asyncio.run(decide(guard, "red"))
        assert not asyncio.run(decide(guard, "open"))
        assert {connection for _, connection in used} == {None}
        assert connections[file_alias] not in [wrapper for wrapper, _ in used]
        connections[file_alias].ensure_connection()
        assert guard.decide(user("red"), "docs:GetIt", arn("document/7")).allowed
        assert used[-1][1] is not None  # an open connection stays open


views = Service("docs")


@views.requires("GetIt", resource="document/{number}")
def read(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse("read")


@views.requires("GetIt", resource="document/{number}")
async def read_async(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse("read")


urlpatterns = [path("sync/<int:number>", read), path("async/<int:number>", read_async)]


def test_views_are_decided_by_the_tags_of_the_row(file_alias: str, tmp_path: Path) -> None:
    """Over WSGI and over ASGI."""

    def load(types: dict[str, Any]) -> ModelResources:
        return ModelResources(*types.values(), using=file_alias)

    async def statuses() -> list[int]:
        client = AsyncClient(raise_request_exception=False)
        return [(await client.get(f"/{kind}/7")).status_code for kind in ("sync", "async")]

    with opened(tmp_path, load) as guard, project(guard, ROOT_URLCONF=__name__):
        for name, status in (("red", 200), ("open", 403), ("all", 200)):
            with as_principal(user(name)):
                client = Client(raise_request_exception=False)
                assert [client.get(f"/{kind}/7").status_code for kind in ("sync", "async")] == [status, status]
                assert asyncio.run(statuses()) == [status, status]


def test_datetimes_in_local_time_are_a_denial(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their keys would be taken as UTC."""
    documents = Service("docs").resource_type(
        "document", "document/{number}", model=Document, account=ACME, keys={"docs:Created": "created_at"}
    )
    load = ModelResources(documents, using=alias)
    assert load(arn("document/7")) is not None
    monkeypatch.setitem(connections[alias].__dict__, "timezone_name", "Europe/Berlin")
    with pytest.raises(NotFilterable, match="Europe/Berlin"):
        load(arn("document/7"))


def test_decision_in_the_event_loop_is_a_denial(file_alias: str, tmp_path: Path) -> None:
    """Django refuses to query there."""
    with opened(tmp_path, lambda types: ModelResources(*types.values(), using=file_alias)) as guard:

        async def decide() -> Any:
            return guard.decide(user("all"), "docs:GetIt", arn("document/7"))

        decision = asyncio.run(decide())
        assert not decision.allowed
        assert "SynchronousOnlyOperation" in str(decision.error)
