"""The values of generated cases: few, so that matches are frequent.

They include invalid values, empty strings and literal wildcards. What the rules leave open is omitted (see the
interpretations in the oracle's modules).
"""

from __future__ import annotations

from typing import Any

HERE, THERE = "111122223333", "444455556666"

# (action, resource); the owner is drawn apart and need not be the account in the ARN (E-54)
REQUESTS = [
    ("s3:GetObject", "arn:aws:s3:::b/home/ann/x"),
    ("s3:GetObject", "arn:aws:s3:::b/red/1/test/3"),
    ("s3:GetObject", "arn:aws:s3:::b/home/${aws:username}/x"),
    ("s3:PutObject", "arn:aws:s3:::b/a*b"),
    ("s3:ListBucket", "arn:aws:s3:::b"),
    ("s3:ListAllMyBuckets", "*"),
    ("sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{HERE}:jobs"),
    ("dynamodb:GetItem", f"arn:aws:dynamodb:eu-west-1:{HERE}:table/red"),
    ("ec2:StartInstances", f"arn:aws:ec2:eu-west-1:{HERE}:instance/i-1"),
    ("lambda:InvokeFunction", f"arn:aws:lambda:eu-west-1:{HERE}:function:f:1"),
    ("logs:PutLogEvents", f"arn:aws:logs:eu-west-1:{HERE}:log-group:app:log-stream:red"),
    ("iam:GetUser", f"arn:aws:iam::{HERE}:user/ann"),
    ("shop:ReadOrder", f"arn:aws:shop:eu-west-1:{HERE}:order/red/7"),
    ("shop:ListOrders", "*"),
    ("kms:Decrypt", f"arn:aws:kms:eu-west-1:{HERE}:key/k-1"),
    ("kms:Decrypt", f"arn:aws:kms:eu-west-1:{HERE}:alias/a"),
    ("kms:RetireGrant", f"arn:aws:kms:eu-west-1:{HERE}:key/k-1"),
    ("sts:AssumeRole", f"arn:aws:iam::{HERE}:role/target"),
    ("sts:AssumeRole", f"arn:aws:iam::{HERE}:role/team/dev"),
    ("sts:AssumeRole", f"arn:aws:iam::{HERE}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"),
    ("sts:TagSession", f"arn:aws:iam::{HERE}:role/target"),
    ("sts:SetSourceIdentity", f"arn:aws:iam::{HERE}:role/target"),
    ("sts:AssumeRoleWithSAML", f"arn:aws:iam::{HERE}:role/target"),
]
RARE_REQUESTS = [("sts:GetCallerIdentity", "*"), ("sts:GetSessionToken", "*")]

OTHER_ACTIONS = ["s3:DeleteObject", "sqs:*", "s3express:*", "shop:Cancel*", "kms:Create*", "iam:List?sers", "s3:Get.*"]
OTHER_RESOURCES = [
    "arn:aws:s3:::c/*",
    "arn:aws-cn:s3:::b/*",
    "arn:aws:s3:::B*",
    f"arn:aws:sqs:*:{THERE}:jobs",
    "arn:aws:s3:::b/${aws:PrincipalTag/none}",
]
VARIABLE_RESOURCES = [
    "arn:aws:s3:::b/home/${aws:username}/*",
    "arn:aws:s3:::b/home/${AWS:UserName, 'ann'}/?",
    "arn:aws:s3:::b/${aws:PrincipalTag/team, 'red'}/*",
    "arn:aws:s3:::b/${app:colour}/*/test/*",
    "arn:aws:s3:::b/a${*}b",
    "arn:aws:s3:::b/${aws:TagKeys}*",
    "arn:aws:shop:*:*:order/${app:Colour}/*",
    "arn:aws:dynamodb:*:*:table/${aws:PrincipalTag/Team}",
    "arn:aws:s3:::b/home/${aws:username",
]
SHORT_RESOURCES = ["arn:aws:s3", "arn:aws:sqs:eu-west-1", "arn:aws:ec2:*:instance/*", f"arn:aws:kms:*:{HERE}"]

Values = list[Any]

# kind of key -> (operators, values in the context, values in a policy)
STRINGS = ["StringEquals", "StringEqualsIgnoreCase", "StringLike"]
STRINGS += ["StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike"]
ORDERS = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]
NUMBERS = [f"Numeric{order}" for order in ORDERS]
DATES = [f"Date{order}" for order in ORDERS]
ADDRESSES = ["IpAddress", "NotIpAddress"]
ARNS = ["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"]
ALL_OPERATORS = [*STRINGS, *NUMBERS, *DATES, *ADDRESSES, *ARNS, "Bool", "BinaryEquals"]

