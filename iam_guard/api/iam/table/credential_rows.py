"""Operations on credentials: keys, passwords, MFA devices, certificates, service-specific credentials."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.api.iam.authorization_targets import (
    MFA_DEVICE,
    SERVER_CERTIFICATE,
    USER,
    key_from_member,
    new_entity_target,
    path_target,
    rename_permission,
)
from iam_guard.api.iam.credentials import (
    access_keys,
    login_profiles,
    mfa_devices,
    password_policy,
    server_certificates,
    service_credentials,
    signing_certificates,
    ssh_keys,
)
from iam_guard.api.iam.credentials.mfa_devices import device_owner_target
from iam_guard.api.iam.credentials.user_credentials import change_operations, list_operation
from iam_guard.api.iam.tags import create_operation, tag_operations
from iam_guard.api.operation import Operation
from iam_guard.store import schema

_SERVICE = service_credentials.service_of_credential

ROWS: Mapping[str, Operation] = {
    # --- access keys and passwords
    "ChangePassword": Operation(
        login_profiles.change_password, login_profiles.own_password_target, prepare=login_profiles.prepare_change
    ),
    "CreateAccessKey": Operation(access_keys.create_access_key, USER),
    "CreateLoginProfile": Operation(login_profiles.create_login_profile, USER, prepare=login_profiles.prepare_first),
    "DeleteAccountPasswordPolicy": Operation(password_policy.delete_account_password_policy),
    "DeleteLoginProfile": Operation(login_profiles.delete_login_profile, USER),
    "GetAccessKeyLastUsed": Operation(access_keys.get_access_key_last_used, access_keys.owner_of_key, reads=True),
    "GetAccountPasswordPolicy": Operation(
        password_policy.get_account_password_policy, password_policy.password_policy_target, reads=True
    ),
    "GetLoginProfile": Operation(login_profiles.get_login_profile, USER, reads=True),
    "ListAccessKeys": list_operation(access_keys.ACCESS_KEY, "AccessKeyMetadata"),
    **change_operations("AccessKey", access_keys.ACCESS_KEY),
    "UpdateAccountPasswordPolicy": Operation(password_policy.update_account_password_policy),
    "UpdateLoginProfile": Operation(login_profiles.update_login_profile, USER, prepare=login_profiles.prepare_update),
    # --- MFA devices
    "CreateVirtualMFADevice": create_operation(
        "MFADevice", mfa_devices.create_virtual_mfa_device, new_entity_target("mfa", "VirtualMFADeviceName")
    ),
    "DeactivateMFADevice": Operation(mfa_devices.deactivate_mfa_device, device_owner_target),
    "DeleteVirtualMFADevice": Operation(mfa_devices.delete_virtual_mfa_device, MFA_DEVICE),
    "EnableMFADevice": Operation(mfa_devices.enable_mfa_device, device_owner_target),
    "GetMFADevice": Operation(mfa_devices.get_mfa_device, device_owner_target, reads=True),
    "ListMFADevices": Operation(mfa_devices.list_mfa_devices, device_owner_target, reads=True),
    "ListVirtualMFADevices": Operation(mfa_devices.list_virtual_mfa_devices, path_target("mfa"), reads=True),
    "ResyncMFADevice": Operation(mfa_devices.resync_mfa_device, device_owner_target),
    **tag_operations("MFADevice", schema.mfa_devices, MFA_DEVICE, mfa_devices.load_mfa_device),
    # --- certificates
    "DeleteServerCertificate": Operation(server_certificates.delete_server_certificate, SERVER_CERTIFICATE),
    "GetServerCertificate": Operation(server_certificates.get_server_certificate, SERVER_CERTIFICATE, reads=True),
    "ListServerCertificates": Operation(
        server_certificates.list_server_certificates, path_target("server-certificate"), reads=True
    ),
    "ListSigningCertificates": list_operation(signing_certificates.SIGNING_CERTIFICATE, "Certificates"),
    **tag_operations(
        "ServerCertificate", schema.server_certificates, SERVER_CERTIFICATE, server_certificates.load_server_certificate
    ),
    "UpdateServerCertificate": Operation(
        server_certificates.update_server_certificate,
        SERVER_CERTIFICATE,
        further=(rename_permission("server-certificate", "ServerCertificateName", schema.server_certificates),),
    ),
    **change_operations("SigningCertificate", signing_certificates.SIGNING_CERTIFICATE),
    "UploadServerCertificate": create_operation(
        "ServerCertificate",
        server_certificates.upload_server_certificate,
        new_entity_target("server-certificate", "ServerCertificateName"),
    ),
    "UploadSigningCertificate": Operation(signing_certificates.upload_signing_certificate, USER),
    # --- SSH keys
    "GetSSHPublicKey": Operation(ssh_keys.get_ssh_public_key, USER, reads=True),
    "ListSSHPublicKeys": list_operation(ssh_keys.SSH_KEY, "SSHPublicKeys"),
    **change_operations("SSHPublicKey", ssh_keys.SSH_KEY),
    "UploadSSHPublicKey": Operation(ssh_keys.upload_ssh_public_key, USER),
    # --- service-specific credentials
    "CreateServiceSpecificCredential": Operation(
        service_credentials.create_service_specific_credential,
        USER,
        (
            key_from_member("iam:ServiceSpecificCredentialServiceName", "ServiceName"),
            key_from_member("iam:ServiceSpecificCredentialAgeDays", "CredentialAgeDays"),
        ),
    ),
    "ListServiceSpecificCredentials": Operation(
        service_credentials.list_service_specific_credentials, service_credentials.user_or_all, reads=True
    ),
    "ResetServiceSpecificCredential": Operation(
        service_credentials.reset_service_specific_credential, USER, (_SERVICE,)
    ),
    **change_operations("ServiceSpecificCredential", service_credentials.SERVICE_CREDENTIAL, _SERVICE),
}
