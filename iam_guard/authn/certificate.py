"""Client certificates, verified: does a chain lead from the certificate to a trust anchor, at this moment?

The strategy. The library builds and checks the path (signatures, validity, basic constraints, path length, name
constraints, key usage of authorities, extended key usage); what Roles Anywhere demands besides is checked on the path
that it found: key usage of the certificate itself, the strength of every key, and the revocation lists. A certificate
that is no authority's never vouches for itself, even as a trust anchor.

Revocation. A list says what it says for good: a serial number in any list that its authority signed is refused
everywhere. Once the time of its next issue has passed, nobody knows what was revoked since, so every certificate of
that authority is refused under that trust anchor until a newer list is imported: a certificate is worth nothing
while its revocation may be withheld. Who imports no list has no revocation, as with Roles Anywhere.

Pure: the time is an argument. Possession of the private key was proved in the TLS handshake, to our server or to a
trusted proxy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from cryptography.x509 import (
    AuthorityKeyIdentifier,
    Certificate,
    CertificateRevocationList,
    ExtensionNotFound,
    KeyUsage,
    NameConstraints,
    SubjectAlternativeName,
    SubjectKeyIdentifier,
    Version,
)
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from iam_guard.errors import InvalidInput, StoreUnavailable, UntrustedCertificate
from iam_guard.model.certificates import UNREADABLE, is_strong, read_authorities, read_revocation_list
from iam_guard.model.trust import CertificateTrust, TrustAnchor

MAX_INTERMEDIATES = 4
"""Authorities between the certificate and the trust anchor."""

_REMEMBERED = 256


class VerifiedCertificate(NamedTuple):
    """A certificate that is good now, the anchors that vouch for it, and until when, if nothing changes."""

    certificate: Certificate
    anchors: tuple[TrustAnchor, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class _Anchor:
    record: TrustAnchor
    certificates: frozenset[Certificate]
    lists: tuple[CertificateRevocationList, ...]


class _StaleList(UntrustedCertificate):
    """An anchor's list has expired; another anchor may have a newer one."""


class TrustedAuthorities:
    """The trust anchors of a store, ready to verify with."""

    def __init__(self, trust: CertificateTrust) -> None:
        """Read them. Raises `StoreUnavailable` for what cannot be read."""
        self.record = trust
        try:
            self._anchors = [_read(each) for each in trust.anchors]
        except InvalidInput as error:
            raise StoreUnavailable(f"a trust anchor of the store cannot be read: {error.message}") from None
        everybody = {certificate for anchor in self._anchors for certificate in anchor.certificates}
        self._store = Store(list(everybody)) if everybody else None

    def verify(self, chain: Sequence[Certificate], now: datetime) -> VerifiedCertificate:
        """Verify a client certificate, the first of `chain`, with what it brought. Raises `UntrustedCertificate`."""
        if self._store is None:
            raise UntrustedCertificate("no trust anchor is configured")
        if len(chain) > MAX_INTERMEDIATES + 2:
            raise UntrustedCertificate(f"expected at most {MAX_INTERMEDIATES} intermediate certificates")
        path = _path(self._store, chain, now)
        _check_path(path, now)
        anchors, untils = self._vouching(path, now)
        return VerifiedCertificate(path[0], anchors, min([*untils, *(each.not_valid_after_utc for each in path)]))

    def _vouching(self, path: list[Certificate], now: datetime) -> tuple[tuple[TrustAnchor, ...], list[datetime]]:
        """Return the anchors at the end of the path whose lists are fresh, and until when these are."""
        vouching, untils = [], []
        stale: UntrustedCertificate | None = None
        for anchor in self._anchors:
            if path[-1] not in anchor.certificates:
                continue
            try:
                untils += _check_revocation(anchor, path, now)
                vouching.append(anchor.record)
            except _StaleList as error:
                stale = error
        if not vouching:
            raise UntrustedCertificate(stale.message if stale else "no trust anchor vouches for the certificate")
        return tuple(vouching), untils


