CREATE TABLE public.access_key_uses (
    access_key_id character varying NOT NULL,
    at bigint NOT NULL,
    region character varying NOT NULL,
    service character varying NOT NULL
);
CREATE TABLE public.access_keys (
    id character varying NOT NULL,
    account character varying NOT NULL,
    user_id character varying,
    sealed bytea NOT NULL,
    status character varying NOT NULL,
    created bigint NOT NULL,
    CONSTRAINT ck_access_keys_status CHECK (((status)::text = ANY ((ARRAY['Active'::character varying, 'Inactive'::character varying, 'Expired'::character varying])::text[])))
);
CREATE TABLE public.accounts (
    id character varying(12) NOT NULL,
    name character varying NOT NULL,
    email character varying,
    alias character varying,
    created bigint NOT NULL,
    sts_token_version character varying,
    outbound_issuer character varying,
    properties json
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.api_keys (
    id character varying NOT NULL,
    identity_id character varying NOT NULL,
    digest bytea NOT NULL,
    status character varying NOT NULL,
    expires bigint,
    session_policy text,
    created bigint NOT NULL,
    replaces character varying,
    used bigint,
    CONSTRAINT ck_api_keys_status CHECK (((status)::text = ANY ((ARRAY['Active'::character varying, 'Inactive'::character varying, 'Expired'::character varying])::text[])))
);
CREATE TABLE public.attachments (
    identity_id character varying NOT NULL,
    policy_id character varying NOT NULL
);
CREATE TABLE public.certificate_profiles (
    id character varying(36) NOT NULL,
    account character varying NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    enabled boolean NOT NULL,
    roles json NOT NULL,
    seconds integer NOT NULL,
    session_policy text,
    policy_ids json NOT NULL,
    mappings json,
    created bigint NOT NULL
);
CREATE TABLE public.control_attachments (
    policy_id character varying NOT NULL,
    target character varying NOT NULL,
    unit_id character varying,
    account character varying,
    CONSTRAINT ck_control_attachments_one_target CHECK (((unit_id IS NULL) <> (account IS NULL)))
);
CREATE TABLE public.control_policies (
    id character varying NOT NULL,
    organization_id character varying,
    type character varying(3) NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    description text NOT NULL,
    text text NOT NULL,
    digest character varying(64) NOT NULL,
    CONSTRAINT ck_control_policies_type CHECK (((type)::text = ANY ((ARRAY['SCP'::character varying, 'RCP'::character varying])::text[])))
);
CREATE TABLE public.credential_reports (
    account character varying NOT NULL,
    content text NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.former_passwords (
    owner character varying NOT NULL,
    number integer NOT NULL,
    digest character varying NOT NULL
);
CREATE TABLE public.identities (
    id character varying NOT NULL,
    account character varying NOT NULL,
    kind character varying NOT NULL,
    path character varying NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    description text NOT NULL,
    boundary_id character varying,
    tags json NOT NULL,
    trust_text text,
    trust_digest character varying(64),
    trust_bindings json NOT NULL,
    max_session_duration integer,
    created bigint NOT NULL,
    max_signin_session_duration integer,
    CONSTRAINT ck_identities_kind CHECK (((kind)::text = ANY ((ARRAY['user'::character varying, 'group'::character varying, 'role'::character varying])::text[])))
);
CREATE TABLE public.inline_policies (
    identity_id character varying NOT NULL,
    folded character varying NOT NULL,
    name character varying NOT NULL,
    text text NOT NULL,
    digest character varying(64) NOT NULL
);
CREATE TABLE public.instance_profiles (
    id character varying NOT NULL,
    account character varying NOT NULL,
    path character varying NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    role_id character varying,
    tags json NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.issuer_keys (
    id character varying NOT NULL,
    account character varying NOT NULL,
    issuer character varying NOT NULL,
    algorithm character varying NOT NULL,
    sealed bytea NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.jobs (
    id character varying NOT NULL,
    account character varying NOT NULL,
    kind character varying NOT NULL,
    parameters json NOT NULL,
    result json NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.login_profiles (
    owner character varying NOT NULL,
    account character varying NOT NULL,
    user_id character varying,
    digest character varying NOT NULL,
    reset_required boolean NOT NULL,
    max_signin_session_duration integer,
    created bigint NOT NULL,
    changed bigint NOT NULL,
    used bigint
);
CREATE TABLE public.memberships (
    user_id character varying NOT NULL,
    group_id character varying NOT NULL
);
CREATE TABLE public.meta (
    id integer NOT NULL,
    epoch bigint NOT NULL,
    created bigint NOT NULL,
    CONSTRAINT ck_meta_single_row CHECK ((id = 1))
);
CREATE TABLE public.mfa_devices (
    serial character varying NOT NULL,
    account character varying NOT NULL,
    path character varying NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    user_id character varying,
    for_root boolean NOT NULL,
    sealed bytea NOT NULL,
    enabled bigint,
    last_step bigint,
    drift integer,
    tags json NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.oidc_providers (
    id character varying NOT NULL,
    account character varying NOT NULL,
    url character varying NOT NULL,
    client_ids json NOT NULL,
    thumbprints json NOT NULL,
    context_provider json,
    identity_center character varying,
    tags json NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.organizations (
    id character varying NOT NULL,
    management_account character varying(12) NOT NULL,
    scps_enabled boolean NOT NULL,
    rcps_enabled boolean NOT NULL,
    root_features json
);
CREATE TABLE public.password_policies (
    account character varying NOT NULL,
    policy json NOT NULL
);
CREATE TABLE public.placements (
    account character varying NOT NULL,
    unit_id character varying NOT NULL
);
CREATE TABLE public.policies (
    id character varying NOT NULL,
    account character varying NOT NULL,
    path character varying NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    description text NOT NULL,
    default_version integer NOT NULL,
    tags json NOT NULL,
    created bigint NOT NULL,
    updated bigint,
    latest_version integer
);
CREATE TABLE public.policy_versions (
    policy_id character varying NOT NULL,
    version integer NOT NULL,
    text text NOT NULL,
    digest character varying(64) NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.resources (
    arn character varying NOT NULL,
    account character varying NOT NULL,
    tags json NOT NULL,
    text text,
    digest character varying(64),
    bindings json NOT NULL
);
CREATE TABLE public.revocation_lists (
    anchor_id character varying NOT NULL,
    authority character varying(64) NOT NULL,
    text text NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.saml_private_keys (
    id character varying NOT NULL,
    provider_id character varying NOT NULL,
    sealed bytea NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.saml_providers (
    id character varying NOT NULL,
    account character varying NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    document text NOT NULL,
    valid_until bigint,
    encryption_mode character varying,
    context_provider json,
    identity_center character varying,
    tags json NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.server_certificates (
    id character varying NOT NULL,
    account character varying NOT NULL,
    path character varying NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    body text NOT NULL,
    chain text,
    sealed bytea NOT NULL,
    expires bigint NOT NULL,
    tags json NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.service_credentials (
    id character varying NOT NULL,
    account character varying NOT NULL,
    user_id character varying NOT NULL,
    service character varying NOT NULL,
    user_name character varying,
    alias character varying,
    digest character varying NOT NULL,
    status character varying NOT NULL,
    created bigint NOT NULL,
    expires bigint,
    session_policy text,
    used bigint,
    CONSTRAINT ck_service_credentials_status CHECK (((status)::text = ANY ((ARRAY['Active'::character varying, 'Inactive'::character varying, 'Expired'::character varying])::text[])))
);
CREATE TABLE public.service_uses (
    identity_id character varying NOT NULL,
    service character varying NOT NULL,
    action character varying NOT NULL,
    at bigint NOT NULL,
    region character varying NOT NULL
);
CREATE TABLE public.signing_certificates (
    id character varying NOT NULL,
    account character varying NOT NULL,
    user_id character varying,
    body text NOT NULL,
    fingerprint character varying NOT NULL,
    status character varying NOT NULL,
    created bigint NOT NULL,
    CONSTRAINT ck_signing_certificates_status CHECK (((status)::text = ANY ((ARRAY['Active'::character varying, 'Inactive'::character varying, 'Expired'::character varying])::text[])))
);
CREATE TABLE public.ssh_keys (
    id character varying NOT NULL,
    user_id character varying NOT NULL,
    body text NOT NULL,
    fingerprint character varying NOT NULL,
    status character varying NOT NULL,
    created bigint NOT NULL,
    CONSTRAINT ck_ssh_keys_status CHECK (((status)::text = ANY ((ARRAY['Active'::character varying, 'Inactive'::character varying, 'Expired'::character varying])::text[])))
);
CREATE TABLE public.trust_anchors (
    id character varying(36) NOT NULL,
    account character varying NOT NULL,
    name character varying NOT NULL,
    folded character varying NOT NULL,
    certificates text NOT NULL,
    enabled boolean NOT NULL,
    created bigint NOT NULL
);
CREATE TABLE public.units (
    id character varying NOT NULL,
    organization_id character varying NOT NULL,
    parent_id character varying,
    name character varying NOT NULL,
    folded character varying NOT NULL
);
INSERT INTO public.access_keys VALUES ('AKIAALICE', '111122223333', 'AIDAPUC6ZS4WZXIUGHXMF', '\x0137759865aaedf5d180d3857a5366fcb22eb9f16eb39edfa5c3f8f57d1c90b34f7aca48bbe8d70aa97327f5b3823a8cc5', 'Active', 1795831184);
INSERT INTO public.access_keys VALUES ('AKIAOLD', '111122223333', 'AIDAPUC6ZS4WZXIUGHXMF', '\x0137759865aaedf5d11aee03c1adcc4d9134e0e11af3d2e417562f80c1b48d8c90ee1371d80d6020b75ab1185d75e4', 'Inactive', 1795831184);
INSERT INTO public.access_keys VALUES ('AKIAROOT', '111122223333', NULL, '\x0137759865aaedf5d15d2d9a74a7b74dd990b18e10aa53e24516c5bee2cfcdf090d9ec6ed8a9f96f828c8614e57b806b', 'Active', 1795831184);
INSERT INTO public.accounts VALUES ('999900000000', 'management', NULL, NULL, 1795831184, NULL, NULL, NULL);
INSERT INTO public.accounts VALUES ('555566667777', 'outside', NULL, NULL, 1795831184, NULL, NULL, NULL);
INSERT INTO public.accounts VALUES ('444455556666', 'globex', NULL, NULL, 1795831184, NULL, NULL, NULL);
INSERT INTO public.accounts VALUES ('111122223333', 'acme', 'root@acme.example', 'acme-corp', 1795831184, NULL, NULL, NULL);
INSERT INTO public.alembic_version VALUES ('0004');
INSERT INTO public.api_keys VALUES ('alicekey', 'AIDAPUC6ZS4WZXIUGHXMF', '\x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', 'Active', 1896048000, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "docs:Get*",
      "Resource": "*"
    }
  ]
}', 1795831184, NULL, NULL);
INSERT INTO public.api_keys VALUES ('auditkey', 'AROAK7Z3NZ4RPVNOSWODS', '\x2754f3ac6cbc9119af03224f2e065b6c473ead66958b3fc8e69270153af0fc43', 'Active', NULL, NULL, 1795831184, NULL, NULL);
INSERT INTO public.attachments VALUES ('AGPABIV75QUOYBEHOARVX', 'ANPAKI2WZNFZEWA2XO4TS');
INSERT INTO public.attachments VALUES ('AIDAPUC6ZS4WZXIUGHXMF', 'ANPABHA74LLLCP7HHPYMD');
INSERT INTO public.attachments VALUES ('AROAK7Z3NZ4RPVNOSWODS', 'ANPABHA74LLLCP7HHPYMD');
INSERT INTO public.control_attachments VALUES ('p-FullAWSAccess', 'r-ab12', 'r-ab12', NULL);
INSERT INTO public.control_attachments VALUES ('p-RCPFullAWSAccess', 'r-ab12', 'r-ab12', NULL);
INSERT INTO public.control_attachments VALUES ('p-vvo2tvoisxg652qm4', 'ou-ab12-11111111', 'ou-ab12-11111111', NULL);
INSERT INTO public.control_attachments VALUES ('p-FullAWSAccess', 'ou-ab12-11111111', 'ou-ab12-11111111', NULL);
INSERT INTO public.control_attachments VALUES ('p-RCPFullAWSAccess', 'ou-ab12-11111111', 'ou-ab12-11111111', NULL);
INSERT INTO public.control_attachments VALUES ('p-FullAWSAccess', 'ou-ab12-22222222', 'ou-ab12-22222222', NULL);
INSERT INTO public.control_attachments VALUES ('p-r7mloeowaggn2dfcp', 'ou-ab12-22222222', 'ou-ab12-22222222', NULL);
INSERT INTO public.control_attachments VALUES ('p-RCPFullAWSAccess', 'ou-ab12-22222222', 'ou-ab12-22222222', NULL);
INSERT INTO public.control_attachments VALUES ('p-FullAWSAccess', '111122223333', NULL, '111122223333');
INSERT INTO public.control_attachments VALUES ('p-RCPFullAWSAccess', '111122223333', NULL, '111122223333');
INSERT INTO public.control_attachments VALUES ('p-vvo2tvoisxg652qm4', '444455556666', NULL, '444455556666');
INSERT INTO public.control_attachments VALUES ('p-RCPFullAWSAccess', '444455556666', NULL, '444455556666');
INSERT INTO public.control_policies VALUES ('p-FullAWSAccess', NULL, 'SCP', 'FullAWSAccess', 'fullawsaccess', '', '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "*",
      "Resource": "*"
    }
  ]
}', '08504c15956913f7a75aadc895ef2b92368826916f95027a128388e60cda61d4');
INSERT INTO public.control_policies VALUES ('p-RCPFullAWSAccess', NULL, 'RCP', 'RCPFullAWSAccess', 'rcpfullawsaccess', '', '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": "*",
      "Action": "*",
      "Resource": "*"
    }
  ]
}', '20d2c4f78066fcfc549b206b19b201e16115ea81cec013301fc4e9c0259f4459');
INSERT INTO public.control_policies VALUES ('p-vvo2tvoisxg652qm4', 'o-exampleorg', 'SCP', 'DenyDelete', 'denydelete', '', '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "NoDelete",
      "Effect": "Deny",
      "Action": "docs:Delete*",
      "Resource": "*"
    }
  ]
}', 'c598bd536e20c621d599d45528c25aee697d9091e5c26432f69ac92666f206c7');
INSERT INTO public.control_policies VALUES ('p-r7mloeowaggn2dfcp', 'o-exampleorg', 'RCP', 'OnlyTls', 'onlytls', '', '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Deny",
      "Principal": "*",
      "Action": "docs:*",
      "Resource": "*",
      "Condition": {
        "Bool": {
          "aws:SecureTransport": false
        }
      }
    }
  ]
}', 'c5608f5096407c74bc02e74ea676935962238b8b1f5b6b903816917cf0476e1e');
INSERT INTO public.identities VALUES ('AIDAF5XC4PB5NHOEFV4PV', '444455556666', 'user', '/', 'eve', 'eve', '', NULL, '{}', NULL, NULL, '{}', NULL, 1795831184, NULL);
INSERT INTO public.identities VALUES ('AGPABIV75QUOYBEHOARVX', '111122223333', 'group', '/', 'editors', 'editors', '', NULL, '{}', NULL, NULL, '{}', NULL, 1795831184, NULL);
INSERT INTO public.identities VALUES ('AIDAPUC6ZS4WZXIUGHXMF', '111122223333', 'user', '/staff/', 'alice', 'alice', '', 'ANPAWRKMPQXQTFRZMQDRC', '{"Department": "Sales", "cost": "100"}', NULL, NULL, '{}', NULL, 1795831184, NULL);
INSERT INTO public.identities VALUES ('AIDATILF2CKQ2BTXX2F24', '111122223333', 'user', '/', 'bob', 'bob', '', NULL, '{}', NULL, NULL, '{}', NULL, 1795831184, NULL);
INSERT INTO public.identities VALUES ('AROAK7Z3NZ4RPVNOSWODS', '111122223333', 'role', '/audit/', 'Auditor', 'auditor', '', NULL, '{"Department": "Audit"}', '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": "arn:aws:iam::111122223333:user/staff/alice"
      },
      "Action": "sts:AssumeRole"
    }
  ]
}', '2013581a9b1d17c41e84bc6cd61de9b6cec895cf9a4d6fc8b10ad796b14ea8d6', '{"arn:aws:iam::111122223333:user/staff/alice": "AIDAPUC6ZS4WZXIUGHXMF"}', 7200, 1795831184, NULL);
INSERT INTO public.inline_policies VALUES ('AGPABIV75QUOYBEHOARVX', 'listdocs', 'ListDocs', '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "docs:List*",
      "Resource": "*"
    }
  ]
}', 'cce4800ea16f9bb0b45343eff4c1e5cdc6bc46ca90fdd0b8fa9d570a6ef55240');
INSERT INTO public.inline_policies VALUES ('AIDAPUC6ZS4WZXIUGHXMF', 'editown', 'EditOwn', '{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "docs:Put*", "Resource": "arn:aws:docs:*:*:own/${aws:username}/*"}
]}
', '85ba11ad73e68e005bb27b9362fa8da6e2cbee455f94ae74562fc819dd696c02');
INSERT INTO public.memberships VALUES ('AIDAPUC6ZS4WZXIUGHXMF', 'AGPABIV75QUOYBEHOARVX');
INSERT INTO public.meta VALUES (1, 2, 1795831184);
INSERT INTO public.organizations VALUES ('o-exampleorg', '999900000000', true, true, NULL);
INSERT INTO public.placements VALUES ('111122223333', 'ou-ab12-22222222');
INSERT INTO public.placements VALUES ('444455556666', 'ou-ab12-22222222');
INSERT INTO public.placements VALUES ('999900000000', 'r-ab12');
INSERT INTO public.policies VALUES ('ANPAIWMBCKSKIEE64ZLYK', 'aws', '/', 'AdministratorAccess', 'administratoraccess', 'Provides full access to AWS services and resources.', 1, '{}', 1795831184, NULL, NULL);
INSERT INTO public.policies VALUES ('ANPAI7XKCFMBPM3QQRRVQ', 'aws', '/', 'IAMFullAccess', 'iamfullaccess', 'Provides full access to IAM.', 1, '{}', 1795831184, NULL, NULL);
INSERT INTO public.policies VALUES ('ANPAJYRXTHIB4FOVS3ZXS', 'aws', '/', 'PowerUserAccess', 'poweruseraccess', 'Provides full access to everything but the management of users, groups, roles and organizations.', 1, '{}', 1795831184, NULL, NULL);
INSERT INTO public.policies VALUES ('ANPAILL3HVNFSB6DCOWYQ', 'aws', '/', 'ReadOnlyAccess', 'readonlyaccess', 'Provides access to whatever reads and changes nothing.', 1, '{}', 1795831184, NULL, NULL);
INSERT INTO public.policies VALUES ('ANPAOWDAH2VG5WUJYMZVZ', 'aws', '/root-task/', 'IAMAuditRootUserCredentials', 'iamauditrootusercredentials', 'Looks which credentials the root user of a member account has.', 1, '{}', 1795831184, NULL, NULL);
INSERT INTO public.policies VALUES ('ANPAIGKENEGF2SUSUL57U', 'aws', '/root-task/', 'IAMCreateRootUserPassword', 'iamcreaterootuserpassword', 'Gives the root user of a member account a password again.', 1, '{}', 1795831184, NULL, NULL);
INSERT INTO public.policies VALUES ('ANPAAYKW6FVFLJTSERCPG', 'aws', '/root-task/', 'IAMDeleteRootUserCredentials', 'iamdeleterootusercredentials', 'Takes all credentials from the root user of a member account.', 1, '{}', 1795831184, NULL, NULL);
INSERT INTO public.policies VALUES ('ANPAVVRC2MZLZUTVD74SD', 'aws', '/root-task/', 'S3UnlockBucketPolicy', 's3unlockbucketpolicy', 'Deletes or mends a bucket policy that denies everybody.', 1, '{}', 1795831184, NULL, NULL);
INSERT INTO public.policies VALUES ('ANPAOLLPK5BE7T273YHKE', 'aws', '/root-task/', 'SQSUnlockQueuePolicy', 'sqsunlockqueuepolicy', 'Deletes or mends a queue policy that denies everybody.', 1, '{}', 1795831184, NULL, NULL);
INSERT INTO public.policies VALUES ('ANPABHA74LLLCP7HHPYMD', 'aws', '/docs/', 'DocsReader', 'docsreader', '', 1, '{}', 1795831184, 1795831184, NULL);
INSERT INTO public.policies VALUES ('ANPAKI2WZNFZEWA2XO4TS', '111122223333', '/team/', 'EditDocs', 'editdocs', 'what editors do', 1, '{"team": "docs"}', 1795831184, 1795831184, NULL);
INSERT INTO public.policies VALUES ('ANPAWRKMPQXQTFRZMQDRC', '111122223333', '/', 'Boundary', 'boundary', '', 1, '{}', 1795831184, 1795831184, NULL);
INSERT INTO public.policy_versions VALUES ('ANPAIWMBCKSKIEE64ZLYK', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "*",
      "Resource": "*"
    }
  ]
}', '08504c15956913f7a75aadc895ef2b92368826916f95027a128388e60cda61d4', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPAI7XKCFMBPM3QQRRVQ', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "iam:*",
      "Resource": "*"
    }
  ]
}', '36b3f43cee20e8586d2cbcc78ad70dd62fad8197b7b1d16221bb33e0f7d23798', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPAJYRXTHIB4FOVS3ZXS', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "NotAction": [
        "iam:*",
        "organizations:*",
        "account:*"
      ],
      "Resource": "*"
    },
    {
      "Effect": "Allow",
      "Action": [
        "iam:CreateServiceLinkedRole",
        "iam:DeleteServiceLinkedRole",
        "iam:ListRoles",
        "organizations:DescribeOrganization"
      ],
      "Resource": "*"
    }
  ]
}', '0a9a37ae762afa1acae72e6720a5b62a6d818b0c04ae07775547111eebefc40b', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPAILL3HVNFSB6DCOWYQ', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "access-analyzer:Get*",
        "access-analyzer:List*",
        "access-analyzer:Validate*",
        "iam:Generate*",
        "iam:Get*",
        "iam:List*",
        "iam:Simulate*",
        "identitystore:Describe*",
        "identitystore:Get*",
        "identitystore:List*",
        "organizations:Describe*",
        "organizations:List*",
        "sso:Describe*",
        "sso:Get*",
        "sso:List*",
        "sts:GetAccessKeyInfo",
        "sts:GetCallerIdentity"
      ],
      "Resource": "*"
    }
  ]
}', 'b7003cbe7e5c7f89941d9eae8146f2ccbf31b04d3042c296092dd5d5bd15c992', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPAOWDAH2VG5WUJYMZVZ', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "NothingElse",
      "Effect": "Deny",
      "NotAction": [
        "iam:GetAccessKeyLastUsed",
        "iam:GetLoginProfile",
        "iam:GetUser",
        "iam:ListAccessKeys",
        "iam:ListMFADevices",
        "iam:ListSigningCertificates",
        "iam:GetAccountSummary"
      ],
      "Resource": "*"
    },
    {
      "Sid": "OfTheRootUserAlone",
      "Effect": "Deny",
      "Action": [
        "iam:GetAccessKeyLastUsed",
        "iam:GetLoginProfile",
        "iam:GetUser",
        "iam:ListAccessKeys",
        "iam:ListMFADevices",
        "iam:ListSigningCertificates"
      ],
      "NotResource": "arn:*:iam::*:root"
    }
  ]
}', '0159fc52cb0b2e4d84cbdca8d8cdf48afe89c1bef8cc66266b49a5b32b1b3f63', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPAIGKENEGF2SUSUL57U', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "NothingElse",
      "Effect": "Deny",
      "NotAction": [
        "iam:CreateLoginProfile",
        "iam:GetLoginProfile"
      ],
      "Resource": "*"
    },
    {
      "Sid": "OfTheRootUserAlone",
      "Effect": "Deny",
      "Action": [
        "iam:CreateLoginProfile",
        "iam:GetLoginProfile"
      ],
      "NotResource": "arn:*:iam::*:root"
    }
  ]
}', '33bfaa4de7f3850958ea8c372d13e27dbbcf45848ddb0bd954d0f8c52437e617', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPAAYKW6FVFLJTSERCPG', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "NothingElse",
      "Effect": "Deny",
      "NotAction": [
        "iam:GetAccessKeyLastUsed",
        "iam:GetLoginProfile",
        "iam:GetUser",
        "iam:ListAccessKeys",
        "iam:ListMFADevices",
        "iam:ListSigningCertificates",
        "iam:DeactivateMFADevice",
        "iam:DeleteAccessKey",
        "iam:DeleteLoginProfile",
        "iam:DeleteSigningCertificate",
        "iam:DeleteVirtualMFADevice"
      ],
      "Resource": "*"
    },
    {
      "Sid": "OfTheRootUserAlone",
      "Effect": "Deny",
      "Action": [
        "iam:GetAccessKeyLastUsed",
        "iam:GetLoginProfile",
        "iam:GetUser",
        "iam:ListAccessKeys",
        "iam:ListMFADevices",
        "iam:ListSigningCertificates",
        "iam:DeactivateMFADevice",
        "iam:DeleteAccessKey",
        "iam:DeleteLoginProfile",
        "iam:DeleteSigningCertificate"
      ],
      "NotResource": "arn:*:iam::*:root"
    }
  ]
}', '758691942d9d21eaf4d0040e6a89792fc3e988683969a8066537b50dd70c0636', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPAVVRC2MZLZUTVD74SD', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "NothingElse",
      "Effect": "Deny",
      "NotAction": [
        "s3:DeleteBucketPolicy",
        "s3:GetBucketPolicy",
        "s3:ListAllMyBuckets",
        "s3:PutBucketPolicy"
      ],
      "Resource": "*"
    },
    {
      "Sid": "ByTheRootUserAlone",
      "Effect": "Deny",
      "Action": [
        "s3:DeleteBucketPolicy",
        "s3:GetBucketPolicy",
        "s3:ListAllMyBuckets",
        "s3:PutBucketPolicy"
      ],
      "Resource": "*",
      "Condition": {
        "StringNotLike": {
          "aws:PrincipalArn": "arn:*:iam::*:root"
        }
      }
    }
  ]
}', '8081c0412d9e7e21e4f0f34142dddaa4d18aa2c8ddc808ae4a7944ef65c14b8f', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPAOLLPK5BE7T273YHKE', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "NothingElse",
      "Effect": "Deny",
      "NotAction": [
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ListQueues",
        "sqs:SetQueueAttributes"
      ],
      "Resource": "*"
    },
    {
      "Sid": "OfQueuesOfTheAccount",
      "Effect": "Deny",
      "Action": "sqs:GetQueueAttributes",
      "Resource": "arn:*:sqs:*:*:*",
      "Condition": {
        "StringNotEqualsIfExists": {
          "aws:ResourceAccount": "${aws:PrincipalAccount}"
        }
      }
    },
    {
      "Sid": "ByTheRootUserAlone",
      "Effect": "Deny",
      "Action": [
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ListQueues",
        "sqs:SetQueueAttributes"
      ],
      "Resource": "*",
      "Condition": {
        "StringNotLike": {
          "aws:PrincipalArn": "arn:*:iam::*:root"
        }
      }
    }
  ]
}', 'c3bda845467dc9478111a410aa7e659dcc240e664bfadd6d2b4a78cb7eed5120', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPABHA74LLLCP7HHPYMD', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "docs:Get*",
      "Resource": "*"
    }
  ]
}', '5e2ec48ca05bb8c5ba0c750ff4dced7a5c52e42e497a0caffda670a4064f386d', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPAKI2WZNFZEWA2XO4TS', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Edit",
      "Effect": "Allow",
      "Action": [
        "docs:Get*",
        "docs:Put*"
      ],
      "Resource": "*"
    }
  ]
}', 'f0944387108e41fc8da4e65ff43e99c18e165f75da40ef5c9383738e7977d0ad', 1795831184);
INSERT INTO public.policy_versions VALUES ('ANPAWRKMPQXQTFRZMQDRC', 1, '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "docs:*",
      "Resource": "*"
    }
  ]
}', 'e854fdb2a8ea60350e6f08632b3203265396a2c8151c95583e68bc990c8aabf4', 1795831184);
INSERT INTO public.resources VALUES ('arn:aws:docs:us-east-1:111122223333:document/plan', '111122223333', '{"stage": "draft"}', '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "AWS": [
          "arn:aws:iam::111122223333:user/bob",
          "arn:aws:iam::123123123123:root"
        ]
      },
      "Action": "docs:GetDocument",
      "Resource": "*"
    }
  ]
}', '97d86722a7ef15fc705e69f5b92b5b31444ca95d7a1552230136241660341324', '{"arn:aws:iam::111122223333:user/bob": "AIDATILF2CKQ2BTXX2F24"}');
INSERT INTO public.resources VALUES ('arn:aws:docs:us-east-1:111122223333:document/bare', '111122223333', '{}', NULL, NULL, '{}');
INSERT INTO public.units VALUES ('r-ab12', 'o-exampleorg', NULL, '', '');
INSERT INTO public.units VALUES ('ou-ab12-11111111', 'o-exampleorg', 'r-ab12', 'tenants', 'tenants');
INSERT INTO public.units VALUES ('ou-ab12-22222222', 'o-exampleorg', 'ou-ab12-11111111', 'gold', 'gold');
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.access_key_uses
    ADD CONSTRAINT pk_access_key_uses PRIMARY KEY (access_key_id);
