"""From the settings to what takes records: nothing, a sink, or the pipeline into a trail; and to what is left out.

A path that ends with a slash, or is a folder, is a trail.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from iam_guard.audit.record.privacy import PrivacyRules, Treatment
from iam_guard.audit.record.pseudonyms import PseudonymKeys, pseudonym_key_file
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.shippers import Shippers
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.sinks import Sink, open_sink
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.signing_keys import audit_key_file, key_ring, read_signing_keys
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.audit.writer.retention import RetentionRule
from iam_guard.audit.writer.sampling import Sampling
from iam_guard.audit.writer.segment_limits import SegmentLimits
from iam_guard.audit.writer.trail_writer import TrailPlace
from iam_guard.errors import ConfigurationError
from iam_guard.settings import Settings


def open_log(settings: Settings, database: Path | None, *, service: str = "iam-guard") -> Sink | Pipeline | None:
    """Open what the setting `audit` names; `database` is the SQLite file beside which the key is looked for.

    Raises `ConfigurationError` when it cannot be opened.
    """
    if is_trail(settings.audit):
        return _pipeline(settings, database, service)
    if settings.audit_sinks:
        message = "sinks follow a trail in a folder, set `IAM_GUARD_AUDIT` to a path that ends with a slash"
        raise ConfigurationError(message, place="audit_sinks")
    return open_sink(settings.audit)


def open_rules(settings: Settings, database: Path | None) -> PrivacyRules | None:
    """Return what is kept out of records; None where nothing is. Raises `ConfigurationError`."""
    chosen: dict[Treatment, tuple[str, ...]] = {
        Treatment.DROP: settings.audit_drop,
        Treatment.MASK: settings.audit_mask,
        Treatment.PSEUDONYMS: settings.audit_pseudonyms,
    }
    if not any(chosen.values()):
        return None
    path = pseudonym_key_file(settings, database) if settings.audit_pseudonyms else None
    return PrivacyRules(chosen, None if path is None else PseudonymKeys(path))


def open_sampling(settings: Settings) -> Sampling | None:
    """Return what leaves records out; None where all are kept. Raises `ConfigurationError`."""
    sampling = Sampling(settings.audit_sample_reads)
    return None if settings.audit_sample_reads == 1.0 else sampling


def is_trail(where: str) -> bool:
    """Return whether the setting `audit` names a folder."""
    return where.endswith("/") or (bool(where) and Path(where).is_dir())


def _pipeline(settings: Settings, database: Path | None, service: str) -> Pipeline:
    key_file = audit_key_file(settings, database)
    if key_file is None:
        message = "expected the file of the key that signs the audit trail, set `IAM_GUARD_AUDIT_KEY_FILE`"
        raise ConfigurationError(message, place="audit_key_file")
    key, known = read_signing_keys(key_file)[0], key_ring(settings, key_file)
    folder = _folder(settings.audit)
    return Pipeline(
        TrailPlace(
            folder,
            key,
            known,
            service=service,
            region=settings.region,
            limits=SegmentLimits(flush_seconds=settings.audit_flush_seconds),
            retention=retention_rule(settings),
        ),
        ring=settings.audit_queue_size,
        wait=settings.audit_wait,
        durable_wait=settings.audit_durable_wait,
        fail_open=settings.audit_fail_open,
        followers=_shippers(settings, folder, known),
    )


def _shippers(settings: Settings, folder: Path, ring: KeyRing) -> Shippers | None:
    if not settings.audit_sinks:
        return None
    urls = [SinkUrl.parse(audit_sink) for audit_sink in settings.audit_sinks]
    return Shippers(folder, ring, open_sinks(urls, webhook_secrets=settings.audit_webhook_secrets))


def retention_rule(settings: Settings) -> RetentionRule | None:
    """Return how long lines are kept as it is set; None for ever."""
    try:
        keep, grace = timedelta(days=settings.audit_retention_days), timedelta(days=settings.audit_retention_grace_days)
    except OverflowError:
        raise ConfigurationError("expected fewer days", place="audit_retention_days") from None
    return RetentionRule(keep, grace) if keep else None


def _folder(where: str) -> Path:
    """Return the folder, which is made for its owner only. Raises `ConfigurationError` where nobody may write there."""
    folder = Path(where)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the audit folder cannot be made: {error.strerror}", place=where) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError("the audit folder cannot be written to", place=where)
    return folder
