"""`verify` finds wrong declarations about models of Django, and only these."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest

from tests.integrations.contract import needed

needed("django", "rest_framework", "iam_guard_django")

from django.core.checks import run_checks  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import connections, models  # noqa: E402
from django.db.models.signals import post_init  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.urls import path  # noqa: E402
from iam_guard_django.resources import ModelResources  # noqa: E402
from iam_guard_django.verification import verify  # noqa: E402
from sqlalchemy.orm import Session  # noqa: E402

from iam_guard import Service, TagRows  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from iam_guard.filters import verify as verify_session  # noqa: E402
from tests.filters.databases import DIALECTS, opened_engine  # noqa: E402
from tests.filters.mistakes import POSTGRESQL, SQLITE, Mistakes  # noqa: E402
from tests.filters.rows import make_rows  # noqa: E402
from tests.integrations.django_lists import (  # noqa: E402
    MODELS,
    Record,
    RecordTag,
    Report,
    ReportTag,
    django_database,
    insert_rows,
)
from tests.integrations.test_django_list_resources import Note, NoteTag  # noqa: E402

ACCOUNT = "111122223333"
_numbers = itertools.count()
MISTAKES = Mistakes()
found_as = MISTAKES.found_as


def make_model(*bases: type, **attributes: Any) -> Any:
    """Return a model with the columns `id` and `owner`, unless others are given; each has a table of its own."""
    label = f"mistakes{next(_numbers)}"
    meta = type("Meta", (), {"app_label": label, **attributes.pop("meta", {})})
    columns = {} if bases else {"owner": models.TextField(null=True)}
    return type("Paper", bases or (models.Model,), {"__module__": __name__, "Meta": meta, **columns, **attributes})


def declare(model: Any, template: str = "paper/{id}", account: Any = ACCOUNT, **options: Any) -> Any:
    return Service("docs").resource_type("paper", template, model=model, account=account, **options)


def create(alias: str, *created: Any) -> None:
    with connections[alias].schema_editor() as editor:
        for model in created:
            editor.create_model(model)


def fill(alias: str, model: Any, *rows: dict[str, Any]) -> None:
    """Create the table of a model, and rows in it."""
    create(alias, model)
    model._base_manager.using(alias).bulk_create([model(**row) for row in rows])


def run(alias: str, statement: str, model: Any) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement.replace("TABLE_NAME", model._meta.db_table))


OWNER = {"docs:Owner": "owner"}


# --- values that Python changes ----------------------------------------------------------------------------------


def shouting(cls: Any, *row: Any, **options: Any) -> Any:
    item = models.Model.from_db.__func__(cls, *row, **options)
    item.owner = item.owner and item.owner.upper()
    return item


@found_as("docs:Owner", "object `ANN`, query `ann`, in row 1 and 1 more")
def values_changed_at_loading(alias: str) -> Any:
    model = make_model(from_db=classmethod(shouting))
    fill(alias, model, {"owner": "ann"}, {"owner": "bob"})
    return declare(model, keys=OWNER)


@found_as("docs:Owner", "object `ANN`, query `ann`")
def proxy_that_changes_values(alias: str) -> Any:
    model = make_model()
    fill(alias, model, {"owner": "ann"})
    return declare(make_model(model, meta={"proxy": True}, from_db=classmethod(shouting)), keys=OWNER)


@found_as("docs:Owner", "object no value, query `  `")
def blanks_that_mean_absent(alias: str) -> Any:
    model = make_model()
    fill(alias, model, {"owner": "  "}, {"owner": ""}, {"owner": None})

    def strip(instance: Any, **_: Any) -> None:
        instance.owner = instance.owner and instance.owner.strip()

    post_init.connect(strip, sender=model, weak=False)
    return declare(model, keys=OWNER, absent={"docs:Owner": "empty"})


@found_as("docs:Owner", "object no value, query ``")
def empty_text_that_means_absent(alias: str) -> Any:
    """It should be declared with `absent="empty"`."""
    model = make_model()
    fill(alias, model, {"owner": ""}, {"owner": None}, {"owner": "ann"})
    post_init.connect(lambda instance, **_: setattr(instance, "owner", instance.owner or None), model, weak=False)
    return declare(model, keys=OWNER)


@found_as("{account}", "object `111122223333`, query `999988887777`")
def account_of_another_column(alias: str) -> Any:
    model = make_model(account=models.CharField(max_length=12), payer=models.CharField(max_length=12))
    fill(alias, model, {"account": "999988887777", "payer": ACCOUNT})
    post_init.connect(lambda instance, **_: setattr(instance, "account", instance.payer), model, weak=False)
    return declare(model, account="account")


@found_as("ARN", "object `arn:aws:docs:us-east-1:111122223333:paper/a-1`, query `arn:aws:docs:us-east-1:111122")
def parameter_in_another_form(alias: str) -> Any:
    model = make_model(slug=models.SlugField(unique=True))
    fill(alias, model, {"slug": "A-1"})
    post_init.connect(lambda instance, **_: setattr(instance, "slug", instance.slug.lower()), model, weak=False)
    return declare(model, "paper/{slug}")


# --- columns of another type in the database ---------------------------------------------------------------------


def altered(alias: str, statement: str, **attributes: Any) -> Any:
    """Return a model whose table is created by a statement of its own."""
    model = make_model(**attributes)
    run(alias, statement, model)
    return model


@found_as("docs:Owner", "compares texts byte by byte, got bpchar", POSTGRESQL)
def column_of_padded_type(alias: str) -> Any:
    return declare(altered(alias, "CREATE TABLE TABLE_NAME (id bigint PRIMARY KEY, owner char(10))"), keys=OWNER)


@found_as("{account}", "compares texts byte by byte, got bpchar", POSTGRESQL)
def account_of_padded_type(alias: str) -> Any:
    account = models.CharField(max_length=14)
    model = altered(alias, "CREATE TABLE TABLE_NAME (id bigint PRIMARY KEY, account char(14))", account=account)
    return declare(model, account="account")


@found_as("docs:Owner", "got a nondeterministic collation", POSTGRESQL)
def column_without_letter_case(alias: str) -> Any:
    name = f"no_case{next(_numbers)}"
    options = "provider = icu, locale = 'und-u-ks-level2', deterministic = false"
    model = altered(alias, f"CREATE COLLATION {name} ({options})")
    run(alias, f"CREATE TABLE TABLE_NAME (id bigint PRIMARY KEY, owner text COLLATE {name})", model)
    return declare(model, keys=OWNER)


@found_as("docs:Address", "stores text, got text", POSTGRESQL)
def address_as_text(alias: str) -> Any:
    """Django would compare it as INET."""
    address = models.GenericIPAddressField(null=True)
    model = altered(alias, "CREATE TABLE TABLE_NAME (id bigint PRIMARY KEY, address text)", address=address)
    return declare(model, keys={"docs:Address": "address"})


@found_as("docs:Created", "stores a datetime, got timestamp", POSTGRESQL)
def time_without_zone(alias: str) -> Any:
    created = models.DateTimeField(null=True)
    model = altered(alias, "CREATE TABLE TABLE_NAME (id bigint PRIMARY KEY, created timestamp)", created=created)
    return declare(model, keys={"docs:Created": "created"})


@found_as("docs:Size", "stores an integer, got TEXT", SQLITE)
def numbers_as_text(alias: str) -> Any:
    size = models.IntegerField(null=True)
    return declare(
        altered(alias, "CREATE TABLE TABLE_NAME (id INTEGER PRIMARY KEY, size TEXT)", size=size),
        keys={"docs:Size": "size"},
    )


@found_as("docs:Owner", "expected the column `Owner of it` in `mistakes")
def column_of_another_name(alias: str) -> Any:
    owner = models.TextField(db_column="Owner of it")
    model = altered(alias, "CREATE TABLE TABLE_NAME (id INTEGER PRIMARY KEY, owner text)", owner=owner)
    return declare(model, keys=OWNER)


@found_as("docs:Owner", "a column that is NOT NULL, got one that may be NULL")
def never_absent_but_nullable(alias: str) -> Any:
    model = make_model()
    fill(alias, model, {"owner": None})
    return declare(model, keys=OWNER, absent={"docs:Owner": "never"})


@found_as("ARN", "expected one row for `arn:aws:docs:us-east-1:111122223333:paper/ann`, got 2 rows")
def parameter_that_is_not_unique(alias: str) -> Any:
    model = make_model()
    fill(alias, model, {"owner": "ann"}, {"owner": "ann"}, {"owner": "Ann"}, {"owner": None}, {"owner": None})
    return declare(model, "paper/{owner}")


@found_as("database", "cannot filter a list: expected datetimes in UTC (`USE_TZ`)")
def datetimes_in_local_time(alias: str) -> Any:
    model = make_model(created=models.DateTimeField(null=True))
    fill(alias, model, {"created": None})
    connections[alias].__dict__["timezone_name"] = "Europe/Berlin"
    return declare(model, keys={"docs:Created": "created"})


# --- tags --------------------------------------------------------------------------------------------------------


def make_tagged() -> tuple[Any, Any, TagRows]:
    model = make_model()
    tag = make_model(
        paper=models.ForeignKey(model, models.CASCADE),
        key=models.TextField(),
        value=models.TextField(),
        meta={"unique_together": (("paper", "key"),)},
    )
    return model, tag, TagRows(tag, owner="paper", key="key", value="value")


@found_as("tags", "a unique constraint on `paper_id` and `key`, got none in the database")
def tags_without_constraint(alias: str) -> Any:
    model, tag, tags = make_tagged()
    create(alias, model)
    run(alias, "CREATE TABLE TABLE_NAME (id integer PRIMARY KEY, paper_id bigint, key text, value text)", tag)
    run(alias, f"CREATE UNIQUE INDEX i{next(_numbers)} ON TABLE_NAME (paper_id, key) WHERE value <> ''", tag)
    run(alias, f"CREATE UNIQUE INDEX i{next(_numbers)} ON TABLE_NAME (paper_id, lower(key))", tag)
    run(alias, f"CREATE UNIQUE INDEX i{next(_numbers)} ON TABLE_NAME (paper_id, key, value)", tag)
    return declare(model, tags=tags)


@found_as("tags", "compares texts byte by byte, got bpchar", POSTGRESQL)
def tags_of_padded_type(alias: str) -> Any:
    model, tag, tags = make_tagged()
    create(alias, model)
    columns = "id bigint, paper_id bigint, key text, value char(9), UNIQUE (paper_id, key)"
    run(alias, f"CREATE TABLE TABLE_NAME ({columns})", tag)
    return declare(model, tags=tags)


@found_as("tags", "an object of strings, query JSON of the type")
def tags_encoded_twice(alias: str) -> Any:
    model = make_model(tags=models.JSONField(null=True))
    fill(alias, model, {"tags": '{"team": "red"}'}, {"tags": {"team": "red"}})
    return declare(model, tags="tags")


@found_as("tags", "a column of the type jsonb, got json", POSTGRESQL)
def tags_of_another_json_type(alias: str) -> Any:
    tags = models.JSONField(null=True)
    model = altered(alias, "CREATE TABLE TABLE_NAME (id bigint PRIMARY KEY, tags json)", tags=tags)
    return declare(model, tags="tags")


@pytest.fixture(scope="module", params=DIALECTS)
def alias(request: pytest.FixtureRequest) -> Iterator[str]:
    with django_database(request.param) as alias:
        yield alias


def test_planted_mistake_is_named(alias: str, subtests: pytest.Subtests) -> None:
    """Each wrong declaration is found, and nothing else."""
    planted = [mistake for mistake in MISTAKES if alias.removeprefix("lists_") in mistake.dialects]
    assert len(planted) >= 12
    for mistake in planted:
        with subtests.test(mistake.plant.__name__):
            resource_type = mistake.plant(alias)
            found = verify(resource_type, using=alias)
            connections[alias].__dict__.pop("timezone_name", None)
            assert [mismatch.name for mismatch in found] == [mistake.name]
            assert mistake.says in str(found[0])


# --- right declarations ------------------------------------------------------------------------------------------


def test_right_declaration_has_no_mismatch(alias: str, subtests: pytest.Subtests) -> None:
    """Hostile rows, some of one ARN or with an array as tags; fields of every type; managers that hide rows."""
    for kind, model in MODELS:
        with subtests.test(model.__name__):
            tags = TagRows(RecordTag, owner="record", key="key", value="value") if model is Record else None
            mapping = kind.declare().for_django(model, tags=tags)
            rows = make_rows(kind)
            if model is Record:
                rows = [row for row in rows if len({key.lower() for key in row["tags"]}) == len(row["tags"])]
            insert_rows(alias, model, rows)
            assert {mismatch.name for mismatch in verify(mapping, using=alias, sample=60)} <= {"ARN", "tags"}
    with subtests.test("report"):
        fields = {"Stage": "stage", "Folder": "folder", "Address": "address", "Public": "is_public", "Id": "id"}
        keys = {f"docs:{key}": name for key, name in (fields | {"Created": "created_at", "Price": "price"}).items()}
        tags = TagRows(ReportTag, owner="report", key="key", value="value")
        reports = Service("docs").resource_type(
            "report", "report/{id}", model=Report, account="account", tags=tags, keys=keys
        )
        for address in ("10.1.2.3", "2001:db8::1", None):
            report = Report.objects.using(alias).create(account=ACCOUNT, stage="draft", address=address, price="1.50")
            ReportTag.objects.using(alias).create(report=report, key="Team", value="Réd ")
        assert [*map(str, verify(reports, using=alias))] == []
    with subtests.test("hidden rows"):
        create(alias, Note, NoteTag)
        note = Note.every.using(alias).create(slug="a", account=ACCOUNT, is_hidden=True)
        NoteTag.objects.using(alias).create(note=note, key="team", value="red")
        tags = TagRows(NoteTag, owner="note", key="key", value="value")
        assert verify(declare(Note, "note/{slug}", account="account", tags=tags), using=alias) == []


def test_fields_of_every_type_have_no_mismatch(alias: str) -> None:
    """As Django creates their columns in each database, and references to them."""
    named = make_model(owner=models.SlugField(primary_key=True))
    fill(alias, named, {"owner": "ann"}, {"owner": "Ann"})
    texts = ("Char", "Email", "Slug", "Text", "URL")
    integers = ("", "Big", "Small", "Positive", "PositiveBig", "PositiveSmall")
    fields: dict[str, Any] = {
        f"text{kind}": getattr(models, f"{kind}Field")(max_length=90, null=True) for kind in texts
    }
    fields |= {f"integer{kind}": getattr(models, f"{kind}IntegerField")(null=True) for kind in integers}
    fields |= {
        "flag": models.BooleanField(null=True),
        "moment": models.DateTimeField(null=True),
        "number": models.FloatField(null=True),
        "amount": models.DecimalField(max_digits=9, decimal_places=2, null=True),
        "address": models.GenericIPAddressField(null=True),
        "unique": models.UUIDField(null=True),
        "person": models.ForeignKey(named, models.CASCADE, null=True),
        "other": models.OneToOneField(Report, models.CASCADE, null=True, db_column="The other"),
    }
    model = make_model(id=models.SmallAutoField(primary_key=True), **fields)
    report = Report.objects.using(alias).create(account=ACCOUNT, stage="draft")
    moment = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    given = {"flag": True, "moment": moment, "number": 0.1, "amount": Decimal("1.50"), "address": "::ffff:10.0.0.1"}
    others = {"flag": False, "moment": moment.replace(microsecond=250_000), "address": "10.0.0.1"}
    values = {name: "Ann " if name.startswith("text") else 7 for name in fields if name.startswith(("text", "integer"))}
    references = {"unique": uuid.UUID(int=0xAB), "person_id": "Ann", "other_id": report.id}
    fill(alias, model, {}, {**values, **given, **references}, others)
    keys = {f"docs:{name}": name for name in fields}
    assert [*map(str, verify(declare(model, keys=keys), using=alias))] == []
    assert [*map(str, verify(declare(model, "paper/{unique}/{textSlug}", keys=keys), using=alias))] == []


def test_rows_of_a_composite_key_are_compared(alias: str) -> None:
    """Parameters in another order than the key's columns; an account in the key."""
    pair: Any = make_model(
        pk=models.CompositePrimaryKey("tenant", "number"),
        tenant=models.CharField(max_length=12),
        number=models.IntegerField(),
        from_db=classmethod(shouting),
    )
    fill(alias, pair, *[{"tenant": ACCOUNT, "number": number, "owner": "ann"} for number in range(30)])
    pairs = declare(pair, "paper/{number}", account="tenant", keys=OWNER)
    for sample, rows in ((10, 10), (1000, 30)):
        [mismatch] = verify(pairs, using=alias, sample=sample)
        assert (mismatch.name, mismatch.rows) == ("docs:Owner", rows)
    load = ModelResources(pairs, using=alias)
    assert load(f"arn:aws:docs:us-east-1:{ACCOUNT}:paper/7").keys == {"docs:Owner": "ANN"}
    assert load("arn:aws:docs:us-east-1:444455556666:paper/7") is None