ALTER TABLE ONLY public.access_keys
    ADD CONSTRAINT pk_access_keys PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT pk_accounts PRIMARY KEY (id);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT pk_api_keys PRIMARY KEY (id);
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT pk_attachments PRIMARY KEY (identity_id, policy_id);
ALTER TABLE ONLY public.certificate_profiles
    ADD CONSTRAINT pk_certificate_profiles PRIMARY KEY (id);
ALTER TABLE ONLY public.control_attachments
    ADD CONSTRAINT pk_control_attachments PRIMARY KEY (policy_id, target);
ALTER TABLE ONLY public.control_policies
    ADD CONSTRAINT pk_control_policies PRIMARY KEY (id);
ALTER TABLE ONLY public.credential_reports
    ADD CONSTRAINT pk_credential_reports PRIMARY KEY (account);
ALTER TABLE ONLY public.former_passwords
    ADD CONSTRAINT pk_former_passwords PRIMARY KEY (owner, number);
ALTER TABLE ONLY public.identities
    ADD CONSTRAINT pk_identities PRIMARY KEY (id);
ALTER TABLE ONLY public.inline_policies
    ADD CONSTRAINT pk_inline_policies PRIMARY KEY (identity_id, folded);
ALTER TABLE ONLY public.instance_profiles
    ADD CONSTRAINT pk_instance_profiles PRIMARY KEY (id);
