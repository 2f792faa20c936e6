"""What the audit record tells of a call: its input and its output in CloudTrail's names, with every secret masked.

CloudTrail writes a member's name with its first letter small: `userName`, `sAMLProviderArn`. A moment is written in
ISO 8601. Masked is, with a pointer to its place: what the model marks as sensitive, whatever is bytes, and what
`SECRET` names, for the model forgets some. What the model does not know is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from iam_guard.api.protocol.service_model import Shape
from iam_guard.audit.record.privacy import MASK

SECRET: Final = frozenset(
    "AddPrivateKey AuthenticationCode1 AuthenticationCode2 Base32StringSeed ContextAssertion DecodedMessage"
    " EncodedMessage NewPassword OldPassword Password PrivateKey QRCodePNG SAMLAssertion SecretAccessKey"
    " ServiceCredentialSecret ServicePassword SessionToken TokenCode TradeInToken WebIdentityToken".split()
)
"""Members that are never told, of whatever structure. Codes of MFA devices are good for a while."""

UNREAD: Final = frozenset("CertificateBody CertificateChain SSHPublicKeyBody".split())
"""Members of inputs that are public, unless somebody gave a private key by mistake: what was accepted of them stands in
outputs, and there it is told."""


class AuditFields(NamedTuple):
    """Members, and pointers to what was masked in them."""

    members: dict[str, Any]
    masked: tuple[str, ...]


def audited_input(shape: Shape | None, values: Mapping[str, object]) -> AuditFields:
    """Tell an input, as `requestParameters` has it."""
    return _told(shape, values, "/requestParameters", SECRET | UNREAD)


def audited_output(shape: Shape | None, values: Mapping[str, object]) -> AuditFields:
    """Tell an output, as `responseElements` has it."""
    return _told(shape, values, "/responseElements", SECRET)


def _told(shape: Shape | None, values: Mapping[str, object], pointer: str, secret: frozenset[str]) -> AuditFields:
    teller = _Teller(secret)
    return AuditFields({} if shape is None else teller.members(shape, values, pointer), tuple(teller.masked))


class _Teller:
    """Goes through one input or output, and remembers what it masked where."""

    def __init__(self, secret: frozenset[str]) -> None:
        self._secret = secret
        self.masked: list[str] = []

    def members(self, shape: Shape, values: Mapping[str, Any], pointer: str) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for name, value in values.items():
            if value is not None and name in shape.members:
                small = name[0].lower() + name[1:]
                place = f"{pointer}/{small}"
                is_secret = name in self._secret
                members[small] = self._mask(place) if is_secret else self._value(shape.members[name], value, place)
        return members

    def _value(self, shape: Shape, value: Any, pointer: str) -> Any:
        if shape.is_sensitive or shape.kind == "blob":
            return self._mask(pointer)
        match value:
            case Mapping() if shape.kind == "structure":
                return self.members(shape, value, pointer)
            case Mapping() if shape.kind == "map":
                return {
                    str(key): self._value(shape.value, each, f"{pointer}/{key}")
                    for key, each in value.items()
                    if each is not None
                }
            case list() | tuple() if shape.kind == "list":
                return [self._value(shape.element, each, f"{pointer}/{index}") for index, each in enumerate(value)]
            case datetime():
                return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            case str() | bool() | int() | float():
                return value
        return self._mask(pointer)  # of a kind that the model does not say

    def _mask(self, pointer: str) -> str:
        self.masked.append(pointer)
        return MASK