@lru_cache(maxsize=_REMEMBERED)
def _read(record: TrustAnchor) -> _Anchor:
    """Read an anchor, once for as long as it says the same: lists can be long."""
    lists = tuple(read_revocation_list(text) for text in record.revocation_lists)
    return _Anchor(record, frozenset(read_authorities(record.certificates)), lists)


def _check_path(path: list[Certificate], now: datetime) -> None:
    if len(path) < 2:
        raise UntrustedCertificate("a trust anchor is no client certificate")
    for each in path:
        if not each.not_valid_before_utc <= now <= each.not_valid_after_utc:
            raise UntrustedCertificate("a certificate of the path is not in its time")
        if each.version is not Version.v3 or not is_strong(each):
            raise UntrustedCertificate("a certificate of the path is of an old version, or its key is too weak")
    if not _usage(path[0]):
        raise UntrustedCertificate("the certificate may not be used for signatures")
    is_constrained = any(_has(each, NameConstraints) for each in path[1:])
    if is_constrained and not _has(path[0], SubjectAlternativeName):
        raise UntrustedCertificate("an authority is constrained in names, and the certificate has none to compare")


def _usage(certificate: Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(KeyUsage).value.digital_signature
    except ExtensionNotFound:
        return False


def _has(certificate: Certificate, kind: type[NameConstraints | SubjectAlternativeName]) -> bool:
    try:
        certificate.extensions.get_extension_for_class(kind)
    except ExtensionNotFound:
        return False
    return True


# --- revocation ------------------------------------------------------------------------------------------------------


def _check_revocation(anchor: _Anchor, path: list[Certificate], now: datetime) -> list[datetime]:
    """Look for each certificate in its authority's lists; give when the next ones come.

    Raises `_StaleList` only after every list was looked through, for what is revoked is refused whatever else is.
    """
    untils: list[datetime] = []
    for certificate, authority in pairwise(path):
        for found in anchor.lists:
            is_ours = _is_signed_by(found, authority)
            if is_ours and found.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                raise UntrustedCertificate("a certificate of the path is revoked")
            if is_ours is not False:
                untils.append(_next_update(found) if is_ours and found.last_update_utc <= now else now)
    if any(until <= now for until in untils):
        raise _StaleList("the revocation list of an authority has expired, so nobody knows what is revoked")
    return untils


def _path(store: Store, chain: Sequence[Certificate], now: datetime) -> list[Certificate]:
    builder = PolicyBuilder().store(store).time(now.astimezone(UTC).replace(tzinfo=None))
    builder = builder.max_chain_depth(MAX_INTERMEDIATES)
    verifier = builder.extension_policies(ee_policy=_OF_CLIENTS, ca_policy=_OF_AUTHORITIES).build_client_verifier()
    try:
        return verifier.verify(chain[0], list(chain[1:])).chain
    except (VerificationError, *UNREADABLE):
        raise UntrustedCertificate("no valid path leads from the certificate to a trust anchor") from None


def _next_update(found: CertificateRevocationList) -> datetime:
    if found.next_update_utc is None:
        raise _StaleList("the revocation list of an authority does not say until when it counts")
    return found.next_update_utc


def _is_signed_by(found: CertificateRevocationList, authority: Certificate) -> bool | None:
    """Return whether a list is this authority's; None for one that says so and does not verify: doubt refuses."""
    try:
        if found.is_signature_valid(authority.public_key()):  # type: ignore[arg-type]  # others are no authority's
            return True
    except UNREADABLE:
        pass
    if found.issuer != authority.subject:
        return False
    try:
        key = found.extensions.get_extension_for_class(AuthorityKeyIdentifier).value.key_identifier
        own = authority.extensions.get_extension_for_class(SubjectKeyIdentifier).value.digest
    except (ExtensionNotFound, *UNREADABLE):
        return None
    return None if key == own else False  # of another key of an authority with this name


_OF_CLIENTS = (
    ExtensionPolicy.webpki_defaults_ee()
    .may_be_present(SubjectAlternativeName, Criticality.AGNOSTIC, None)
    .require_present(KeyUsage, Criticality.AGNOSTIC, None)
)
"""The web's rules, but that a client need not have an alternative name."""
_OF_AUTHORITIES = ExtensionPolicy.webpki_defaults_ca()