ALTER TABLE ONLY public.issuer_keys
    ADD CONSTRAINT pk_issuer_keys PRIMARY KEY (id);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT pk_jobs PRIMARY KEY (id);
ALTER TABLE ONLY public.login_profiles
    ADD CONSTRAINT pk_login_profiles PRIMARY KEY (owner);
ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT pk_memberships PRIMARY KEY (user_id, group_id);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT pk_meta PRIMARY KEY (id);
ALTER TABLE ONLY public.mfa_devices
    ADD CONSTRAINT pk_mfa_devices PRIMARY KEY (serial);
ALTER TABLE ONLY public.oidc_providers
    ADD CONSTRAINT pk_oidc_providers PRIMARY KEY (id);
ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT pk_organizations PRIMARY KEY (id);
ALTER TABLE ONLY public.password_policies
    ADD CONSTRAINT pk_password_policies PRIMARY KEY (account);
ALTER TABLE ONLY public.placements
    ADD CONSTRAINT pk_placements PRIMARY KEY (account);
ALTER TABLE ONLY public.policies
    ADD CONSTRAINT pk_policies PRIMARY KEY (id);
ALTER TABLE ONLY public.policy_versions
    ADD CONSTRAINT pk_policy_versions PRIMARY KEY (policy_id, version);
ALTER TABLE ONLY public.resources
    ADD CONSTRAINT pk_resources PRIMARY KEY (arn);
