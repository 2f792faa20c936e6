"""The requests of the demo, each with its expected status and reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iam_guard.authn import format_api_key


@dataclass(frozen=True, slots=True)
class Step:
    """One request. `who` names a key below; the reason in the audit trail must contain `because`.

    `by` is the caller's credential: a `signature` in the header, an `api key`, a `presigned` URL, a `session` of an
    assumed role, or the `token` of an OIDC provider. A person has a `browser`, in which a `form` is filled in; the
    `cookie` alone comes without what a browser says about the page that sends a request.
    """

    who: str
    method: str
    path: str
    expected: int
    because: str = ""
    body: dict[str, Any] | None = None
    altered_body: dict[str, Any] | None = None
    by: str = "signature"
    minutes_late: int = 0
    public: bool = False


ACCESS_KEYS = {
    "ada": ("AKIAEXAMPLEADA000001", "ada-example-secret-0123456789abcdefghijk"),
    "ed": ("AKIAEXAMPLEED0000001", "ed-example-secret-0123456789abcdefghijkl"),
    "rita": ("AKIAEXAMPLERITA00001", "rita-example-secret-0123456789abcdefghij"),
    "rita (retired key)": ("AKIAEXAMPLERITA00002", "rita-retired-secret-0123456789abcdefghij"),
    "bo": ("AKIAEXAMPLEBO0000001", "bo-example-secret-0123456789abcdefghijkl"),
    "gus": ("AKIAEXAMPLEGUS000001", "gus-example-secret-0123456789abcdefghijk"),
    "gina": ("AKIAEXAMPLEGINA00001", "gina-example-secret-0123456789abcdefghij"),
    "mallory (wrong secret)": ("AKIAEXAMPLEADA000001", "not-the-secret-of-ada-0123456789abcdefgh"),
    "mallory (unknown key)": ("AKIAEXAMPLENOBODY001", "there-is-no-such-key-0123456789abcdefghi"),
}
ASSUMED = {"rita as auditor": ("rita", "arn:aws:iam::111122223333:role/auditor")}
"""Caller -> the user whose key assumes a role, and the role."""
SUBJECTS = {"pipeline of docs": "repo:acme/docs:main", "pipeline of others": "repo:acme/others:main"}
"""Caller -> the subject of the token of the OIDC provider."""
PASSWORD = "three blue plans and a roadmap"
API_KEYS = {"robot": format_api_key("ROBOT1", "robotexamplesecret0123456789abcdefghijklmnop")}

BLUE, RED = {"team": "blue"}, {"team": "red"}
SHARE = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "ShareWithGlobex",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::444455556666:root"},
            "Action": "docs:GetDocument",
            "Resource": "arn:aws:docs:us-east-1:111122223333:document/roadmap",
        },
        {
            "Sid": "KeepTheRoadmap",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "docs:DeleteDocument",
            "Resource": "*",
        },
    ],
}
PLAN, ROADMAP, SALARIES, DRAFT = (f"/documents/{name}" for name in ("plan", "roadmap", "salaries", "draft"))
BLUE_DRAFT = {"text": "a draft", "tags": BLUE}
PERSON = "ed in a browser"
ED = {"account": "acme", "username": "ed", "password": PASSWORD}

REQUESTS = [
    Step("anonymous", "GET", "/health", 200, public=True),
    # An administrator creates documents.
    Step("ada", "POST", PLAN, 201, "Everything of DocsAdmin", body={"text": "the plan", "tags": BLUE}),
    Step("ada", "POST", ROADMAP, 201, "Everything of DocsAdmin", body={"text": "the roadmap", "tags": RED}),
    Step("ada", "POST", SALARIES, 201, "DocsAdmin", body={"text": "…", "tags": {"classification": "confidential"}}),
    # Readers read, but not everything, and they do not write.
    Step("rita", "GET", "/documents", 200, "Read of DocsReader"),
    Step("rita", "GET", PLAN, 200, "Read of DocsReader"),
    Step("rita", "GET", SALARIES, 403, "Deny by NotTheConfidential of DocsReader"),
    Step("rita", "PUT", PLAN, 403, "no identity-based policy allows it", body={"text": "mine"}),
    Step("rita", "POST", "/exports", 403, "no identity-based policy allows it"),  # not from this address
    # Editors work on their team's documents: attribute-based access.
    Step("ed", "PUT", PLAN, 204, "OwnTeam of DocsEditor", body={"text": "a better plan"}),
    Step("ed", "PUT", ROADMAP, 403, "no identity-based policy allows it", body={"text": "a better roadmap"}),
    Step("ed", "POST", "/documents/notes", 201, "CreateForOwnTeam of DocsEditor", body={"text": "", "tags": BLUE}),
    Step("ed", "POST", "/documents/loot", 403, "no identity-based policy", body={"text": "", "tags": RED}),
    # A boundary limits a policy.
    Step("bo", "GET", PLAN, 200, "Everything of DocsAdmin"),
    Step("bo", "DELETE", PLAN, 403, "no permissions boundary allows it"),
    # Across accounts both sides must allow: first no document is shared, then one.
    Step("gus", "GET", ROADMAP, 403, "no resource-based policy allows it"),
    Step("ada", "PUT", ROADMAP + "/policy", 204, "Everything of DocsAdmin", body=SHARE),
    Step("gus", "GET", ROADMAP, 200, "ShareWithGlobex"),
    Step("gina", "GET", ROADMAP, 403, "no identity-based policy allows it"),
    Step("gus", "PUT", ROADMAP, 403, "no resource-based policy allows it", body={"text": "ours now"}),
    Step("ada", "DELETE", ROADMAP, 403, "Deny by KeepTheRoadmap"),
    # The organization's policies limit all others.
    Step("ada", "PUT", PLAN + "/tags", 204, "DocsAdmin", body={"tags": {**BLUE, "hold": "legal"}}),
    Step("ada", "DELETE", PLAN, 403, "Deny by LegalHold of KeepLegalHolds"),
    Step("gus", "POST", "/exports", 403, "no service control policy allows it"),
    # A machine with a limited key.
    Step("robot", "GET", PLAN, 200, "Everything of DocsAdmin", by="api key"),
    Step("robot", "DELETE", "/documents/notes", 403, "no session policy allows it", by="api key"),
    # Temporary credentials: a role session, a presigned link, a pipeline without a key.
    Step("rita as auditor", "GET", SALARIES, 200, "ReadEverything of role/auditor/Audit", by="session"),
    Step("rita as auditor", "PUT", PLAN, 403, "no identity-based policy allows it", body={"text": "x"}, by="session"),
    Step("rita", "GET", PLAN, 200, "Read of DocsReader", by="presigned"),
    Step("pipeline of docs", "GET", PLAN, 200, "Read of DocsReader", by="token"),
    Step("pipeline of docs", "PUT", PLAN, 403, "no identity-based policy", body={"text": "x"}, by="token"),
    Step("pipeline of others", "GET", PLAN, 403, "sts:AssumeRoleWithWebIdentity", by="token"),
    # A person signs in with a browser. The cookie alone changes nothing, and deleting needs a second factor.
    Step(PERSON, "GET", PLAN, 303, "no resource-based policy allows it; on to /signin?next=", by="browser"),
    Step(PERSON, "POST", "/signin/", 303, "Success, MFAUsed: No; on to /documents/plan", by="form", body=ED),
    Step(PERSON, "GET", PLAN, 200, "OwnTeam of DocsEditor", by="browser"),
    Step(PERSON, "GET", SALARIES, 403, "no identity-based policy allows it", by="browser"),
    Step(PERSON, "POST", DRAFT, 403, "expected a request of this site's own pages", body=BLUE_DRAFT, by="cookie"),
    Step(PERSON, "POST", DRAFT, 201, "CreateForOwnTeam of DocsEditor", body=BLUE_DRAFT, by="browser"),
    Step(PERSON, "DELETE", DRAFT, 403, "no identity-based policy allows it", by="browser"),
    Step(PERSON, "POST", "/signin/factors", 200, "Success, MFAUsed: Yes", by="form"),
    Step(PERSON, "DELETE", DRAFT, 204, "DeleteWithSecondFactor of DocsEditor", by="browser"),
    # Invalid credentials, and none.
    Step("anonymous", "GET", PLAN, 401, "no resource-based policy allows it"),
    Step("mallory (wrong secret)", "GET", PLAN, 401, "SignatureDoesNotMatch"),
    Step("mallory (unknown key)", "GET", PLAN, 401, "InvalidClientTokenId"),
    Step("rita (retired key)", "GET", PLAN, 401, "InvalidClientTokenId"),
    Step("rita", "GET", PLAN, 401, "Signature expired", minutes_late=15),
    Step("ed", "PUT", PLAN, 401, "SignatureDoesNotMatch", body={"text": "a"}, altered_body={"text": "b"}),
    # Missing documents.
    Step("ada", "GET", "/documents/nothing", 404, "there is no such resource"),
    Step("ada", "DELETE", "/documents/notes", 204, "Everything of DocsAdmin"),
]
