"""Text for a terminal."""

from __future__ import annotations

import click


def terminal_safe(text: str) -> str:
    """Replace terminal control characters: records contain text sent by clients."""
    return "".join(character if character.isprintable() else "�" for character in text)


def coloured(text: str) -> str:
    """Colour the marks; click removes colours if the output is no terminal."""
    return text.replace("✓", click.style("✓", fg="green")).replace("✗", click.style("✗", fg="red"))


def quantity(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an `s` in the plural."""
    return f"{number} {noun}{'s'[: number != 1]}"
