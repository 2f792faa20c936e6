"""The contract of the adapters is read by pytest like a test, so that a failed assertion says what came instead."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.integrations.contract")
