"""Service last accessed reports: services that an entity's policies allow, and their last attempts (R-34).

A report is generated on request and stored unchanged. Only permissions policies count: no boundaries, control policies
or resource policies. Attempts of the root user are not recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from iam_guard.analysis.allowed_services import known_services, reached_services, service_name
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.account.jobs import describe_job, generate_job, load_job
from iam_guard.api.iam.account.last_attempts import TRACKING_SECONDS, Attempt, Attempts, attempts_by_service
from iam_guard.api.iam.authorization_targets import find_by_arn
from iam_guard.api.iam.entities import identity_arn, require_row
from iam_guard.api.iam.policies.attached_policies import attached_policies
from iam_guard.api.jobs import JobKind
from iam_guard.api.paging import page_of_positions
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.policy.parser import parse
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import Kind
from iam_guard.store.schema import attachments, identities, memberships, policy_versions, service_uses

SERVICES = "SERVICE_LEVEL"
ACTIONS = "ACTION_LEVEL"

_PRINCIPAL_KINDS = (Kind.USER.value, Kind.ROLE.value)


def generate_service_last_accessed(call: ServiceCall, parameters: Input) -> Output:
    """Generate the report on a user, group, role or managed policy. Raises `NoSuchEntity`, `InvalidInput`."""
    subject = _load_subject(call, parameters["Arn"])
    attempts = attempts_by_service(_uses(call, subject), since=call.now - TRACKING_SECONDS)
    services = reached_services(map(parse, _texts(call, subject)), known_services(_used_in_account(call)))
    result = {
        "services": sorted(services),
        "attempts": {service: _stored_attempts(attempts[service]) for service in services & attempts.keys()},
        "entities": {id: _describe(call, row) for id, row in _entities(call, subject).items()},
    }
    granularity = parameters.get("Granularity", SERVICES)
    return generate_job(call, JobKind.SERVICE_ACCESS, {"granularity": granularity, "caller": _caller(call)}, result)


def get_service_last_accessed(call: ServiceCall, parameters: Input) -> Output:
    """Return a report, service by service, to the caller that requested it. Raises `NoSuchEntity`."""
    job = load_job(call, JobKind.SERVICE_ACCESS, parameters)
    if job["parameters"]["caller"] != _caller(call):
        raise NoSuchEntity(f"The job with id {parameters['JobId']} cannot be found.")
    result, granularity = job["result"], job["parameters"]["granularity"]
    page = page_of_positions(parameters, result["services"])
    return {
        **describe_job(job),
        "JobType": granularity,
        "ServicesLastAccessed": [_of_service(result, service, granularity) for service in page.rows],
        **page.members,
    }


def get_service_last_accessed_with_entities(call: ServiceCall, parameters: Input) -> Output:
    """Return the users and roles that could use a service, latest attempt first. Raises `NoSuchEntity`."""
    job = load_job(call, JobKind.SERVICE_ACCESS, parameters)
    result, service = job["result"], parameters["ServiceNamespace"].lower()
    last: Mapping[str, int] = result["attempts"].get(service, {}).get("last", {})
    entities = result["entities"] if service in result["services"] else {}
    in_order = sorted(entities, key=lambda entity_id: (-last.get(entity_id, 0), entities[entity_id]["Arn"]))
    page = page_of_positions(parameters, in_order)
    details = [{"EntityInfo": entities[id], "LastAuthenticated": instant(last.get(id))} for id in page.rows]
    return {**describe_job(job), "EntityDetailsList": details, **page.members}


def _caller(call: ServiceCall) -> str:
    """Return the caller's id: a user's, or the role's for any of its sessions."""
    userid = call.caller.userid
    return call.caller.arn if userid is None else userid.partition(":")[0]


# --- the subject of a report -------------------------------------------------------------------------------------