ALTER TABLE ONLY public.revocation_lists
    ADD CONSTRAINT pk_revocation_lists PRIMARY KEY (anchor_id, authority);
ALTER TABLE ONLY public.saml_private_keys
    ADD CONSTRAINT pk_saml_private_keys PRIMARY KEY (id);
ALTER TABLE ONLY public.saml_providers
    ADD CONSTRAINT pk_saml_providers PRIMARY KEY (id);
ALTER TABLE ONLY public.server_certificates
    ADD CONSTRAINT pk_server_certificates PRIMARY KEY (id);
ALTER TABLE ONLY public.service_credentials
    ADD CONSTRAINT pk_service_credentials PRIMARY KEY (id);
ALTER TABLE ONLY public.service_uses
    ADD CONSTRAINT pk_service_uses PRIMARY KEY (identity_id, service, action);
ALTER TABLE ONLY public.signing_certificates
    ADD CONSTRAINT pk_signing_certificates PRIMARY KEY (id);
ALTER TABLE ONLY public.ssh_keys
    ADD CONSTRAINT pk_ssh_keys PRIMARY KEY (id);
ALTER TABLE ONLY public.trust_anchors
    ADD CONSTRAINT pk_trust_anchors PRIMARY KEY (id);
ALTER TABLE ONLY public.units
    ADD CONSTRAINT pk_units PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT uq_accounts_alias UNIQUE (alias);
