"""The storage of the documents: one SQLite table."""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Document:
    """One document; `policy` is its resource-based policy as JSON text."""

    id: str
    account: str
    text: str
    tags: dict[str, str] = field(default_factory=dict)
    policy: str | None = None


class Documents:
    """A table of documents, safe to use from several threads."""

    def __init__(self, path: str = ":memory:") -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents"
            " (id TEXT PRIMARY KEY, account TEXT NOT NULL, text TEXT NOT NULL, tags TEXT NOT NULL, policy TEXT)"
        )

    def create(self, document: Document) -> bool:
        """Insert a new document; return False if its id exists."""
        row = (document.id, document.account, document.text, json.dumps(document.tags), document.policy)
        with self._lock:
            done = self._db.execute("INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?)", row)
            return done.rowcount == 1

    def find(self, document_id: str) -> Document | None:
        with self._lock:
            row = self._db.execute("SELECT * FROM documents WHERE id = ?", (document_id,)).fetchone()
        return None if row is None else _document(row)

    def of_account(self, account: str) -> list[Document]:
        with self._lock:
            rows = self._db.execute("SELECT * FROM documents WHERE account = ? ORDER BY id", (account,)).fetchall()
        return [_document(row) for row in rows]

    def update(
        self,
        document_id: str,
        *,
        text: str | None = None,
        tags: dict[str, str] | None = None,
        policy: str | None = None,
    ) -> None:
        """Change the given columns."""
        row = (text, None if tags is None else json.dumps(tags), policy, document_id)
        with self._lock:
            self._db.execute(
                "UPDATE documents SET text = coalesce(?, text), tags = coalesce(?, tags), policy = coalesce(?, policy)"
                " WHERE id = ?",
                row,
            )

    def delete(self, document_id: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM documents WHERE id = ?", (document_id,))

    def close(self) -> None:
        self._db.close()


def _document(row: tuple[str, str, str, str, str | None]) -> Document:
    return Document(row[0], row[1], row[2], json.loads(row[3]), row[4])