def test_sample_is_spread_over_the_rows(alias: str) -> None:
    def changed(cls: Any, *row: Any, **options: Any) -> Any:
        item = models.Model.from_db.__func__(cls, *row, **options)
        item.owner += "" if item.id < 96 else f" of {item.id}"
        return item

    model = make_model(from_db=classmethod(changed))
    fill(alias, model, *[{"id": number, "owner": "ann"} for number in range(1, 101)])
    for sample, rows in ((0, []), (1, ["100"]), (4, ["100"]), (100, ["96"]), (1000, ["96"])):
        found = verify(declare(model, keys=OWNER), using=alias, sample=sample)
        assert [mismatch.row for mismatch in found] == rows
    assert str(found[0]).endswith("object `ann of 96`, query `ann`, in row 96 and 4 more")


# --- refused declarations ----------------------------------------------------------------------------------------


def _inherited() -> Any:
    return declare(make_model(make_model()))


def _conditional() -> Any:
    model = make_model()
    rule = models.UniqueConstraint(fields=["paper", "key"], condition=models.Q(key="team"), name="some")
    fields = {"key": models.TextField(), "value": models.TextField()}
    tag = make_model(paper=models.ForeignKey(model, models.CASCADE), **fields, meta={"constraints": (rule,)})
    return declare(model, tags=TagRows(tag, owner="paper", key="key", value="value"))


