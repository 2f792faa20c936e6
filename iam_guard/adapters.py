"""What adapters for frameworks use, for those who write one."""

from __future__ import annotations

from iam_guard.imports import public_names

_MODULES = {
    "administration.sealed_principals": "MAX_SEALED_SECONDS",
    "audit.record.event_ids": "new_id",
    "audit.writer.termination": "end_shards_on_sigterm",
    "authn.presented_credentials": "SigV4Credential",
    "errors": "did_you_mean",
    "filters.list_condition": "ListCondition",
    "filters.resource_type": "ResourceMapping",
    "filters.statement_filter": "ListStatement",
    "filters.verification": "mismatches",
    "guard.step_up": "needs_second_factor",
    "model.principal": "PrincipalType",
    "model.request": "Call",
    "web.asgi.bridge": "AsyncBridge GuardedAsyncRequest",
    "web.asgi.litestar_routes": "handlers_of",
    "web.call_context": "CURRENT_CALL CurrentCall recording_refusal serving",
    "web.endpoints": (
        "catalogues_of check_handler_parameters check_services endpoint_row guards_of "
        "mark_of name_of own_mark route_address unguarded_message"
    ),
    "web.guarded_request": "Bridge GuardedRequest",
    "web.parameter_values": "check_text",
    "web.permissions": "PermissionQuestions answers_document query_permissions",
    "web.refusal": (
        "REALM Refusal RefusalFormat authentication_required challenge_anonymous decision_of detail_of problem"
    ),
    "web.request_credentials": "CallerLookup principal_lookup reading_credential",
    "web.requirement": "Concealed PUBLIC Requirement takes_unsigned",
    "web.response_guard": "check_answer record_failure",
    "web.route_maps.mapped_route": "MappedRoute Mark parameters_changed",
    "web.wsgi.bridge": "GuardedSyncRequest WsgiBridge",
    "web.wsgi.environ": "scope_of",
}

__all__, __getattr__, __dir__ = public_names(__name__, _MODULES)
