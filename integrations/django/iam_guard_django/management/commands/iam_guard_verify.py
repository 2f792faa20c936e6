"""`manage.py iam_guard_verify`: compare declared resource types with the database."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.connection import ConnectionDoesNotExist
from django.utils.module_loading import import_string

from iam_guard import IamGuardError
from iam_guard.adapters import ResourceMapping
from iam_guard_django.verification import declared_types, verify


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """Print where declared resource types differ from the database, and fail if one does."""

    help = "Compare declared resource types with the database: its catalogue, and a sample of rows."
    requires_system_checks: list[str] = []  # noqa: RUF012  as Django declares it

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "types",
            nargs="*",
            metavar="NAME",
            help="dotted name of a resource type, as `documents.models.documents`; without one, those of the services "
            "that guard the views",
        )
        parser.add_argument("--database", help="database to read; by default the one that the routers name")
        parser.add_argument("--sample", type=int, default=1000, help="rows of each model (1000); 0 reads none")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command. Raises `CommandError`."""
        try:
            types = [*map(_imported, options["types"])] or declared_types()
            if not types:
                raise CommandError("the services that guard the views declare no resource type with a model of Django")
            found = verify(*types, using=options["database"], sample=options["sample"])
        except (IamGuardError, ConnectionDoesNotExist) as error:
            raise CommandError(str(error)) from error
        for mismatch in found:
            self.stdout.write(str(mismatch))
        if found:
            raise CommandError(f"{len(found)} {'mismatch' if len(found) == 1 else 'mismatches'} found")
        self.stdout.write(f"no mismatches: {', '.join(map(str, types))}")


def _imported(name: str) -> ResourceMapping:
    try:
        found = import_string(name)
    except ImportError as error:
        raise CommandError(f"expected an importable name, got `{name}`") from error
    if not isinstance(found, ResourceMapping):
        raise CommandError(f"expected a resource type, got `{type(found).__name__}`")
    return found
