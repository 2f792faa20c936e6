"""Models of Django for the tests of lists: those of `tests.filters.models`, and one with every kind of field."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from django.db import connections, models
from iam_guard_django.lists import PermittedQuerySet

from tests.filters.models import DOCUMENTS, PAPERS, RECORDS, Kind
from tests.filters.rows import Row
from tests.integrations import django_project  # noqa: F401  configures Django
from tests.store.databases import do_without, find_server


class Columns(models.Model):
    number = models.AutoField(primary_key=True)
    account = models.CharField(max_length=12, null=True)
    owner = models.TextField(null=True)
    title = models.TextField(null=True)
    classification = models.CharField(max_length=4000, null=True, db_column="Class of it")
    size = models.BigIntegerField(null=True)
    price = models.FloatField(null=True)
    is_public = models.BooleanField(null=True)
    created_at = models.DateTimeField(null=True)
    address = models.TextField(null=True)
    objects = PermittedQuerySet.as_manager()

    class Meta:
        abstract = True
        app_label = "lists"


class Document(Columns):
    id = models.BigIntegerField(null=True)
    tags = models.JSONField(null=True)


class Paper(Columns):
    folder = models.TextField(null=True)
    id = models.TextField(null=True)
    tags = models.JSONField(null=True)


class Record(Columns):
    id = models.TextField(null=True)

    @property
    def tags(self) -> dict[str, str]:
        return dict(self.tag_rows.values_list("key", "value"))


class RecordTag(models.Model):
    record = models.ForeignKey(Record, models.CASCADE, related_name="tag_rows")
    key = models.TextField(null=True)
    value = models.TextField(null=True)

    class Meta:
        app_label = "lists"
        unique_together = (("record", "key"),)


class Folder(models.Model):
    name = models.CharField(max_length=20)
    parent = models.ForeignKey("self", models.CASCADE, null=True)

    class Meta:
        app_label = "lists"


class Stage(models.TextChoices):
    DRAFT = "draft"
    FINAL = "final"


class Report(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    account = models.CharField(max_length=12)
    folder = models.ForeignKey(Folder, models.CASCADE, null=True)
    stage = models.CharField(max_length=10, choices=Stage.choices)
    address = models.GenericIPAddressField(null=True)
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    created_at = models.DateTimeField(null=True)
    is_public = models.BooleanField(default=False)
    notes = models.BinaryField(null=True)
    objects = PermittedQuerySet.as_manager()

    class Meta:
        app_label = "lists"


class ReportTag(models.Model):
    report = models.ForeignKey(Report, models.CASCADE)
    key = models.SlugField()
    value = models.CharField(max_length=50)

    class Meta:
        app_label = "lists"
        constraints = (models.UniqueConstraint(fields=["report", "key"], name="one_value_for_each_key"),)


class LooseTag(models.Model):
    """Tags of which a report may have several with one key."""

    report = models.ForeignKey(Report, models.CASCADE)
    key = models.TextField()
    value = models.TextField()

    class Meta:
        app_label = "lists"


MODELS: list[tuple[Kind, Any]] = [(DOCUMENTS, Document), (PAPERS, Paper), (RECORDS, Record)]
ALL = [Document, Paper, Record, RecordTag, Folder, Report, ReportTag]


@contextmanager
def django_database(dialect: str) -> Iterator[str]:
    """Create the tables in a database, and yield its alias in Django. Skips the test without a server."""
    server = None
    settings: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    if dialect == "postgresql":
        server = find_server()
        if isinstance(server, str):
            do_without(server)
            return
        url = sa.make_url(server.create())
        names = {"NAME": url.database, "USER": url.username, "PASSWORD": url.password, "HOST": url.host}
        settings = {"ENGINE": "django.db.backends.postgresql", "PORT": url.port, **names}
    alias = f"lists_{dialect}"
    known = connections.configure_settings({"default": {}, alias: settings})
    connections.settings[alias] = known[alias]
    try:
        with connections[alias].schema_editor() as editor:
            for model in ALL:
                editor.create_model(model)
        yield alias
    finally:
        raw = connections[alias].connection
        if raw is not None:
            raw.close()  # Django leaves databases in memory open
        del connections[alias], connections.settings[alias]
        if server is not None and not isinstance(server, str):
            server.close()


def insert_rows(alias: str, model: Any, rows: Sequence[Row]) -> None:
    """Insert hostile rows, whose JSON nulls are those of SQLAlchemy."""
    made = []
    for row in rows:
        values = dict(row)
        if model is Record:
            values.pop("tags")
        elif isinstance(values["tags"], sa.sql.elements.Null):
            values["tags"] = None
        elif values["tags"] is sa.JSON.NULL:
            values["tags"] = models.Value(None, models.JSONField())
        made.append(model(**values))
    model.objects.using(alias).bulk_create(made)
    if model is Record:
        tags = [
            RecordTag(record_id=row["number"], key=key, value=value)
            for row in rows
            for key, value in row["tags"].items()
        ]
        RecordTag.objects.using(alias).bulk_create(tags)


def seed_text(users: Mapping[str, Sequence[Mapping[str, Any]]], account: str) -> str:
    """Return a seed with a user of these statements each, as JSON, which is YAML."""
    made = [
        {
            "name": name,
            "tags": {"team": "red"},
            "inline": {"own": {"Version": "2012-10-17", "Statement": list(statements)}},
        }
        for name, statements in users.items()
    ]
    root = {"email": "root@acme.example"}
    return json.dumps({"version": 1, "accounts": [{"id": account, "name": "acme", "root": root, "users": made}]})
