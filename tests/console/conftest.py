"""Fixtures of the tests of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.company import Company
from tests.console.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.guard.close()


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """Return a company that signs in by SAML."""
    made = Company(Site(tmp_path, site_url="http://localhost"))
    yield made
    made.site.guard.close()
