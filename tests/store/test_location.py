"""Where a store is, read from its URL as SQLAlchemy reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from iam_guard.errors import ConfigurationError
from iam_guard.store.database.engine import make_engine
from iam_guard.store.location import database_file, is_in_memory, store_file, store_name
from tests.tables import table


def test_only_sqlite_files_have_a_path() -> None:
    """A store in memory has no file; one on a server has none either and is not in memory."""
    assert database_file("sqlite:///a/b.db") == Path("a/b.db")
    assert [database_file(url) for url in ("sqlite://", "sqlite:///:memory:")] == [None, None]
    assert is_in_memory("sqlite://")
    assert not is_in_memory("sqlite:///a.db")
    assert not is_in_memory("postgresql://host/db")


@table(
    "url",
    [
        "sqlite:///a.db",
        "sqlite+pysqlite:///a.db",
        "sqlite:////srv/a b/ü.db",
        "sqlite:///a+b@host:1/c#d.db",
        "sqlite:///100%.db",
        "sqlite:///:memory:.db",
        "sqlite:///iam.yaml",
        "sqlite:///C:\\data\\a.db",
        "sqlite:///a\nb.db",
    ],
)
def test_file_is_that_of_sqlalchemy(url: str) -> None:
    """So the keys beside a store are those of the file that the driver opens."""
    assert store_file(url) == Path(make_url(url).database or "")
    assert not is_in_memory(url)


def test_file_is_decoded() -> None:
    """With each version of SQLAlchemy; 2.0 does not decode it."""
    assert store_file("sqlite:///a%20b%3F.db") == Path("a b?.db")
    assert make_engine("sqlite:///a%20b%3F.db").url.database == "a b?.db"


@table(
    ("url", "hint"),
    [
        ("iam.yaml", "expected a database, got a seed file, which is its own store: edit the file instead"),
        ("iam-guard.db", "got no URL"),
        ("sqlite://iam-guard.db", "got an SQLite URL with a host: put three slashes before the file"),
        ("sqllite:///iam-guard.db", "got another scheme, did you mean `sqlite`?"),
        ("postgres+psycopg2://root:hunter2@host/db", "got another scheme, did you mean `postgresql+psycopg`?"),
    ],
)
def test_mistake_in_a_url_is_named(url: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        database_file(url)
    assert str(caught.value).endswith(f"{hint} (at store)")


@table("url", ["iam.yaml", "IAM.YML", "postgresql://host/a.db", "postgresql+psycopg://u:p@host/a.db?x=1"])
def test_other_stores_have_no_file(url: str) -> None:
    assert store_file(url) is None


@table(
    "url",
    [
        *("", "a.db", "sqlite:a.db", "sqlite://host/a.db", "SQLITE:///a.db", "mysql://x"),
        *("sqlite:///hunter2.db?a=1", "sqlite:///file:hunter2", "sqlite:///%66ile:hunter2"),
        *("sqlite:///hunter2\0.db", "sqlite:///hunter2%00.db", "postgresql+asyncpg://root:hunter2@host/db"),
    ],
)
def test_unsupported_location_is_refused(url: str) -> None:
    """As when the store is opened; the URL may contain a password."""
    with pytest.raises(ConfigurationError, match="expected a") as caught:
        database_file(url)
    assert "hunter2" not in str(caught.value)


@table(
    "url, name",
    [
        ("seeds/iam.yaml", "seeds/iam.yaml"),
        ("sqlite:///iam-guard.db", "iam-guard.db"),
        ("sqlite:////var/lib/iam-guard.db", "/var/lib/iam-guard.db"),
        ("sqlite://", "a store in memory"),
        ("postgresql+psycopg://root:hunter2@host:5432/access?password=hunter2", "the database `access`"),
        ("postgresql://", "the database ``"),
    ],
)
def test_name_of_a_store_has_no_password(url: str, name: str) -> None:
    assert store_name(url) == name
