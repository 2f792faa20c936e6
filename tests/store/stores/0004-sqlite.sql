BEGIN TRANSACTION;
CREATE TABLE access_key_uses (
	access_key_id VARCHAR NOT NULL, 
	at BIGINT NOT NULL, 
	region VARCHAR NOT NULL, 
	service VARCHAR NOT NULL, 
	CONSTRAINT pk_access_key_uses PRIMARY KEY (access_key_id), 
	CONSTRAINT fk_access_key_uses_access_key_id FOREIGN KEY(access_key_id) REFERENCES access_keys (id) ON DELETE CASCADE
);
CREATE TABLE access_keys (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	user_id VARCHAR, 
	sealed BLOB NOT NULL, 
	status VARCHAR NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_access_keys PRIMARY KEY (id), 
	CONSTRAINT ck_access_keys_status CHECK (status IN ('Active', 'Inactive', 'Expired')), 
	CONSTRAINT fk_access_keys_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_access_keys_user_id FOREIGN KEY(user_id) REFERENCES identities (id) ON DELETE CASCADE
);
INSERT INTO "access_keys" VALUES('AKIAALICE','111122223333','AIDAI7BMLVQSKOCFR5Q6Y',X'0137759865AAEDF5D1933AF5E10518091ED2861BDB0EA3812A8A130EA29CB3BC2E1B09B0DD825376CB9A3FF151C2A23652','Active',1795831184);
INSERT INTO "access_keys" VALUES('AKIAOLD','111122223333','AIDAI7BMLVQSKOCFR5Q6Y',X'0137759865AAEDF5D137457556F236E7B140EF53E48BCCABA15158E8F5C5CBCB5453074D1FBA24543D851F22F3CD3D','Inactive',1795831184);
INSERT INTO "access_keys" VALUES('AKIAROOT','111122223333',NULL,X'0137759865AAEDF5D1C8D175A38683F7C84B5E8D392712A31A0DBEEFA504D9004EED92DDF4194C35182172417178F916','Active',1795831184);
CREATE TABLE accounts (
	id VARCHAR(12) NOT NULL, 
	name VARCHAR NOT NULL, 
	email VARCHAR, 
	alias VARCHAR, 
	created BIGINT NOT NULL, sts_token_version VARCHAR, outbound_issuer VARCHAR, properties JSON, 
	CONSTRAINT pk_accounts PRIMARY KEY (id), 
	CONSTRAINT uq_accounts_alias UNIQUE (alias)
);
INSERT INTO "accounts" VALUES('999900000000','management',NULL,NULL,1795831184,NULL,NULL,NULL);
INSERT INTO "accounts" VALUES('555566667777','outside',NULL,NULL,1795831184,NULL,NULL,NULL);
INSERT INTO "accounts" VALUES('444455556666','globex',NULL,NULL,1795831184,NULL,NULL,NULL);
INSERT INTO "accounts" VALUES('111122223333','acme','root@acme.example','acme-corp',1795831184,NULL,NULL,NULL);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE api_keys (
	id VARCHAR NOT NULL, 
	identity_id VARCHAR NOT NULL, 
	digest BLOB NOT NULL, 
	status VARCHAR NOT NULL, 
	expires BIGINT, 
	session_policy TEXT, 
	created BIGINT NOT NULL, replaces VARCHAR, used BIGINT, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT ck_api_keys_status CHECK (status IN ('Active', 'Inactive', 'Expired')), 
	CONSTRAINT fk_api_keys_identity_id FOREIGN KEY(identity_id) REFERENCES identities (id) ON DELETE CASCADE
);
INSERT INTO "api_keys" VALUES('alicekey','AIDAI7BMLVQSKOCFR5Q6Y',X'9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08','Active',1896048000,'{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "docs:Get*",
      "Resource": "*"
    }
  ]
}',1795831184,NULL,NULL);
INSERT INTO "api_keys" VALUES('auditkey','AROAVDNNDMWRAVQBU4NFY',X'2754F3AC6CBC9119AF03224F2E065B6C473EAD66958B3FC8E69270153AF0FC43','Active',NULL,NULL,1795831184,NULL,NULL);
CREATE TABLE attachments (
	identity_id VARCHAR NOT NULL, 
	policy_id VARCHAR NOT NULL, 
	CONSTRAINT pk_attachments PRIMARY KEY (identity_id, policy_id), 
	CONSTRAINT fk_attachments_identity_id FOREIGN KEY(identity_id) REFERENCES identities (id) ON DELETE CASCADE, 
	CONSTRAINT fk_attachments_policy_id FOREIGN KEY(policy_id) REFERENCES policies (id)
);
INSERT INTO "attachments" VALUES('AGPACRZIC5GBD7YBWOGJY','ANPASFLR7NO4H24S2C5DA');
INSERT INTO "attachments" VALUES('AIDAI7BMLVQSKOCFR5Q6Y','ANPAVGYV3IRSX5X53N5CA');
INSERT INTO "attachments" VALUES('AROAVDNNDMWRAVQBU4NFY','ANPAVGYV3IRSX5X53N5CA');
CREATE TABLE certificate_profiles (
	id VARCHAR(36) NOT NULL, 
	account VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	roles JSON NOT NULL, 
	seconds INTEGER NOT NULL, 
	session_policy TEXT, 
	policy_ids JSON NOT NULL, 
	mappings JSON, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_certificate_profiles PRIMARY KEY (id), 
	CONSTRAINT fk_certificate_profiles_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT uq_certificate_profiles_account_folded UNIQUE (account, folded)
);
CREATE TABLE control_attachments (
	policy_id VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	unit_id VARCHAR, 
	account VARCHAR, 
	CONSTRAINT pk_control_attachments PRIMARY KEY (policy_id, target), 
	CONSTRAINT ck_control_attachments_one_target CHECK ((unit_id IS NULL) <> (account IS NULL)), 
	CONSTRAINT fk_control_attachments_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_control_attachments_policy_id FOREIGN KEY(policy_id) REFERENCES control_policies (id) ON DELETE CASCADE, 
	CONSTRAINT fk_control_attachments_unit_id FOREIGN KEY(unit_id) REFERENCES units (id) ON DELETE CASCADE
);
INSERT INTO "control_attachments" VALUES('p-FullAWSAccess','r-ab12','r-ab12',NULL);
INSERT INTO "control_attachments" VALUES('p-RCPFullAWSAccess','r-ab12','r-ab12',NULL);
INSERT INTO "control_attachments" VALUES('p-ncotzrcje2gadr7k6','ou-ab12-11111111','ou-ab12-11111111',NULL);
INSERT INTO "control_attachments" VALUES('p-FullAWSAccess','ou-ab12-11111111','ou-ab12-11111111',NULL);
INSERT INTO "control_attachments" VALUES('p-RCPFullAWSAccess','ou-ab12-11111111','ou-ab12-11111111',NULL);
INSERT INTO "control_attachments" VALUES('p-FullAWSAccess','ou-ab12-22222222','ou-ab12-22222222',NULL);
INSERT INTO "control_attachments" VALUES('p-ds2jnrdowwvssxctw','ou-ab12-22222222','ou-ab12-22222222',NULL);
INSERT INTO "control_attachments" VALUES('p-RCPFullAWSAccess','ou-ab12-22222222','ou-ab12-22222222',NULL);
INSERT INTO "control_attachments" VALUES('p-FullAWSAccess','111122223333',NULL,'111122223333');
INSERT INTO "control_attachments" VALUES('p-RCPFullAWSAccess','111122223333',NULL,'111122223333');
INSERT INTO "control_attachments" VALUES('p-ncotzrcje2gadr7k6','444455556666',NULL,'444455556666');
INSERT INTO "control_attachments" VALUES('p-RCPFullAWSAccess','444455556666',NULL,'444455556666');
CREATE TABLE control_policies (
	id VARCHAR NOT NULL, 
	organization_id VARCHAR, 
	type VARCHAR(3) NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	description TEXT NOT NULL, 
	text TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_control_policies PRIMARY KEY (id), 
	CONSTRAINT ck_control_policies_type CHECK (type IN ('SCP', 'RCP')), 
	CONSTRAINT fk_control_policies_organization_id FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE, 
	CONSTRAINT uq_control_policies_organization_id_type_folded UNIQUE (organization_id, type, folded)
);
INSERT INTO "control_policies" VALUES('p-FullAWSAccess',NULL,'SCP','FullAWSAccess','fullawsaccess','','{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "*",
      "Resource": "*"
    }
  ]
}','08504c15956913f7a75aadc895ef2b92368826916f95027a128388e60cda61d4');
INSERT INTO "control_policies" VALUES('p-RCPFullAWSAccess',NULL,'RCP','RCPFullAWSAccess','rcpfullawsaccess','','{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": "*",
      "Action": "*",
      "Resource": "*"
    }
  ]
}','20d2c4f78066fcfc549b206b19b201e16115ea81cec013301fc4e9c0259f4459');
INSERT INTO "control_policies" VALUES('p-ncotzrcje2gadr7k6','o-exampleorg','SCP','DenyDelete','denydelete','','{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "NoDelete",
      "Effect": "Deny",
      "Action": "docs:Delete*",
      "Resource": "*"
    }
  ]
}','c598bd536e20c621d599d45528c25aee697d9091e5c26432f69ac92666f206c7');
INSERT INTO "control_policies" VALUES('p-ds2jnrdowwvssxctw','o-exampleorg','RCP','OnlyTls','onlytls','','{
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
}','c5608f5096407c74bc02e74ea676935962238b8b1f5b6b903816917cf0476e1e');
CREATE TABLE credential_reports (
	account VARCHAR NOT NULL, 
	content TEXT NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_credential_reports PRIMARY KEY (account), 
	CONSTRAINT fk_credential_reports_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE TABLE former_passwords (
	owner VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	digest VARCHAR NOT NULL, 
	CONSTRAINT pk_former_passwords PRIMARY KEY (owner, number), 
	CONSTRAINT fk_former_passwords_owner FOREIGN KEY(owner) REFERENCES login_profiles (owner) ON DELETE CASCADE
);
CREATE TABLE identities (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	description TEXT NOT NULL, 
	boundary_id VARCHAR, 
	tags JSON NOT NULL, 
	trust_text TEXT, 
	trust_digest VARCHAR(64), 
	trust_bindings JSON NOT NULL, 
	max_session_duration INTEGER, 
	created BIGINT NOT NULL, max_signin_session_duration INTEGER, 
	CONSTRAINT pk_identities PRIMARY KEY (id), 
	CONSTRAINT ck_identities_kind CHECK (kind IN ('user', 'group', 'role')), 
	CONSTRAINT fk_identities_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_identities_boundary_id FOREIGN KEY(boundary_id) REFERENCES policies (id), 
	CONSTRAINT uq_identities_account_kind_folded UNIQUE (account, kind, folded)
);
INSERT INTO "identities" VALUES('AIDADIIYORPHQMNHDDNL5','444455556666','user','/','eve','eve','',NULL,'{}',NULL,NULL,'{}',NULL,1795831184,NULL);
INSERT INTO "identities" VALUES('AGPACRZIC5GBD7YBWOGJY','111122223333','group','/','editors','editors','',NULL,'{}',NULL,NULL,'{}',NULL,1795831184,NULL);
INSERT INTO "identities" VALUES('AIDAI7BMLVQSKOCFR5Q6Y','111122223333','user','/staff/','alice','alice','','ANPAYYNJ6J77KRZFGKZ4E','{"Department": "Sales", "cost": "100"}',NULL,NULL,'{}',NULL,1795831184,NULL);
INSERT INTO "identities" VALUES('AIDAEZ4S2N4MFMKTMXTCU','111122223333','user','/','bob','bob','',NULL,'{}',NULL,NULL,'{}',NULL,1795831184,NULL);
INSERT INTO "identities" VALUES('AROAVDNNDMWRAVQBU4NFY','111122223333','role','/audit/','Auditor','auditor','',NULL,'{"Department": "Audit"}','{
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
}','2013581a9b1d17c41e84bc6cd61de9b6cec895cf9a4d6fc8b10ad796b14ea8d6','{"arn:aws:iam::111122223333:user/staff/alice": "AIDAI7BMLVQSKOCFR5Q6Y"}',7200,1795831184,NULL);
CREATE TABLE inline_policies (
	identity_id VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	text TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_inline_policies PRIMARY KEY (identity_id, folded), 
	CONSTRAINT fk_inline_policies_identity_id FOREIGN KEY(identity_id) REFERENCES identities (id) ON DELETE CASCADE
);
INSERT INTO "inline_policies" VALUES('AGPACRZIC5GBD7YBWOGJY','listdocs','ListDocs','{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "docs:List*",
      "Resource": "*"
    }
  ]
}','cce4800ea16f9bb0b45343eff4c1e5cdc6bc46ca90fdd0b8fa9d570a6ef55240');
INSERT INTO "inline_policies" VALUES('AIDAI7BMLVQSKOCFR5Q6Y','editown','EditOwn','{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "docs:Put*", "Resource": "arn:aws:docs:*:*:own/${aws:username}/*"}
]}
','85ba11ad73e68e005bb27b9362fa8da6e2cbee455f94ae74562fc819dd696c02');
CREATE TABLE instance_profiles (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	role_id VARCHAR, 
	tags JSON NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_instance_profiles PRIMARY KEY (id), 
	CONSTRAINT fk_instance_profiles_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_instance_profiles_role_id FOREIGN KEY(role_id) REFERENCES identities (id) ON DELETE SET NULL, 
	CONSTRAINT uq_instance_profiles_account_folded UNIQUE (account, folded)
);
CREATE TABLE issuer_keys (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	issuer VARCHAR NOT NULL, 
	algorithm VARCHAR NOT NULL, 
	sealed BLOB NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_issuer_keys PRIMARY KEY (id), 
	CONSTRAINT fk_issuer_keys_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE TABLE jobs (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	parameters JSON NOT NULL, 
	result JSON NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_jobs PRIMARY KEY (id), 
	CONSTRAINT fk_jobs_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE TABLE login_profiles (
	owner VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	user_id VARCHAR, 
	digest VARCHAR NOT NULL, 
	reset_required BOOLEAN NOT NULL, 
	max_signin_session_duration INTEGER, 
	created BIGINT NOT NULL, 
	changed BIGINT NOT NULL, 
	used BIGINT, 
	CONSTRAINT pk_login_profiles PRIMARY KEY (owner), 
	CONSTRAINT fk_login_profiles_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_login_profiles_user_id FOREIGN KEY(user_id) REFERENCES identities (id) ON DELETE CASCADE
);
CREATE TABLE memberships (
	user_id VARCHAR NOT NULL, 
	group_id VARCHAR NOT NULL, 
	CONSTRAINT pk_memberships PRIMARY KEY (user_id, group_id), 
	CONSTRAINT fk_memberships_group_id FOREIGN KEY(group_id) REFERENCES identities (id) ON DELETE CASCADE, 
	CONSTRAINT fk_memberships_user_id FOREIGN KEY(user_id) REFERENCES identities (id) ON DELETE CASCADE
);
INSERT INTO "memberships" VALUES('AIDAI7BMLVQSKOCFR5Q6Y','AGPACRZIC5GBD7YBWOGJY');
CREATE TABLE meta (
	id INTEGER NOT NULL, 
	epoch BIGINT NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_meta PRIMARY KEY (id), 
	CONSTRAINT ck_meta_single_row CHECK (id = 1)
);
INSERT INTO "meta" VALUES(1,2,1795831184);
CREATE TABLE mfa_devices (
	serial VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	user_id VARCHAR, 
	for_root BOOLEAN NOT NULL, 
	sealed BLOB NOT NULL, 
	enabled BIGINT, 
	last_step BIGINT, 
	drift INTEGER, 
	tags JSON NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_mfa_devices PRIMARY KEY (serial), 
	CONSTRAINT fk_mfa_devices_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_mfa_devices_user_id FOREIGN KEY(user_id) REFERENCES identities (id) ON DELETE SET NULL, 
	CONSTRAINT uq_mfa_devices_account_folded UNIQUE (account, folded)
);
CREATE TABLE oidc_providers (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	url VARCHAR NOT NULL, 
	client_ids JSON NOT NULL, 
	thumbprints JSON NOT NULL, 
	context_provider JSON, 
	identity_center VARCHAR, 
	tags JSON NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_oidc_providers PRIMARY KEY (id), 
	CONSTRAINT fk_oidc_providers_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT uq_oidc_providers_account_url UNIQUE (account, url)
);
CREATE TABLE organizations (
	id VARCHAR NOT NULL, 
	management_account VARCHAR(12) NOT NULL, 
	scps_enabled BOOLEAN NOT NULL, 
	rcps_enabled BOOLEAN NOT NULL, root_features JSON, 
	CONSTRAINT pk_organizations PRIMARY KEY (id), 
	CONSTRAINT uq_organizations_management_account UNIQUE (management_account)
);
INSERT INTO "organizations" VALUES('o-exampleorg','999900000000',1,1,NULL);
CREATE TABLE password_policies (
	account VARCHAR NOT NULL, 
	policy JSON NOT NULL, 
	CONSTRAINT pk_password_policies PRIMARY KEY (account), 
	CONSTRAINT fk_password_policies_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE TABLE placements (
	account VARCHAR NOT NULL, 
	unit_id VARCHAR NOT NULL, 
	CONSTRAINT pk_placements PRIMARY KEY (account), 
	CONSTRAINT fk_placements_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_placements_unit_id FOREIGN KEY(unit_id) REFERENCES units (id) ON DELETE CASCADE
);
INSERT INTO "placements" VALUES('111122223333','ou-ab12-22222222');
INSERT INTO "placements" VALUES('444455556666','ou-ab12-22222222');
INSERT INTO "placements" VALUES('999900000000','r-ab12');
CREATE TABLE policies (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	description TEXT NOT NULL, 
	default_version INTEGER NOT NULL, 
	tags JSON NOT NULL, 
	created BIGINT NOT NULL, updated BIGINT, latest_version INTEGER, 
	CONSTRAINT pk_policies PRIMARY KEY (id), 
	CONSTRAINT uq_policies_account_folded UNIQUE (account, folded)
);
INSERT INTO "policies" VALUES('ANPAIWMBCKSKIEE64ZLYK','aws','/','AdministratorAccess','administratoraccess','Provides full access to AWS services and resources.',1,'{}',1795831184,NULL,NULL);
INSERT INTO "policies" VALUES('ANPAI7XKCFMBPM3QQRRVQ','aws','/','IAMFullAccess','iamfullaccess','Provides full access to IAM.',1,'{}',1795831184,NULL,NULL);
INSERT INTO "policies" VALUES('ANPAJYRXTHIB4FOVS3ZXS','aws','/','PowerUserAccess','poweruseraccess','Provides full access to everything but the management of users, groups, roles and organizations.',1,'{}',1795831184,NULL,NULL);
INSERT INTO "policies" VALUES('ANPAILL3HVNFSB6DCOWYQ','aws','/','ReadOnlyAccess','readonlyaccess','Provides access to whatever reads and changes nothing.',1,'{}',1795831184,NULL,NULL);
INSERT INTO "policies" VALUES('ANPAOWDAH2VG5WUJYMZVZ','aws','/root-task/','IAMAuditRootUserCredentials','iamauditrootusercredentials','Looks which credentials the root user of a member account has.',1,'{}',1795831184,NULL,NULL);
INSERT INTO "policies" VALUES('ANPAIGKENEGF2SUSUL57U','aws','/root-task/','IAMCreateRootUserPassword','iamcreaterootuserpassword','Gives the root user of a member account a password again.',1,'{}',1795831184,NULL,NULL);
INSERT INTO "policies" VALUES('ANPAAYKW6FVFLJTSERCPG','aws','/root-task/','IAMDeleteRootUserCredentials','iamdeleterootusercredentials','Takes all credentials from the root user of a member account.',1,'{}',1795831184,NULL,NULL);
INSERT INTO "policies" VALUES('ANPAVVRC2MZLZUTVD74SD','aws','/root-task/','S3UnlockBucketPolicy','s3unlockbucketpolicy','Deletes or mends a bucket policy that denies everybody.',1,'{}',1795831184,NULL,NULL);
INSERT INTO "policies" VALUES('ANPAOLLPK5BE7T273YHKE','aws','/root-task/','SQSUnlockQueuePolicy','sqsunlockqueuepolicy','Deletes or mends a queue policy that denies everybody.',1,'{}',1795831184,NULL,NULL);
INSERT INTO "policies" VALUES('ANPAVGYV3IRSX5X53N5CA','aws','/docs/','DocsReader','docsreader','',1,'{}',1795831184,1795831184,NULL);
INSERT INTO "policies" VALUES('ANPASFLR7NO4H24S2C5DA','111122223333','/team/','EditDocs','editdocs','what editors do',1,'{"team": "docs"}',1795831184,1795831184,NULL);
INSERT INTO "policies" VALUES('ANPAYYNJ6J77KRZFGKZ4E','111122223333','/','Boundary','boundary','',1,'{}',1795831184,1795831184,NULL);
CREATE TABLE policy_versions (
	policy_id VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_policy_versions PRIMARY KEY (policy_id, version), 
	CONSTRAINT fk_policy_versions_policy_id FOREIGN KEY(policy_id) REFERENCES policies (id) ON DELETE CASCADE
);
INSERT INTO "policy_versions" VALUES('ANPAIWMBCKSKIEE64ZLYK',1,'{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "*",
      "Resource": "*"
    }
  ]
}','08504c15956913f7a75aadc895ef2b92368826916f95027a128388e60cda61d4',1795831184);
INSERT INTO "policy_versions" VALUES('ANPAI7XKCFMBPM3QQRRVQ',1,'{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "iam:*",
      "Resource": "*"
    }
  ]
}','36b3f43cee20e8586d2cbcc78ad70dd62fad8197b7b1d16221bb33e0f7d23798',1795831184);
INSERT INTO "policy_versions" VALUES('ANPAJYRXTHIB4FOVS3ZXS',1,'{
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
}','0a9a37ae762afa1acae72e6720a5b62a6d818b0c04ae07775547111eebefc40b',1795831184);
INSERT INTO "policy_versions" VALUES('ANPAILL3HVNFSB6DCOWYQ',1,'{
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
}','b7003cbe7e5c7f89941d9eae8146f2ccbf31b04d3042c296092dd5d5bd15c992',1795831184);
INSERT INTO "policy_versions" VALUES('ANPAOWDAH2VG5WUJYMZVZ',1,'{
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
}','0159fc52cb0b2e4d84cbdca8d8cdf48afe89c1bef8cc66266b49a5b32b1b3f63',1795831184);
INSERT INTO "policy_versions" VALUES('ANPAIGKENEGF2SUSUL57U',1,'{
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
}','33bfaa4de7f3850958ea8c372d13e27dbbcf45848ddb0bd954d0f8c52437e617',1795831184);
INSERT INTO "policy_versions" VALUES('ANPAAYKW6FVFLJTSERCPG',1,'{
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
}','758691942d9d21eaf4d0040e6a89792fc3e988683969a8066537b50dd70c0636',1795831184);
INSERT INTO "policy_versions" VALUES('ANPAVVRC2MZLZUTVD74SD',1,'{
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
}','8081c0412d9e7e21e4f0f34142dddaa4d18aa2c8ddc808ae4a7944ef65c14b8f',1795831184);
INSERT INTO "policy_versions" VALUES('ANPAOLLPK5BE7T273YHKE',1,'{
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
}','c3bda845467dc9478111a410aa7e659dcc240e664bfadd6d2b4a78cb7eed5120',1795831184);
INSERT INTO "policy_versions" VALUES('ANPAVGYV3IRSX5X53N5CA',1,'{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "docs:Get*",
      "Resource": "*"
    }
  ]
}','5e2ec48ca05bb8c5ba0c750ff4dced7a5c52e42e497a0caffda670a4064f386d',1795831184);
INSERT INTO "policy_versions" VALUES('ANPASFLR7NO4H24S2C5DA',1,'{
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
}','f0944387108e41fc8da4e65ff43e99c18e165f75da40ef5c9383738e7977d0ad',1795831184);
INSERT INTO "policy_versions" VALUES('ANPAYYNJ6J77KRZFGKZ4E',1,'{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "docs:*",
      "Resource": "*"
    }
  ]
}','e854fdb2a8ea60350e6f08632b3203265396a2c8151c95583e68bc990c8aabf4',1795831184);
CREATE TABLE resources (
	arn VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	tags JSON NOT NULL, 
	text TEXT, 
	digest VARCHAR(64), 
	bindings JSON NOT NULL, 
	CONSTRAINT pk_resources PRIMARY KEY (arn), 
	CONSTRAINT fk_resources_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE
);
INSERT INTO "resources" VALUES('arn:aws:docs:us-east-1:111122223333:document/plan','111122223333','{"stage": "draft"}','{
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
}','97d86722a7ef15fc705e69f5b92b5b31444ca95d7a1552230136241660341324','{"arn:aws:iam::111122223333:user/bob": "AIDAEZ4S2N4MFMKTMXTCU"}');
INSERT INTO "resources" VALUES('arn:aws:docs:us-east-1:111122223333:document/bare','111122223333','{}',NULL,NULL,'{}');
CREATE TABLE revocation_lists (
	anchor_id VARCHAR NOT NULL, 
	authority VARCHAR(64) NOT NULL, 
	text TEXT NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_revocation_lists PRIMARY KEY (anchor_id, authority), 
	CONSTRAINT fk_revocation_lists_anchor_id FOREIGN KEY(anchor_id) REFERENCES trust_anchors (id) ON DELETE CASCADE
);
CREATE TABLE saml_private_keys (
	id VARCHAR NOT NULL, 
	provider_id VARCHAR NOT NULL, 
	sealed BLOB NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_saml_private_keys PRIMARY KEY (id), 
	CONSTRAINT fk_saml_private_keys_provider_id FOREIGN KEY(provider_id) REFERENCES saml_providers (id) ON DELETE CASCADE
);
CREATE TABLE saml_providers (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	document TEXT NOT NULL, 
	valid_until BIGINT, 
	encryption_mode VARCHAR, 
	context_provider JSON, 
	identity_center VARCHAR, 
	tags JSON NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_saml_providers PRIMARY KEY (id), 
	CONSTRAINT fk_saml_providers_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT uq_saml_providers_account_folded UNIQUE (account, folded)
);
CREATE TABLE server_certificates (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	chain TEXT, 
	sealed BLOB NOT NULL, 
	expires BIGINT NOT NULL, 
	tags JSON NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_server_certificates PRIMARY KEY (id), 
	CONSTRAINT fk_server_certificates_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT uq_server_certificates_account_folded UNIQUE (account, folded)
);
CREATE TABLE service_credentials (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	user_id VARCHAR NOT NULL, 
	service VARCHAR NOT NULL, 
	user_name VARCHAR, 
	alias VARCHAR, 
	digest VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	created BIGINT NOT NULL, 
	expires BIGINT, session_policy TEXT, used BIGINT, 
	CONSTRAINT pk_service_credentials PRIMARY KEY (id), 
	CONSTRAINT ck_service_credentials_status CHECK (status IN ('Active', 'Inactive', 'Expired')), 
	CONSTRAINT fk_service_credentials_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_service_credentials_user_id FOREIGN KEY(user_id) REFERENCES identities (id) ON DELETE CASCADE, 
	CONSTRAINT uq_service_credentials_service_user_name UNIQUE (service, user_name), 
	CONSTRAINT uq_service_credentials_service_alias UNIQUE (service, alias)
);
CREATE TABLE service_uses (
	identity_id VARCHAR NOT NULL, 
	service VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	at BIGINT NOT NULL, 
	region VARCHAR NOT NULL, 
	CONSTRAINT pk_service_uses PRIMARY KEY (identity_id, service, action), 
	CONSTRAINT fk_service_uses_identity_id FOREIGN KEY(identity_id) REFERENCES identities (id) ON DELETE CASCADE
);
CREATE TABLE signing_certificates (
	id VARCHAR NOT NULL, 
	account VARCHAR NOT NULL, 
	user_id VARCHAR, 
	body TEXT NOT NULL, 
	fingerprint VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_signing_certificates PRIMARY KEY (id), 
	CONSTRAINT ck_signing_certificates_status CHECK (status IN ('Active', 'Inactive', 'Expired')), 
	CONSTRAINT fk_signing_certificates_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT fk_signing_certificates_user_id FOREIGN KEY(user_id) REFERENCES identities (id) ON DELETE CASCADE
);
CREATE TABLE ssh_keys (
	id VARCHAR NOT NULL, 
	user_id VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	fingerprint VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_ssh_keys PRIMARY KEY (id), 
	CONSTRAINT ck_ssh_keys_status CHECK (status IN ('Active', 'Inactive', 'Expired')), 
	CONSTRAINT fk_ssh_keys_user_id FOREIGN KEY(user_id) REFERENCES identities (id) ON DELETE CASCADE
);
CREATE TABLE trust_anchors (
	id VARCHAR(36) NOT NULL, 
	account VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	certificates TEXT NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	created BIGINT NOT NULL, 
	CONSTRAINT pk_trust_anchors PRIMARY KEY (id), 
	CONSTRAINT fk_trust_anchors_account FOREIGN KEY(account) REFERENCES accounts (id) ON DELETE CASCADE, 
	CONSTRAINT uq_trust_anchors_account_folded UNIQUE (account, folded)
);
CREATE TABLE units (
	id VARCHAR NOT NULL, 
	organization_id VARCHAR NOT NULL, 
	parent_id VARCHAR, 
	name VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	CONSTRAINT pk_units PRIMARY KEY (id), 
	CONSTRAINT fk_units_organization_id FOREIGN KEY(organization_id) REFERENCES organizations (id) ON DELETE CASCADE, 
	CONSTRAINT fk_units_parent_id FOREIGN KEY(parent_id) REFERENCES units (id) ON DELETE CASCADE, 
	CONSTRAINT uq_units_parent_id_folded UNIQUE (parent_id, folded)
);
INSERT INTO "units" VALUES('r-ab12','o-exampleorg',NULL,'','');
INSERT INTO "units" VALUES('ou-ab12-11111111','o-exampleorg','r-ab12','tenants','tenants');
INSERT INTO "units" VALUES('ou-ab12-22222222','o-exampleorg','ou-ab12-11111111','gold','gold');
CREATE INDEX ix_identities_boundary_id ON identities (boundary_id);
CREATE INDEX ix_memberships_group_id ON memberships (group_id);
CREATE INDEX ix_attachments_policy_id ON attachments (policy_id);
CREATE INDEX ix_access_keys_account ON access_keys (account);
CREATE INDEX ix_access_keys_user_id ON access_keys (user_id);
CREATE INDEX ix_api_keys_identity_id ON api_keys (identity_id);
CREATE INDEX ix_resources_account ON resources (account);
CREATE INDEX ix_units_organization_id ON units (organization_id);
CREATE INDEX ix_placements_unit_id ON placements (unit_id);
CREATE INDEX ix_control_attachments_target ON control_attachments (target);
CREATE INDEX ix_login_profiles_account ON login_profiles (account);
CREATE INDEX ix_login_profiles_user_id ON login_profiles (user_id);
CREATE INDEX ix_mfa_devices_user_id ON mfa_devices (user_id);
CREATE INDEX ix_saml_private_keys_provider_id ON saml_private_keys (provider_id);
CREATE INDEX ix_signing_certificates_account ON signing_certificates (account);
CREATE INDEX ix_signing_certificates_user_id ON signing_certificates (user_id);
CREATE INDEX ix_ssh_keys_user_id ON ssh_keys (user_id);
CREATE INDEX ix_service_credentials_account ON service_credentials (account);
CREATE INDEX ix_service_credentials_user_id ON service_credentials (user_id);
CREATE INDEX ix_instance_profiles_role_id ON instance_profiles (role_id);
CREATE INDEX ix_jobs_account ON jobs (account);
CREATE INDEX ix_api_keys_replaces ON api_keys (replaces);
CREATE INDEX ix_trust_anchors_account ON trust_anchors (account);
CREATE INDEX ix_certificate_profiles_account ON certificate_profiles (account);
CREATE INDEX ix_issuer_keys_account ON issuer_keys (account);
CREATE INDEX ix_issuer_keys_issuer ON issuer_keys (issuer);
COMMIT;
