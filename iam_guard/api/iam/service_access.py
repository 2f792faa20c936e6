"""What a user, group, role or policy lets somebody reach, and when that was last attempted (rule R-34).

The report is made when it is asked for and kept as it is. It is about permissions policies alone: no boundary, no
control policy, no policy of a resource counts. The root user's attempts are not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from iam_guard.analysis.allowed_services import known_services, reached_services, service_name
from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.attached_policies import attached_policies
from iam_guard.api.iam.authorization_targets import find_by_arn
from iam_guard.api.iam.entities import identity_arn
from iam_guard.api.iam.jobs import JobKind, described_job, keep_job, page_of_result, the_job
from iam_guard.api.iam.last_attempts import TRACKED, Attempt, Attempts, gathered
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.policy.parser import parse
from iam_guard.store.identifiers import Kind
from iam_guard.store.records import Row
from iam_guard.store.schema import attachments, identities, memberships, policy_versions, service_uses

SERVICES = "SERVICE_LEVEL"
ACTIONS = "ACTION_LEVEL"

_ACTORS = (Kind.USER.value, Kind.ROLE.value)


def generate_service_last_accessed(call: ServiceCall, given: Input) -> Output:
    """Make the report on a user, group, role or managed policy. Raises `NoSuchEntity`, `InvalidInput`."""
    subject = _the_subject(call, given["Arn"])
    attempts = gathered(_uses(call, subject), since=call.now - TRACKED)
    reached = reached_services(map(parse, _texts(call, subject)), known_services(_used_in_account(call)))
    result = {
        "services": sorted(reached),
        "attempts": {service: _kept(attempts[service]) for service in reached & attempts.keys()},
        "entities": {id: _described(call, row) for id, row in _entities(call, subject).items()},
    }
    granularity = given.get("Granularity", SERVICES)
    return keep_job(call, JobKind.SERVICE_ACCESS, {"granularity": granularity, "caller": _caller(call)}, result)


def get_service_last_accessed(call: ServiceCall, given: Input) -> Output:
    """Return a report, service by service; only whoever had it made may have it. Raises `NoSuchEntity`."""
    job = the_job(call, JobKind.SERVICE_ACCESS, given)
    if job["parameters"]["caller"] != _caller(call):
        raise NoSuchEntity(f"The job with id {given['JobId']} cannot be found.")
    result, granularity = job["result"], job["parameters"]["granularity"]
    page = page_of_result(given, result["services"])
    return {
        **described_job(job),
        "JobType": granularity,
        "ServicesLastAccessed": [_of_service(result, service, granularity) for service in page.rows],
        **page.members,
    }


def get_service_last_accessed_with_entities(call: ServiceCall, given: Input) -> Output:
    """Return the users and roles that could have used a service, whoever did last first. Raises `NoSuchEntity`."""
    job = the_job(call, JobKind.SERVICE_ACCESS, given)
    result, service = job["result"], given["ServiceNamespace"].lower()
    last: Mapping[str, int] = result["attempts"].get(service, {}).get("last", {})
    entities = result["entities"] if service in result["services"] else {}
    in_order = sorted(entities, key=lambda each: (-last.get(each, 0), entities[each]["Arn"]))
    page = page_of_result(given, in_order)
    details = [{"EntityInfo": entities[id], "LastAuthenticated": instant(last.get(id))} for id in page.rows]
    return {**described_job(job), "EntityDetailsList": details, **page.members}


def _caller(call: ServiceCall) -> str:
    """Return who calls: a user, or the role of a session, whichever session it is."""
    userid = call.caller.userid
    return call.caller.arn if userid is None else userid.partition(":")[0]


# --- what a report is about --------------------------------------------------------------------------------------


def _the_subject(call: ServiceCall, arn: str) -> Row:
    kind = arn.split(":", 5)[-1].partition("/")[0]
    if not arn.startswith("arn:") or kind not in {*Kind, "policy"}:
        raise InvalidInput(f"ARN {arn} is not valid.", place="Arn")
    row = find_by_arn(call, arn)
    if row is None:
        raise NoSuchEntity(f"ARN {arn} cannot be found.")
    return row


def _is_policy(subject: Row) -> bool:
    return "kind" not in subject


def _entities(call: ServiceCall, subject: Row) -> dict[str, Row]:
    """Find the users and roles that have a policy, are in a group, or are themselves what is asked about."""
    return {
        row["id"]: row
        for ids in _ids_of_holders(call, subject)
        for row in call.records.all(identities, account=call.account, kind=_ACTORS, id=ids)
    }


def _uses(call: ServiceCall, subject: Row) -> Iterable[Row]:
    """Return what they used."""
    for ids in _ids_of_holders(call, subject):
        mine = call.records.values_of(identities, "id", account=call.account, kind=_ACTORS, id=ids)
        yield from call.records.all(service_uses, identity_id=mine)


def _ids_of_holders(call: ServiceCall, subject: Row) -> list[Any]:
    """Return conditions on unique ids, of which whoever is meant meets one; groups and other accounts may meet them."""
    values_of = call.records.values_of
    if _is_policy(subject):
        holders = values_of(attachments, "identity_id", policy_id=subject["id"])
        return [holders, values_of(memberships, "user_id", group_id=holders)]
    if subject["kind"] == Kind.GROUP:
        return [values_of(memberships, "user_id", group_id=subject["id"])]
    return [subject["id"]]


def _used_in_account(call: ServiceCall) -> Iterable[str]:
    mine = call.records.values_of(identities, "id", account=call.account)
    return call.records.counts(service_uses, "service", identity_id=mine)


# --- its policies ------------------------------------------------------------------------------------------------


def _texts(call: ServiceCall, subject: Row) -> list[str]:
    """Return the permissions policies: of an identity with those of its groups, or the policy itself."""
    if not _is_policy(subject):
        return [policy.text for policy in attached_policies(call, subject)]
    versions = call.records.all(policy_versions, policy_id=subject["id"], version=subject["default_version"])
    return [version["text"] for version in versions]


# --- what is kept, and what is told ------------------------------------------------------------------------------


def _kept(attempts: Attempts) -> dict[str, Any]:
    return {
        "latest": attempts.latest,
        "last": attempts.last,
        "actions": {action.action: action.latest for action in attempts.actions.values()},
    }


def _described(call: ServiceCall, row: Row) -> dict[str, str]:
    return {
        "Arn": identity_arn(call, row),
        "Name": row["name"],
        "Type": row["kind"].upper(),
        "Id": row["id"],
        "Path": row["path"],
    }


def _of_service(result: Mapping[str, Any], service: str, granularity: str) -> Output:
    told: Output = {"ServiceName": service_name(service), "ServiceNamespace": service, "TotalAuthenticatedEntities": 0}
    attempts = result["attempts"].get(service)
    if attempts is None:
        return told
    latest = Attempt(*attempts["latest"])
    tracked = [_of_action(result, action, Attempt(*each)) for action, each in sorted(attempts["actions"].items())]
    return {
        **told,
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
