"""The Django application with the system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class IamGuardConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    name = "iam_guard_django"
    verbose_name = "iam_guard"

    def ready(self) -> None:
        """Register the checks; imported here, as views can be found only after all applications are loaded."""
        from iam_guard_django.verification import check_models  # noqa: PLC0415
        from iam_guard_django.views import check_views  # noqa: PLC0415

        checks.register(check_views, checks.Tags.security)
        checks.register(check_models, checks.Tags.database)
