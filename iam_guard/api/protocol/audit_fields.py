"""The input and output of a call for the audit record: CloudTrail's names, with every secret masked.

CloudTrail writes member names with a lower-case first letter (`userName`, `sAMLProviderArn`) and times in ISO 8601.
Masked are, with a pointer: members that the model marks as sensitive, all blobs, and the members in `SECRET`, which the
model misses. Members that the model doesn't have are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from iam_guard.api.protocol.service_model import Shape
from iam_guard.audit.record.privacy import MASK

SECRET: Final = frozenset(
    "AddPrivateKey AuthenticationCode1 AuthenticationCode2 Base32StringSeed ContextAssertion DecodedMessage"
    " EncodedMessage NewPassword OldPassword Password PrivateKey QRCodePNG SAMLAssertion SecretAccessKey"
    " ServiceCredentialSecret ServicePassword SessionToken TokenCode TradeInToken WebIdentityToken"
    " code codeVerifier idToken refreshToken secretAccessKey sessionToken token".split()
)
"""Members that are always masked, in every structure. Codes of MFA devices stay valid for a while."""

MASKED_IN_INPUTS: Final = frozenset("CertificateBody CertificateChain SSHPublicKeyBody".split())
"""Input members that are public, but may contain a private key by mistake. Outputs show what was accepted of them."""


class AuditFields(NamedTuple):
    """Members, and pointers to the masked ones."""

    members: dict[str, Any]
    masked: tuple[str, ...]


def audited_input(shape: Shape | None, values: Mapping[str, object]) -> AuditFields:
    """Return an input as the record's `requestParameters`."""
    return _redacted(shape, values, "/requestParameters", SECRET | MASKED_IN_INPUTS)


def audited_output(shape: Shape | None, values: Mapping[str, object]) -> AuditFields:
    """Return an output as the record's `responseElements`."""
    return _redacted(shape, values, "/responseElements", SECRET)


def _redacted(shape: Shape | None, values: Mapping[str, object], pointer: str, secret: frozenset[str]) -> AuditFields:
    redactor = _Redactor(secret)
    return AuditFields({} if shape is None else redactor.members(shape, values, pointer), tuple(redactor.masked))


@dataclass
class _Redactor:
    """Walks one input or output, and collects pointers to what it masks."""

    secret: frozenset[str]
    masked: list[str] = field(default_factory=list)

    def members(self, shape: Shape, values: Mapping[str, Any], pointer: str) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for name, value in values.items():
            if value is not None and name in shape.members:
                record_name = name[0].lower() + name[1:]
                place = f"{pointer}/{record_name}"
                is_secret = name in self.secret
                masked_or_value = self._mask(place) if is_secret else self._value(shape.members[name], value, place)
                members[record_name] = masked_or_value
        return members

    def _value(self, shape: Shape, value: Any, pointer: str) -> Any:
        if shape.is_sensitive or shape.kind == "blob":
            return self._mask(pointer)
        match value:
            case Mapping() if shape.kind == "structure":
                return self.members(shape, value, pointer)
            case Mapping() if shape.kind == "map":
                return {
                    str(key): self._value(shape.value, element, f"{pointer}/{key}")
                    for key, element in value.items()
                    if element is not None
                }
            case list() | tuple() if shape.kind == "list":
                return [
                    self._value(shape.element, element, f"{pointer}/{index}") for index, element in enumerate(value)
                ]
            case datetime():
                return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            case str() | bool() | int() | float():
                return value
        return self._mask(pointer)  # of an unknown kind

    def _mask(self, pointer: str) -> str:
        self.masked.append(pointer)
        return MASK