WORDS: Values = ["red", "r*", "blue", "", "Red", "r*d", "red/a:b", "${aws:username}", 7, True]
POLICY_WORDS: Values = ["red", "blue", "RED", "r*", "r?d", "*", "", 7, "re", True]
VARIABLE_WORDS: Values = [
    "${aws:PrincipalTag/team}",
    "${aws:PrincipalTag/none, 'red'}",
    "${AWS:principaltag/TEAM, 'blue'}*",
    "${app:colour}",
    "${aws:username}",
    "${aws:TagKeys}",
    "${aws:TagKeys}",
    "${app:colour}*",
    "r${*}d",
    "${app:colour",
    "$red",
]
BOOLEANS: Values = [True, False, "true", "False", "yes", ""]
INSTANTS: Values = [
    "2026-01-01T00:00:00Z",
    "2026-01-01",
    1767225600,
    "1767225600",
    1767225600.5,
    "2026-01-01T01:00:00+01:00",
    "2026-06-01T12:30:00.250Z",
    "soon",
]
POLICY_INSTANTS: Values = [
    "2026-01-01T00:00:00Z",
    "2026-01-01t00:00z",
    "2026-01",
    "2026",
    "2025-12-31T23:00:00-01",
    "2026-06-01T12:30:00",
    "2026-01-01T00:00:00.500Z",
    "1767225600",
    1767225600,
    "2026-*",
    "someday",
]
NAMES: Values = [f"arn:aws:sns:eu-west-1:{HERE}:topic", "arn:aws:s3:::b", f"arn:aws:sns:eu-west-1:{HERE}:a:b", "topic"]
POLICY_NAMES: Values = [
    f"arn:aws:sns:*:{HERE}:topic",
    "arn:aws:sns:eu-west-?:*:*",
    "arn:aws:s3:::*",
    "arn:aws:sns:*:topic",
    "arn:aws:sns:*:a:b",
    f"arn:aws:sns:eu-west-1:{HERE}:topic",
    "arn:*:*:*:*:*",
    "*",
    "topic",
]
VARIABLE_NAMES: Values = [
    "arn:aws:sns:*:*:${app:kind, 'topic'}",
    "arn:aws:s3:::${aws:PrincipalTag/none}",
    "${app:Source}",
]
ADDRESS_VALUES: Values = [
    "10.1.2.3",
    "203.0.113.7",
    "2001:db8::1",
    "2001:0DB8:0:0::1",
    "::ffff:10.1.2.3",
    "nowhere",
]
POLICY_ADDRESSES: Values = [
    "10.0.0.0/8",
    "203.0.113.77/24",
    "203.0.113.7",
    "2001:DB8::/32",
    "2001:db8:0:0:0:0:0:1",
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/33",
    "nowhere",
]

# key -> (operators that suit it, values in the context, values in a policy, values with variables)
KEYS: dict[str, tuple[list[str], Values, Values, Values]] = {
    "app:colour": (STRINGS, WORDS, POLICY_WORDS, VARIABLE_WORDS),
    "aws:PrincipalTag/team": (STRINGS, WORDS, POLICY_WORDS, VARIABLE_WORDS),
    "aws:ResourceTag/Team": (STRINGS, WORDS, POLICY_WORDS, VARIABLE_WORDS),
    "app:count": (
        NUMBERS,
        [1, 2, "2.0", 2.5, "-3", "two", ""],
        [2, "2.0", "1", "+3", 2.5, "two", ""],
        ["${app:count}"],
    ),
    "aws:CurrentTime": (DATES, INSTANTS, POLICY_INSTANTS, ["${aws:CurrentTime}"]),
    "aws:MultiFactorAuthPresent": (["Bool"], BOOLEANS, BOOLEANS, ["${aws:SecureTransport}"]),
    "aws:SecureTransport": (["Bool"], BOOLEANS, BOOLEANS, ["${aws:MultiFactorAuthPresent, 'true'}"]),
    "app:digest": (["BinaryEquals"], ["QQ==", "QUI=", "?", "QQ"], ["QQ==", "QUI=", "?", "QUJD"], ["${app:digest}"]),
    "aws:SourceIp": (ADDRESSES, ADDRESS_VALUES, POLICY_ADDRESSES, ["${aws:SourceIp}"]),
    "app:Source": (ARNS, NAMES, POLICY_NAMES, VARIABLE_NAMES),
}
MULTIVALUED_KEYS: dict[str, tuple[list[str], Values, Values, Values]] = {
    "aws:TagKeys": (STRINGS, ["red", "Red", "blue", "", "x"], ["red", "r*", "blue", "x", "", "*"], VARIABLE_WORDS),
    "app:counts": (NUMBERS, [1, 2, "3.0", "two"], [1, 2, 3, "two"], ["${app:counts}"]),
    "app:Sources": (ARNS, NAMES, POLICY_NAMES, VARIABLE_NAMES),
    "app:Addresses": (ADDRESSES, ADDRESS_VALUES, POLICY_ADDRESSES, ["${app:Addresses}"]),
}
DERIVED_KEYS: dict[str, tuple[list[str], Values]] = {
    "aws:PrincipalArn": ([*ARNS, *STRINGS], [f"arn:aws:iam::{HERE}:*", "arn:aws:iam::*:role/*/dev", "*"]),
    "aws:PrincipalAccount": (STRINGS, [HERE, THERE, "anonymous", "1*"]),
    "aws:PrincipalType": (STRINGS, ["User", "AssumedRole", "Account", "FederatedUser", "Anonymous"]),
    "aws:userid": (STRINGS, ["AIDAANN", "AROADEV:*", f"{HERE}:fred", HERE, "anonymous"]),
    "aws:username": (STRINGS, ["ann", "Ann", "b*", ""]),
}
