"""Histories of the law of the fast path: requests, and changes between them, from one seed."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from iam_guard.store.identifiers import derived_id
from iam_guard.store.opening import create_store, open_database
from iam_guard.store.schema import accounts
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.laws.fast_path.application import SeenLines, set_loaded
from tests.laws.fast_path.generation import Focus, generate
from tests.laws.fast_path.guards import Asked, Clock, SharedStore, Specification, settings
from tests.laws.fast_path.tampering import tampered
from tests.laws.fast_path.wires import Wire, callers
from tests.laws.fast_path.world import Changes, seed

POOL: Final = 60
"""Requests that are sent again in later rounds, when they may have expired, and their callers may have changed."""
_SECONDS: Final = (*(0.5, 1, 2, 5, 10, 10, 30, 60, 60) * 2, 100, 299, 300, 301, -30)


class History:
    """A warm guard and the specification over one store, which a random generator changes.

    `file` is that of the SQLite store, which can be restored from a backup.
    """

    def __init__(
        self, number: int, url: str, *, file: Path | None = None, sink: Any = None, epoch_poll: float = 3600.0
    ) -> None:
        self.number = number
        self.rng = rng = random.Random(number)
        self.clock = Clock()
        self.made: list[str] = []
        """The changes so far."""
        self._file = file
        self.store = create_store(url, settings())
        self.others = open_database(url, settings())
        """The store as another process opens it."""
        self.store.ids = self.others.ids = derived_id  # filled again, the store has the identities of the sessions
        self._seed = seed(rng)
        apply_seed(self.store, self._seed, whole=True)
        set_loaded(rng)
        self._callers = callers(self.store, rng)
        self._changes = Changes(self.store.sealer)
        self._pool: list[Wire] = []
        self._backup = sqlite3.connect(":memory:", check_same_thread=False)
        self._is_backed_up = False
        self._has_loader = number % 4 == 3
        self._epoch_poll = epoch_poll
        self.specification = Specification(self.others, self.clock, has_loader=self._has_loader)
        self.fast = self._warm_guard(SeenLines() if sink is None else sink)

    def _warm_guard(self, sink: Any) -> Asked:
        store = SharedStore(self.store)
        return Asked(store, self.clock, sink, has_loader=self._has_loader, epoch_poll=self._epoch_poll)

    def close(self) -> None:
        self.fast.close()
        self.store.close()
        self.others.close()
        self._backup.close()

    def begin_again(self) -> None:
        """Return to the initial state of the store and the clock, with a new guard: for many short histories."""
        self.fast.close()
        self.made.clear()
        self.clock.reset()
        set_loaded(random.Random(self.number))
        self.restore()
        self.fast = self._warm_guard(SeenLines())
        self.specification.store.used.clear()

    # --- requests ------------------------------------------------------------------------------------------------

    def request(self) -> Wire:
        return generate(self.rng, Focus.draw(self.rng, self._callers), self.clock.now)

    def requests(self, count: int) -> list[Wire]:
        """Return requests: half are from earlier rounds, others are like these, or about the same as each other."""
        rng, pool = self.rng, self._pool
        again = rng.sample(pool, min(len(pool), count // 2))
        focus = [Focus.draw(rng, self._callers) for _ in range(2)]
        made = []
        for _ in range(count - len(again)):
            if pool and rng.random() < 0.25:
                made.append(tampered(rng, rng.choice(pool)))
                continue
            chosen = rng.choice(focus) if rng.random() < 0.6 else Focus.draw(rng, self._callers)
            made.append(generate(rng, chosen, self.clock.now))
        for wire in made:
            if len(pool) < POOL:
                pool.append(wire)
            elif rng.random() < 0.8:
                pool[rng.randrange(len(pool))] = wire
        return again + made

    # --- changes -------------------------------------------------------------------------------------------------

    def change(self) -> None:
        """Change the store up to three times, and often the clock."""
        for _ in range(self.rng.choice((0, 1, 1, 1, 2, 3))):
            self.change_once()
        if self.rng.random() < 0.4:
            self.pass_time()

    def pass_time(self) -> None:
        seconds = self.rng.choice(_SECONDS)
        self.clock.forward(seconds)
        if seconds > 60:  # most signatures have expired
            del self._pool[::2]
        self.made.append(f"{seconds} seconds")

    def change_once(self) -> None:
        """Change rows as this process or another one does, restore or clear the store, or change the application."""
        choice = self.rng.random()
        if self._is_empty():
            apply_seed(self.others, self._seed, whole=True)
            done = "seeded again"
        elif choice < 0.04 and self._file is not None and self._is_backed_up:
            self.restore()
            done = self._change_past(self.fast.guard.usage().changes.epoch or 0)
        elif choice < 0.06 and self._file is not None:
            self.back_up()
            done = "backup"
        elif choice < 0.08:
            done = self._clear()
        elif choice < 0.12:
            done = set_loaded(self.rng)
        else:
            done = self.change_rows(is_here=choice < 0.6)
        if not done.endswith("here"):  # the guard knows its own changes
            self.fast.guard.refresh()
        self.made.append(done)

    def _change_past(self, epoch: int) -> str:
        """Often make changes in the restored store until its epoch is later than the one that the guard knows."""
        if self.rng.random() < 0.5:
            return "restored"
        while self.others.epoch() <= epoch:
            self.change_rows(is_here=False)
        return "restored and changed"

    def change_rows(self, *, is_here: bool) -> str:
        """Change rows in one transaction: of the warm guard's store (`is_here`), or as another process does."""
        store: Any = self.fast.guard.store if is_here else self.others
        with store.write_transaction() as records:
            done = [self._changes.make(records, self.rng) for _ in range(self.rng.choice((1, 1, 2)))]
        return f"{' and '.join(done)} {'here' if is_here else 'by another process'}"

    def _clear(self) -> str:
        """Delete everything, and mostly fill the store again at once."""
        apply_seed(self.others, load_seed_text("version: 1"), whole=True)
        if self.rng.random() < 0.3:
            return "cleared"
        apply_seed(self.others, self._seed, whole=True)
        return "cleared and seeded"

    def _is_empty(self) -> bool:
        with self.others.read_transaction() as records:
            return records.count(accounts) == 0

    def back_up(self) -> None:
        with closing(sqlite3.connect(str(self._file), timeout=60)) as live:
            live.backup(self._backup)
        self._is_backed_up = True

    def restore(self) -> None:
        with closing(sqlite3.connect(str(self._file), timeout=60)) as live:
            self._backup.backup(live)
