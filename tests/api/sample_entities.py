"""An account with one of each IAM entity, all named `given`, below `/team/` where they have a path.

A seed declares what it can; an administrator creates the rest.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.api.conftest import Client

ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
NONE_OF_IAM = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}}
TRUST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
}
SERVICE = "codecommit.amazonaws.com"


def key_of(user: str) -> tuple[str, str]:
    """Return the access key of a seeded user."""
    return f"AKIA{user.upper():0>16.16}", f"secret-of-{user}"


def seeded_user(name: str, key: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a seeded user with a key; key ids are unique in all accounts."""
    id, secret = key_of(key or name)
    return {"name": name, "access_keys": [{"id": id, "secret": secret}], **more}


def seeded_account(account: str, name: str, team: str, *users: dict[str, Any]) -> dict[str, Any]:
    """Return a seeded account with users and entities; `team` marks the entities of the account."""
    policy, shared = f"arn:aws:iam::{account}:policy/team/given", {"name": "given", "path": "/team/"}
    attached, described = {**shared, "attached": [policy]}, {"description": f"of {team}", "tags": {"team": team}}
    bound = {**attached, "boundary": policy}
    return {
        "id": account,
        "name": name,
        "policies": [{**shared, **described, "document": ALL}, {"name": "other", "document": ALL}],
        "users": [*users, seeded_user(**bound, key=f"given{name}", tags=described["tags"])],
        "groups": [attached],
        "roles": [{**bound, **described, "trust": TRUST}],
    }


def create_entities(admin: Client, account: str, name: str, team: str) -> dict[str, Any]:
    """Create what a seed can't declare, and return parameters that name all entities, by the members' names."""
    arn, tags = f"arn:aws:iam::{account}:", [{"Key": "team", "Value": team}]
    key, certificate = _certificate(1)
    for kind in ("User", "Group", "Role"):
        put = getattr(admin, f"put_{kind.lower()}_policy")
        put(**{f"{kind}Name": "given"}, PolicyName="given", PolicyDocument=json.dumps(ALL))
    admin.add_user_to_group(UserName="given", GroupName="given")
    admin.create_policy_version(PolicyArn=f"{arn}policy/team/given", PolicyDocument=json.dumps(NONE_OF_IAM))
    admin.create_login_profile(UserName="given", Password="Secret-of-given-7")
    admin.update_account_password_policy(MinimumPasswordLength=8)
    admin.create_instance_profile(InstanceProfileName="given", Path="/team/", Tags=tags)
    admin.upload_server_certificate(
        ServerCertificateName="given", Path="/team/", CertificateBody=certificate, PrivateKey=key, Tags=tags
    )
    admin.create_service_linked_role(AWSServiceName="rds.amazonaws.com", Description=f"of {team}")
    device = admin.create_virtual_mfa_device(VirtualMFADeviceName="given", Path="/team/", Tags=tags)
    saml = admin.create_saml_provider(Name="given", SAMLMetadataDocument=_metadata(certificate), Tags=tags)
    oidc = admin.create_open_id_connect_provider(
        Url="https://given.example/team", ClientIDList=["given", team], Tags=tags
    )
    ssh = admin.upload_ssh_public_key(UserName="given", SSHPublicKeyBody=_ssh_key(1))
    signing = admin.upload_signing_certificate(UserName="given", CertificateBody=certificate)
    credential = admin.create_service_specific_credential(UserName="given", ServiceName=SERVICE)
    job = admin.generate_service_last_accessed_details(Arn=f"{arn}user/team/given")
    admin.generate_credential_report()
    return {
        **PARAMETERS,
        "AccessKeyId": key_of(f"given{name}")[0],
        "Arn": f"{arn}user/team/given",
        "PolicySourceArn": f"{arn}user/team/given",
        "PolicyArn": f"{arn}policy/team/given",
        "PermissionsBoundary": f"{arn}policy/team/given",
        "EntityArn": f"{arn}delegation-request/given-0123456789",
        "EntityPath": f"o-exampleorg/r-ab12/{account}",
        "SerialNumber": device["VirtualMFADevice"]["SerialNumber"],
        "SAMLProviderArn": saml["SAMLProviderArn"],
        "OpenIDConnectProviderArn": oidc["OpenIDConnectProviderArn"],
        "SSHPublicKeyId": ssh["SSHPublicKey"]["SSHPublicKeyId"],
        "CertificateId": signing["Certificate"]["CertificateId"],
        "ServiceSpecificCredentialId": credential["ServiceSpecificCredential"]["ServiceSpecificCredentialId"],
        "JobId": job["JobId"],
        "ListUsers.Marker": admin.list_users(MaxItems=1)["Marker"],
        "CertificateBody": certificate,
        "UploadSigningCertificate.CertificateBody": _certificate(2)[1],
        "PrivateKey": key,
        "SSHPublicKeyBody": _ssh_key(2),
        "SAMLMetadataDocument": _metadata(certificate),
    }


PARAMETERS: Mapping[str, Any] = {
    "DeletePolicyVersion.VersionId": "v2",
    "PolicyDocument": json.dumps(ALL),
    "PolicyInputList.member": json.dumps(ALL),
    "AssumeRolePolicyDocument": json.dumps(TRUST),
    "UpdateAssumeRolePolicy.PolicyDocument": json.dumps(TRUST),
    "ActionNames.member": "iam:GetUser",
    "TemplateArn": "arn:aws:iam::aws:role-template/given",
    "DelegationRequestId": "given-0123456789",
    "DeletionTaskId": f"task/aws-service-role/support.amazonaws.com/AWSServiceRoleForSupport/{uuid.UUID(int=0)}",
    "AWSServiceName": "support.amazonaws.com",
    "DeleteServiceLinkedRole.RoleName": "AWSServiceRoleForRDS",
    "ServiceName": SERVICE,
    "Url": "https://new.example",
    "ThumbprintList.member": "0" * 40,
    "Name": "new",
    "Permissions": {"PolicyTemplateArn": "arn:aws:iam::aws:delegation-template/given"},
    "Properties": {"given/given": "true"},
    "OldPassword": "Secret-of-asker-7",
    "NewPassword": "Another-secret-of-asker-7",
    "Password": "Another-secret-of-given-7",
    "TagKeys.member": "team",
    "Key": "color",
    "Value": "blue",
    "Status": "Inactive",
}
"""What parameters are where the model's forms do not suffice."""


@cache
def _certificate(number: int) -> tuple[str, str]:
    """Generate a private key and its certificate, in PEM."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"given{number}.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return private.decode(), certificate.public_bytes(Encoding.PEM).decode()


@cache
def _ssh_key(number: int) -> str:
    public = rsa.generate_private_key(65537, 2048).public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _metadata(certificate: str) -> str:
    der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)
    return (
        '<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example">'
        '<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        '<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>'
        f"{base64.b64encode(der).decode()}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>"
        "</IDPSSODescriptor></EntityDescriptor>"
    )
