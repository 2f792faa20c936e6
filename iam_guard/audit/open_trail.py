"""Create from the settings what receives records (nothing, a sink, or a trail's pipeline), privacy rules and sampling.

The setting `audit` names a trail if it ends with a slash or is a folder.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from iam_guard.audit.record.privacy import PrivacyRules, Treatment
from iam_guard.audit.record.pseudonyms import PseudonymKeys, SaltSource, pseudonym_key_file
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.shippers import Shippers
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.sinks import Sink, open_sink
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.signing_keys import signing_key_and_ring
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.audit.writer.retention import RetentionRule
from iam_guard.audit.writer.sampling import Sampling
from iam_guard.audit.writer.segment_writer import SegmentLimits
from iam_guard.audit.writer.trail_writer import TrailConfig
from iam_guard.errors import ConfigurationError
from iam_guard.settings import Settings


def open_audit_log(settings: Settings, database: Path | None, *, service: str = "iam-guard") -> Sink | Pipeline | None:
    """Open the sink or trail that the setting `audit` names; the key may be next to `database`, the SQLite file.

    Raises `ConfigurationError` when it cannot be opened.
    """
    if is_trail(settings.audit):
        return _pipeline(settings, database, service)
    if settings.audit_sinks:
        message = "sinks follow a trail in a folder, set `IAM_GUARD_AUDIT` to a path that ends with a slash"
        raise ConfigurationError(message, place="audit_sinks")
    return open_sink(settings.audit)


def open_privacy_rules(
    settings: Settings, database: Path | None, salts: SaltSource | None = None
) -> PrivacyRules | None:
    """Return the rules that keep data out of records; None if there are none. Raises `ConfigurationError`."""
    pointers: dict[Treatment, tuple[str, ...]] = {
        Treatment.DROP: settings.audit_drop,
        Treatment.MASK: settings.audit_mask,
        Treatment.PSEUDONYMS: settings.audit_pseudonyms,
    }
    if not any(pointers.values()):
        return None
    path = pseudonym_key_file(settings, database) if settings.audit_pseudonyms else None
    return PrivacyRules(pointers, None if path is None else PseudonymKeys(path), salts)


def open_sampling(settings: Settings) -> Sampling | None:
    """Return the sampling of read records; None if all are kept. Raises `ConfigurationError`."""
    sampling = Sampling(settings.audit_sample_reads)
    return None if settings.audit_sample_reads == 1.0 else sampling


def is_trail(path: str) -> bool:
    """Return whether the setting `audit` names a trail's folder."""
    return path.endswith("/") or (bool(path) and Path(path).is_dir())


def _pipeline(settings: Settings, database: Path | None, service: str) -> Pipeline:
    key, known_keys = signing_key_and_ring(settings, database)
    folder = _folder(settings.audit)
    return Pipeline(
        TrailConfig(
            folder,
            key,
            known_keys,
            service=service,
            region=settings.region,
            limits=SegmentLimits(flush_seconds=settings.audit_flush_seconds),
            retention=retention_rule(settings),
        ),
        queue_size=settings.audit_queue_size,
        wait=settings.audit_wait,
        durable_wait=settings.audit_durable_wait,
        fail_open=settings.audit_fail_open,
        followers=_shippers(settings, folder, known_keys),
    )


def _shippers(settings: Settings, folder: Path, known_keys: KeyRing) -> Shippers | None:
    if not settings.audit_sinks:
        return None
    urls = [SinkUrl.parse(audit_sink) for audit_sink in settings.audit_sinks]
    return Shippers(folder, known_keys, open_sinks(urls, webhook_secrets=settings.audit_webhook_secrets))


def retention_rule(settings: Settings) -> RetentionRule | None:
    """Return the retention rule from the settings; None to keep lines forever."""
    try:
        keep, grace = timedelta(days=settings.audit_retention_days), timedelta(days=settings.audit_retention_grace_days)
    except OverflowError:
        raise ConfigurationError("expected fewer days", place="audit_retention_days") from None
    return RetentionRule(keep, grace) if keep else None


def _folder(path: str) -> Path:
    """Return the trail's folder, created with mode 0700. Raises `ConfigurationError` if it is not writable."""
    folder = Path(path)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the audit folder cannot be created: {error.strerror}", place=path) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError("the audit folder cannot be written to", place=path)
    return folder
