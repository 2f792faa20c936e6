from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.parser import parse
from iam_guard.policy.renderer import render, to_json
from tests.policy.strategies import documents


def content(document: Document) -> Document:
    """Remove what belongs to the text and not to the policy."""
    statements = tuple(replace(statement, position=None) for statement in document.statements)
    return replace(document, statements=statements, text="", digest="")


@pytest.mark.parametrize("type", PolicyType)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(data=st.data())
def test_rendered_document_is_parsed_as_the_same_policy(type: PolicyType, data: st.DataObject) -> None:
    """A law, from a mapping and from text."""
    document = parse(data.draw(documents(type)), type)
    assert content(parse(render(document), type)) == content(document)
    assert content(parse(to_json(document), type)) == content(document)
    assert content(parse(to_json(document, indent=2), type)) == content(document)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(documents(PolicyType.RESOURCE))
def test_normal_form_is_stable(drawn: dict[str, object]) -> None:
    """Rendering twice changes nothing."""
    once = render(parse(drawn, PolicyType.RESOURCE))
    assert render(parse(once, PolicyType.RESOURCE)) == once


def test_normal_form() -> None:
    """G-7, G-14, G-45: a list of statements, strings for lists of one, `*` for every principal, no empty conditions."""
    written = {
        "Statement": {
            "Condition": {},
            "Resource": ["arn:aws:s3:::b"],
            "Action": ["s3:Get*", "s3:Put*"],
            "Principal": {"AWS": ["*"]},
            "Effect": "Allow",
        },
        "Version": "2012-10-17",
    }
    rendered = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:Get*", "s3:Put*"],
                "Resource": "arn:aws:s3:::b",
            }
        ],
    }
    document = parse(written, PolicyType.RESOURCE)
    assert to_json(document) == json.dumps(rendered)


def test_empty_and_absent_elements_are_kept() -> None:
    """G-4, G-26, G-27: an empty list is not an absent element, and an absent `Version` is not written."""
    written = {
        "Statement": [
            {
                "Sid": "",
                "Effect": "Deny",
                "NotPrincipal": {"AWS": [], "Service": ["a.b", "c.d"]},
                "Action": [],
                "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": []}},
            }
        ]
    }
    rendered = render(parse(written, PolicyType.RESOURCE))
    assert rendered["Statement"][0].pop("NotPrincipal") == {"Service": ["a.b", "c.d"]}
    written["Statement"][0].pop("NotPrincipal")
    assert rendered == written
