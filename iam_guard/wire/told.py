"""What the audit record tells of a call: its input and its output in CloudTrail's names, with every secret masked.

CloudTrail writes a member's name with its first letter small: `userName`, `sAMLProviderArn`. A moment is written in
ISO 8601. Masked is, with a pointer to its place: what the model marks as sensitive, whatever is bytes, and what
`SECRET` names, for the model forgets some. What the model does not know is not told. Must not live here: the record
(`audit/result_record`), what looks like a secret wherever it stands (`audit/redaction`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from iam_guard.audit.privacy import MASK
from iam_guard.wire.model import Shape

SECRET: Final = frozenset(
    "AddPrivateKey AuthenticationCode1 AuthenticationCode2 Base32StringSeed ContextAssertion DecodedMessage"
    " EncodedMessage NewPassword OldPassword Password PrivateKey QRCodePNG SAMLAssertion SecretAccessKey"
    " ServiceCredentialSecret ServicePassword SessionToken TokenCode TradeInToken WebIdentityToken".split()
)
"""Members that are never told, of whatever structure. Codes of MFA devices are good for a while."""


class Told(NamedTuple):
    """Members, and pointers to what was masked in them."""

    members: dict[str, Any]
    masked: tuple[str, ...]


def told(shape: Shape | None, values: Mapping[str, object], pointer: str) -> Told:
    """Tell an input or an output; `pointer` is where the record has it."""
    masked: list[str] = []
    members = {} if shape is None else _members(shape, values, pointer, masked)
    return Told(members, tuple(masked))


def _members(shape: Shape, values: Mapping[str, Any], pointer: str, masked: list[str]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in values.items():
        if value is not None and name in shape.members:
            small = name[0].lower() + name[1:]
            place = f"{pointer}/{small}"
            members[small] = _value(shape.members[name], value, place, masked, is_secret=name in SECRET)
    return members


def _value(shape: Shape, value: Any, pointer: str, masked: list[str], *, is_secret: bool = False) -> Any:
    if is_secret or shape.is_sensitive or shape.kind == "blob" or isinstance(value, bytes | bytearray):
        masked.append(pointer)
        return MASK
    match value:
        case Mapping() if shape.kind == "structure":
            return _members(shape, value, pointer, masked)
        case Mapping() if shape.kind == "map":
            return {
                str(key): _value(shape.value, each, f"{pointer}/{key}", masked)
                for key, each in value.items()
                if each is not None
            }
        case list() | tuple() if shape.kind == "list":
            return [_value(shape.element, each, f"{pointer}/{index}", masked) for index, each in enumerate(value)]
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case str() | bool() | int() | float():
            return value
    masked.append(pointer)  # of a kind that the model does not say
    return MASK
