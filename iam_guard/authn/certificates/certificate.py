"""Verify client certificates: does a valid path lead from the certificate to a trust anchor now?

`cryptography` builds and checks the path (signatures, validity, basic constraints, path length, name constraints, key
usage of authorities, extended key usage). The further requirements of Roles Anywhere are checked on that path: key
usage of the client certificate, the strength of every key, and revocation lists. An end-entity certificate is never
its own trust anchor.

Revocation: a serial number in any list that its authority signed is refused for good. Once a list's next update is due,
revocations since are unknown, so every certificate of that authority is refused under that trust anchor until a newer
list is imported. Without lists there is no revocation check, as with Roles Anywhere.

Pure: the time is an argument. Possession of the private key was proved in the TLS handshake with our server or with a
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
    KeyUsage,
    NameConstraints,
    SubjectAlternativeName,
    SubjectKeyIdentifier,
    Version,
)
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from iam_guard.errors import InvalidInput, StoreUnavailable, UntrustedCertificate
from iam_guard.model.certificates import UNREADABLE, extension_of, is_strong, read_authorities, read_revocation_list
from iam_guard.model.trust import CertificateTrust, TrustAnchor

MAX_INTERMEDIATES = 4
"""Maximum number of authorities between the certificate and the trust anchor."""

_CACHE_SIZE = 256


class VerifiedCertificate(NamedTuple):
    """A valid certificate, its trust anchors, and until when it is valid if the trust does not change."""

    certificate: Certificate
    anchors: tuple[TrustAnchor, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class _Anchor:
    record: TrustAnchor
    certificates: frozenset[Certificate]
    lists: tuple[CertificateRevocationList, ...]


class _StaleList(UntrustedCertificate):
    """A revocation list of an anchor has expired; another anchor may have a newer one."""


class TrustedAuthorities:
    """The parsed trust anchors of a store."""

    def __init__(self, trust: CertificateTrust) -> None:
        """Parse the anchors. Raises `StoreUnavailable` for an invalid one."""
        self.record = trust
        try:
            self._anchors = [_read(anchor) for anchor in trust.anchors]
        except InvalidInput as error:
            raise StoreUnavailable(f"a trust anchor of the store cannot be read: {error.message}") from None
        authorities = {certificate for anchor in self._anchors for certificate in anchor.certificates}
        self._store = Store(list(authorities)) if authorities else None

    def verify(self, chain: Sequence[Certificate], now: datetime) -> VerifiedCertificate:
        """Verify a client certificate: the first of `chain`, intermediates after it. Raises `UntrustedCertificate`."""
        if self._store is None:
            raise UntrustedCertificate("no trust anchor is configured")
        if len(chain) > MAX_INTERMEDIATES + 2:
            raise UntrustedCertificate(f"expected at most {MAX_INTERMEDIATES} intermediate certificates")
        path = _path(self._store, chain, now)
        _check_path(path, now)
        anchors, ends = self._valid_anchors(path, now)
        return VerifiedCertificate(path[0], anchors, min([*ends, *(each.not_valid_after_utc for each in path)]))

    def _valid_anchors(self, path: list[Certificate], now: datetime) -> tuple[tuple[TrustAnchor, ...], list[datetime]]:
        """Return the anchors of the path with current revocation lists, and when these lists expire."""
        valid, ends = [], []
        stale: UntrustedCertificate | None = None
        for anchor in self._anchors:
            if path[-1] not in anchor.certificates:
                continue
            try:
                ends += _check_revocation(anchor, path, now)
                valid.append(anchor.record)
            except _StaleList as error:
                stale = error
        if not valid:
            raise UntrustedCertificate(stale.message if stale else "the certificate has no trust anchor")
        return tuple(valid), ends


@lru_cache(maxsize=_CACHE_SIZE)
def _read(record: TrustAnchor) -> _Anchor:
    """Parse an anchor; cached, since revocation lists can be long."""
    lists = tuple(read_revocation_list(text) for text in record.revocation_lists)
    return _Anchor(record, frozenset(read_authorities(record.certificates)), lists)


def _check_path(path: list[Certificate], now: datetime) -> None:
    if len(path) < 2:
        raise UntrustedCertificate("expected a client certificate, got a trust anchor")
    for certificate in path:
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise UntrustedCertificate("a certificate of the path is expired or not yet valid")
        if certificate.version is not Version.v3 or not is_strong(certificate):
            raise UntrustedCertificate("a certificate of the path has an old version or a weak key")
    usage = extension_of(path[0], KeyUsage)
    if usage is None or not usage.digital_signature:
        raise UntrustedCertificate("expected a certificate with the key usage digitalSignature")
    is_constrained = any(extension_of(authority, NameConstraints) is not None for authority in path[1:])
    if is_constrained and extension_of(path[0], SubjectAlternativeName) is None:
        raise UntrustedCertificate("expected a subject alternative name, which an authority constrains")


def _check_revocation(anchor: _Anchor, path: list[Certificate], now: datetime) -> list[datetime]:
    """Check the path against its authorities' revocation lists; return when the next lists are due.

    Raises `_StaleList` only after all lists were checked: a revoked certificate is refused in any case.
    """
    ends: list[datetime] = []
    for certificate, authority in pairwise(path):
        for revocations in anchor.lists:
            is_issued = _is_signed_by(revocations, authority)
            serial = certificate.serial_number
            if is_issued and revocations.get_revoked_certificate_by_serial_number(serial) is not None:
                raise UntrustedCertificate("a certificate of the path is revoked")
            if is_issued is not False:
                ends.append(_next_update(revocations) if is_issued and revocations.last_update_utc <= now else now)
    if any(end <= now for end in ends):
        raise _StaleList("the revocation list of an authority has expired")
    return ends


def _path(store: Store, chain: Sequence[Certificate], now: datetime) -> list[Certificate]:
    builder = PolicyBuilder().store(store).time(now.astimezone(UTC).replace(tzinfo=None))
    builder = builder.max_chain_depth(MAX_INTERMEDIATES)
    verifier = builder.extension_policies(ee_policy=_OF_CLIENTS, ca_policy=_OF_AUTHORITIES).build_client_verifier()
    try:
        return verifier.verify(chain[0], list(chain[1:])).chain
    except (VerificationError, *UNREADABLE):
        raise UntrustedCertificate("no valid path leads from the certificate to a trust anchor") from None


def _next_update(revocations: CertificateRevocationList) -> datetime:
    if revocations.next_update_utc is None:
        raise _StaleList("expected the next update in the revocation list of an authority")
    return revocations.next_update_utc


def _is_signed_by(revocations: CertificateRevocationList, authority: Certificate) -> bool | None:
    """Return whether a list is this authority's; None if it claims to be and its signature does not verify."""
    try:
        if revocations.is_signature_valid(authority.public_key()):  # type: ignore[arg-type]  # authorities' keys can sign
            return True
    except UNREADABLE:
        pass
    if revocations.issuer != authority.subject:
        return False
    try:
        key, own = extension_of(revocations, AuthorityKeyIdentifier), extension_of(authority, SubjectKeyIdentifier)
    except UNREADABLE:
        return None
    is_other_key = key is not None and own is not None and key.key_identifier != own.digest
    return False if is_other_key else None  # of an authority with this name


_OF_CLIENTS = (
    ExtensionPolicy.webpki_defaults_ee()
    .may_be_present(SubjectAlternativeName, Criticality.AGNOSTIC, None)
    .require_present(KeyUsage, Criticality.AGNOSTIC, None)
)
"""The WebPKI rules, but without a required subject alternative name."""
_OF_AUTHORITIES = ExtensionPolicy.webpki_defaults_ca()