def _of_another() -> Any:
    tags = make_tagged()[2]
    return declare(make_model(), tags=tags)


def _owned_by_number() -> Any:
    model = make_model()
    owner = models.ForeignKey(model, models.CASCADE)
    return declare(make_model(owner=owner), account="owner")


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (_inherited, "expected a model of one table"),
    (_conditional, "expected a unique constraint on `paper_id` and `key`"),
    (_of_another, "expected an owner of tags that refers to `Paper`, got one of `Paper`"),
    (_owned_by_number, "expected text as the account of resources, got an integer"),
    (lambda: declare(make_model(), keys={"docs:Owner": "owners"}), "expected the name of a field of `Paper`"),
    (lambda: declare(make_model(), keys={"docs:Id": "id"}, absent={"docs:Id": "empty"}), "expected text where"),
    (
        lambda: declare(make_model(owner=models.TextField(db_collation="nocase")), keys=OWNER),
        "expected a field of Django without a collation",
    ),
]


def test_wrong_declaration_is_refused(subtests: pytest.Subtests) -> None:
    for declaration, message in REFUSED:
        with subtests.test(message), pytest.raises(ConfigurationError, match=message):
            declaration()


def test_session_of_sqlalchemy_is_refused() -> None:
    reports = Service("docs").resource_type("report", "report/{id}", model=Report, account=ACCOUNT)
    refused = pytest.raises(ConfigurationError, match="expected a model of SQLAlchemy, got `Report` of Django")
    with opened_engine("sqlite") as engine, Session(engine) as session, refused:
        verify_session(session, reports)