ALTER TABLE ONLY public.certificate_profiles
    ADD CONSTRAINT uq_certificate_profiles_account_folded UNIQUE (account, folded);
ALTER TABLE ONLY public.control_policies
    ADD CONSTRAINT uq_control_policies_organization_id_type_folded UNIQUE (organization_id, type, folded);
ALTER TABLE ONLY public.identities
    ADD CONSTRAINT uq_identities_account_kind_folded UNIQUE (account, kind, folded);
ALTER TABLE ONLY public.instance_profiles
    ADD CONSTRAINT uq_instance_profiles_account_folded UNIQUE (account, folded);
ALTER TABLE ONLY public.mfa_devices
    ADD CONSTRAINT uq_mfa_devices_account_folded UNIQUE (account, folded);
ALTER TABLE ONLY public.oidc_providers
    ADD CONSTRAINT uq_oidc_providers_account_url UNIQUE (account, url);
ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT uq_organizations_management_account UNIQUE (management_account);
ALTER TABLE ONLY public.policies
    ADD CONSTRAINT uq_policies_account_folded UNIQUE (account, folded);
ALTER TABLE ONLY public.saml_providers
    ADD CONSTRAINT uq_saml_providers_account_folded UNIQUE (account, folded);
ALTER TABLE ONLY public.server_certificates
    ADD CONSTRAINT uq_server_certificates_account_folded UNIQUE (account, folded);