def _load_subject(call: ServiceCall, arn: str) -> Row:
    kind = arn.split(":", 5)[-1].partition("/")[0]
    if not arn.startswith("arn:") or kind not in {*Kind, "policy"}:
        raise InvalidInput(f"ARN {arn} is not valid.", place="Arn")
    return require_row(find_by_arn(call, arn), f"ARN {arn} cannot be found.")


def _is_policy(subject: Row) -> bool:
    return "kind" not in subject


def _entities(call: ServiceCall, subject: Row) -> dict[str, Row]:
    """Return the users and roles that have the policy, are in the group, or are the subject."""
    return {
        row["id"]: row
        for ids in _id_conditions(call, subject)
        for row in call.records.all(identities, account=call.account, kind=_PRINCIPAL_KINDS, id=ids)
    }


def _uses(call: ServiceCall, subject: Row) -> Iterable[Row]:
    """Return the service uses of these users and roles."""
    for ids in _id_conditions(call, subject):
        identity_ids = call.records.values_of(identities, "id", account=call.account, kind=_PRINCIPAL_KINDS, id=ids)
        yield from call.records.all(service_uses, identity_id=identity_ids)


def _id_conditions(call: ServiceCall, subject: Row) -> list[Any]:
    """Return alternative conditions on the ids of these users and roles; groups and other accounts may match too."""
    values_of = call.records.values_of
    if _is_policy(subject):
        holders = values_of(attachments, "identity_id", policy_id=subject["id"])
        return [holders, values_of(memberships, "user_id", group_id=holders)]
    if subject["kind"] == Kind.GROUP:
        return [values_of(memberships, "user_id", group_id=subject["id"])]
    return [subject["id"]]


def _used_in_account(call: ServiceCall) -> Iterable[str]:
    identity_ids = call.records.values_of(identities, "id", account=call.account)
    return call.records.counts(service_uses, "service", identity_id=identity_ids)


# --- policies ----------------------------------------------------------------------------------------------------


def _texts(call: ServiceCall, subject: Row) -> list[str]:
    """Return the permissions policies: an identity's, including those of its groups, or the policy itself."""
    if not _is_policy(subject):
        return [policy.text for policy in attached_policies(call, subject)]
    versions = call.records.all(policy_versions, policy_id=subject["id"], version=subject["default_version"])
    return [version["text"] for version in versions]


# --- stored and returned values ----------------------------------------------------------------------------------


def _stored_attempts(attempts: Attempts) -> dict[str, Any]:
    return {
        "latest": attempts.latest,
        "last": attempts.last,
        "actions": {action.action: action.latest for action in attempts.actions.values()},
    }


def _describe(call: ServiceCall, row: Row) -> dict[str, str]:
    return {
        "Arn": identity_arn(call, row),
        "Name": row["name"],
        "Type": row["kind"].upper(),
        "Id": row["id"],
        "Path": row["path"],
    }


def _of_service(result: Mapping[str, Any], service: str, granularity: str) -> Output:
    output: Output = {
        "ServiceName": service_name(service),
        "ServiceNamespace": service,
        "TotalAuthenticatedEntities": 0,
    }
    attempts = result["attempts"].get(service)
    if attempts is None:
        return output
    latest = Attempt(*attempts["latest"])
    tracked = [_of_action(result, action, Attempt(*attempt)) for action, attempt in sorted(attempts["actions"].items())]
    return {
        **output,
        "LastAuthenticated": instant(latest.at),
        "LastAuthenticatedEntity": result["entities"][latest.who]["Arn"],
        "LastAuthenticatedRegion": latest.region,
        "TotalAuthenticatedEntities": len(attempts["last"]),
        "TrackedActionsLastAccessed": tracked if granularity == ACTIONS else None,
    }


def _of_action(result: Mapping[str, Any], action: str, latest: Attempt) -> Output:
    return {
        "ActionName": action,
        "LastAccessedEntity": result["entities"][latest.who]["Arn"],
        "LastAccessedTime": instant(latest.at),
        "LastAccessedRegion": latest.region,
    }
