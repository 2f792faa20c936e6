"""The audit trail: its records are read, verified, filtered and consumed."""

from __future__ import annotations

from iam_guard.imports import public_names

_MODULES = {
    "audit.consumer.reader": "read_records",
    "audit.consumer.record_filter": "action_of principal_of record_filter",
    "audit.consumer.subscription": "AuditReader Offset Subscription",
    "audit.export.ocsf": "ocsf_event",
    "audit.export.otel_event": "log_record",
    "audit.record.pseudonyms": "make_pseudonym_key pseudonyms_of",
    "audit.shipping.webhook_signature": "WebhookSecrets signed_headers verify_webhook",
    "audit.verify.signed_note": "KeyRing SignerKey VerifierKey",
    "audit.verify.signing_keys": "create_signing_key_file read_signing_keys",
    "audit.verify.trail_verifier": "verify_trail",
    "audit.writer.recovery": "declare_damage recover_trail",
    "audit.writer.retention": "drop_segments",
    "audit.writer.segment_writer": "SegmentWriter",
}

__all__, __getattr__, __dir__ = public_names(__name__, _MODULES)
