"""The Django application with the system check."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class IamGuardConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    name = "iam_guard_django"
    verbose_name = "iam_guard"

    def ready(self) -> None:
        """Register the check; imported here, as views can be found only after all applications are loaded."""
        from iam_guard_django.views import check_views  # noqa: PLC0415

        checks.register(check_views, checks.Tags.security)