# --- the command, and the system check ---------------------------------------------------------------------------

verified = Service("verified")
right = declare(make_model(), keys=OWNER)


@verified.requires("GetBroken", resource="broken/{id}")
def get_broken(request: Any, id: int) -> None: ...


urlpatterns = [path("broken/<int:id>", get_broken)]


def no_guard() -> None:
    raise AssertionError("the guard was opened")


@pytest.fixture
def broken() -> Iterator[Any]:
    """Declare a type of the service that guards the only view, and yield its model."""
    model = make_model()
    verified.resource_type("broken", "broken/{id}", model=model, account=ACCOUNT, keys=OWNER)
    with override_settings(ROOT_URLCONF=__name__, IAM_GUARD={"guard": f"{__name__}.no_guard"}):
        yield model
    verified.catalogue.mappings.clear()


def create_broken(alias: str, model: Any) -> str:
    """Create a table with a column that is not as declared; return the mismatch."""
    kind = {"lists_postgresql": "bpchar", "lists_sqlite": "STRING"}[alias]
    run(alias, f"CREATE TABLE TABLE_NAME (id integer PRIMARY KEY, owner {kind})", model)
    expected = {"bpchar": "compares texts byte by byte", "STRING": "stores text"}[kind]
    return f"verified broken, docs:Owner: expected a column that {expected}, got {kind}"


