"""Where a store is: a file of SQLite, memory, a database server, or a seed file. No database library is imported.

So commands that only need the keys beside a store, such as those that read a trail, start without one.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from iam_guard.errors import ConfigurationError, did_you_mean

_SQLITE = re.compile(r"sqlite(?:\+pysqlite)?://(?:/(?P<database>[^\0]*))?")
_POSTGRESQL = re.compile(r"postgresql(?:\+psycopg)?://[^\0]*")
_IN_MEMORY = (None, "", ":memory:")


def is_seed_file(url_or_path: str) -> bool:
    return "://" not in url_or_path and url_or_path.lower().endswith((".yaml", ".yml", ".json"))


def store_file(url_or_path: str) -> Path | None:
    """Return the file of an SQLite store; None for every other store."""
    return None if is_seed_file(url_or_path) else database_file(url_or_path)


def database_file(url: str) -> Path | None:
    """Return the file of an SQLite URL; None for a store in memory or on a server."""
    database = sqlite_database(url)
    return None if database in _IN_MEMORY else Path(database)


def is_in_memory(url: str) -> bool:
    return is_sqlite(url) and database_file(url) is None


def is_sqlite(url: str) -> bool:
    return _SQLITE.fullmatch(url) is not None


def sqlite_database(url: str) -> str | None:
    """Return the database in an SQLite URL; None for a server's.

    Raises `ConfigurationError` for an unsupported URL, without quoting it: it may contain a password.
    """
    found = _SQLITE.fullmatch(url)
    if found is None:
        if _POSTGRESQL.fullmatch(url):
            return None
        raise unsupported_store(url)
    if found["database"] is None:
        return None
    database = unquote(found["database"])  # as SQLAlchemy does since 2.1, here for each version
    if "?" in found["database"] or database.startswith("file:"):
        raise ConfigurationError("expected an SQLite URL without parameters", place="store")
    if "\0" in database:
        raise unsupported_store(url)
    return database


def store_name(url_or_path: str) -> str:
    """Return the name of a store for people: its file, or its database; not its URL, which may contain a password."""
    if is_seed_file(url_or_path):
        return url_or_path
    if is_in_memory(url_or_path):
        return "a store in memory"
    return str(database_file(url_or_path) or f"the database `{urlsplit(url_or_path).path[1:]}`")


def unsupported_store(url: str) -> ConfigurationError:
    """Return the error for an unsupported store, without quoting it: a URL may contain a password."""
    if is_seed_file(url):
        message = "expected a database, got a seed file, which is its own store: edit the file instead"
        return ConfigurationError(message, place="store")
    kinds = "`sqlite:///FILE`, `sqlite://`, `postgresql+psycopg://…` or a seed file `*.yaml`"
    scheme, separator, _ = url.partition("://")
    if not separator:
        hint = ", got no URL"
    elif scheme == "sqlite":
        hint = ", got an SQLite URL with a host: put three slashes before the file"
    else:
        hint = f", got another scheme{did_you_mean(scheme, ('sqlite', 'postgresql+psycopg'))}"
    return ConfigurationError(f"expected a store of the form {kinds}{hint}", place="store")


def missing_store(url: str) -> ConfigurationError:
    """Return the error for a missing store, which names it and says how to create it."""
    path = database_file(url)
    name, option = store_name(url), ""
    if path is not None:
        name, option = f"`{path.absolute()}`", f" --store {url}"
    remedy = f"run `iam-guard init{option}` to create it, or pass `create=True` in Python"
    return ConfigurationError(f"expected a store in {name}, got none: {remedy}", place="store")