ALTER TABLE ONLY public.service_credentials
    ADD CONSTRAINT uq_service_credentials_service_alias UNIQUE (service, alias);
ALTER TABLE ONLY public.service_credentials
    ADD CONSTRAINT uq_service_credentials_service_user_name UNIQUE (service, user_name);
ALTER TABLE ONLY public.trust_anchors
    ADD CONSTRAINT uq_trust_anchors_account_folded UNIQUE (account, folded);
ALTER TABLE ONLY public.units
    ADD CONSTRAINT uq_units_parent_id_folded UNIQUE (parent_id, folded);
CREATE INDEX ix_access_keys_account ON public.access_keys USING btree (account);
CREATE INDEX ix_access_keys_user_id ON public.access_keys USING btree (user_id);
CREATE INDEX ix_api_keys_identity_id ON public.api_keys USING btree (identity_id);
CREATE INDEX ix_api_keys_replaces ON public.api_keys USING btree (replaces);
CREATE INDEX ix_attachments_policy_id ON public.attachments USING btree (policy_id);
CREATE INDEX ix_certificate_profiles_account ON public.certificate_profiles USING btree (account);
CREATE INDEX ix_control_attachments_target ON public.control_attachments USING btree (target);
CREATE INDEX ix_identities_boundary_id ON public.identities USING btree (boundary_id);
CREATE INDEX ix_instance_profiles_role_id ON public.instance_profiles USING btree (role_id);
CREATE INDEX ix_issuer_keys_account ON public.issuer_keys USING btree (account);
CREATE INDEX ix_issuer_keys_issuer ON public.issuer_keys USING btree (issuer);
CREATE INDEX ix_jobs_account ON public.jobs USING btree (account);
CREATE INDEX ix_login_profiles_account ON public.login_profiles USING btree (account);
CREATE INDEX ix_login_profiles_user_id ON public.login_profiles USING btree (user_id);
CREATE INDEX ix_memberships_group_id ON public.memberships USING btree (group_id);
CREATE INDEX ix_mfa_devices_user_id ON public.mfa_devices USING btree (user_id);
CREATE INDEX ix_placements_unit_id ON public.placements USING btree (unit_id);
CREATE INDEX ix_resources_account ON public.resources USING btree (account);
CREATE INDEX ix_saml_private_keys_provider_id ON public.saml_private_keys USING btree (provider_id);
CREATE INDEX ix_service_credentials_account ON public.service_credentials USING btree (account);
CREATE INDEX ix_service_credentials_user_id ON public.service_credentials USING btree (user_id);
CREATE INDEX ix_signing_certificates_account ON public.signing_certificates USING btree (account);
CREATE INDEX ix_signing_certificates_user_id ON public.signing_certificates USING btree (user_id);
CREATE INDEX ix_ssh_keys_user_id ON public.ssh_keys USING btree (user_id);
CREATE INDEX ix_trust_anchors_account ON public.trust_anchors USING btree (account);
CREATE INDEX ix_units_organization_id ON public.units USING btree (organization_id);
ALTER TABLE ONLY public.access_key_uses
    ADD CONSTRAINT fk_access_key_uses_access_key_id FOREIGN KEY (access_key_id) REFERENCES public.access_keys(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.access_keys
    ADD CONSTRAINT fk_access_keys_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.access_keys
    ADD CONSTRAINT fk_access_keys_user_id FOREIGN KEY (user_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT fk_api_keys_identity_id FOREIGN KEY (identity_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT fk_attachments_identity_id FOREIGN KEY (identity_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.attachments
    ADD CONSTRAINT fk_attachments_policy_id FOREIGN KEY (policy_id) REFERENCES public.policies(id);
ALTER TABLE ONLY public.certificate_profiles
    ADD CONSTRAINT fk_certificate_profiles_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.control_attachments
    ADD CONSTRAINT fk_control_attachments_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.control_attachments
    ADD CONSTRAINT fk_control_attachments_policy_id FOREIGN KEY (policy_id) REFERENCES public.control_policies(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.control_attachments
    ADD CONSTRAINT fk_control_attachments_unit_id FOREIGN KEY (unit_id) REFERENCES public.units(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.control_policies
    ADD CONSTRAINT fk_control_policies_organization_id FOREIGN KEY (organization_id) REFERENCES public.organizations(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.credential_reports
    ADD CONSTRAINT fk_credential_reports_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.former_passwords
    ADD CONSTRAINT fk_former_passwords_owner FOREIGN KEY (owner) REFERENCES public.login_profiles(owner) ON DELETE CASCADE;
ALTER TABLE ONLY public.identities
    ADD CONSTRAINT fk_identities_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.identities
    ADD CONSTRAINT fk_identities_boundary_id FOREIGN KEY (boundary_id) REFERENCES public.policies(id);
ALTER TABLE ONLY public.inline_policies
    ADD CONSTRAINT fk_inline_policies_identity_id FOREIGN KEY (identity_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.instance_profiles
    ADD CONSTRAINT fk_instance_profiles_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.instance_profiles
    ADD CONSTRAINT fk_instance_profiles_role_id FOREIGN KEY (role_id) REFERENCES public.identities(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.issuer_keys
    ADD CONSTRAINT fk_issuer_keys_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT fk_jobs_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.login_profiles
    ADD CONSTRAINT fk_login_profiles_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.login_profiles
    ADD CONSTRAINT fk_login_profiles_user_id FOREIGN KEY (user_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT fk_memberships_group_id FOREIGN KEY (group_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT fk_memberships_user_id FOREIGN KEY (user_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.mfa_devices
    ADD CONSTRAINT fk_mfa_devices_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.mfa_devices
    ADD CONSTRAINT fk_mfa_devices_user_id FOREIGN KEY (user_id) REFERENCES public.identities(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.oidc_providers
    ADD CONSTRAINT fk_oidc_providers_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.password_policies
    ADD CONSTRAINT fk_password_policies_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.placements
    ADD CONSTRAINT fk_placements_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.placements
    ADD CONSTRAINT fk_placements_unit_id FOREIGN KEY (unit_id) REFERENCES public.units(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.policy_versions
    ADD CONSTRAINT fk_policy_versions_policy_id FOREIGN KEY (policy_id) REFERENCES public.policies(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.resources
    ADD CONSTRAINT fk_resources_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.revocation_lists
    ADD CONSTRAINT fk_revocation_lists_anchor_id FOREIGN KEY (anchor_id) REFERENCES public.trust_anchors(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.saml_private_keys
    ADD CONSTRAINT fk_saml_private_keys_provider_id FOREIGN KEY (provider_id) REFERENCES public.saml_providers(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.saml_providers
    ADD CONSTRAINT fk_saml_providers_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.server_certificates
    ADD CONSTRAINT fk_server_certificates_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.service_credentials
    ADD CONSTRAINT fk_service_credentials_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.service_credentials
    ADD CONSTRAINT fk_service_credentials_user_id FOREIGN KEY (user_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.service_uses
    ADD CONSTRAINT fk_service_uses_identity_id FOREIGN KEY (identity_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.signing_certificates
    ADD CONSTRAINT fk_signing_certificates_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.signing_certificates
    ADD CONSTRAINT fk_signing_certificates_user_id FOREIGN KEY (user_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.ssh_keys
    ADD CONSTRAINT fk_ssh_keys_user_id FOREIGN KEY (user_id) REFERENCES public.identities(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.trust_anchors
    ADD CONSTRAINT fk_trust_anchors_account FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.units
    ADD CONSTRAINT fk_units_organization_id FOREIGN KEY (organization_id) REFERENCES public.organizations(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.units
    ADD CONSTRAINT fk_units_parent_id FOREIGN KEY (parent_id) REFERENCES public.units(id) ON DELETE CASCADE;