def command(*arguments: str) -> str:
    output = StringIO()
    call_command("iam_guard_verify", *arguments, stdout=output)
    return output.getvalue()


def test_command_reports_the_types_of_guarded_views(alias: str, broken: Any) -> None:
    mismatch = create_broken(alias, broken)
    output = StringIO()
    with pytest.raises(CommandError, match="1 mismatch found"):
        call_command("iam_guard_verify", "--database", alias, stdout=output)
    assert output.getvalue() == f"{mismatch}\n"


def test_command_verifies_named_types(alias: str) -> None:
    fill(alias, right.model, {"owner": "ann"})
    assert command(f"{__name__}.right", "--database", alias, "--sample", "7") == "no mismatches: docs paper\n"


def test_command_with_nothing_to_verify_fails(broken: Any) -> None:
    verified.catalogue.mappings.clear()
    for arguments, message in {
        (): "declare no resource type with a model of Django",
        ("lists.nothing",): "expected an importable name, got `lists.nothing`",
        (f"{__name__}.verified",): "expected a resource type, got `Service`",
        (f"{__name__}.right", "--database", "none"): "The connection 'none' doesn't exist",
    }.items():
        with pytest.raises(CommandError, match=message):
            command(*arguments)


def test_check_of_a_database_warns_of_its_catalogue(alias: str, broken: Any) -> None:
    """Not before the table is created: the check runs before migrations, too."""

    def warnings(**options: Any) -> list[str]:
        return [message.msg for message in run_checks(**options) if message.id == "iam_guard.W005"]

    assert warnings(databases=[alias]) == []
    mismatch = create_broken(alias, broken)
    assert warnings(databases=[alias]) == [mismatch]
    assert warnings() == warnings(databases=[]) == []
