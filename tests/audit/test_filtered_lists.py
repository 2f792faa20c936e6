"""Recording of filtered lists by the trail: one record, and what happens without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iam_guard.analysis.activity.observations import observe
from iam_guard.audit import trail as trail_module
from iam_guard.audit.record.list_record import list_record
from iam_guard.audit.record.privacy import PrivacyRules, Treatment
from iam_guard.audit.record.redaction import MAX_BRIEF_TEXT, MAX_TEXT
from iam_guard.audit.trail import Trail
from iam_guard.audit.writer.sampling import Sampling
from iam_guard.errors import DecisionUnavailable
from iam_guard.model.list_filter import ListFilter
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from tests.audit.list_sink import ListSink
from tests.audit.pipelines import facts_in, gaps_in, pipeline_in
from tests.audit.test_trail import FAILURES, BrokenSink
from tests.audit.writer.test_deferral import blocked_writer
from tests.tables import table

LIST = ListFilter(
    principal=Principal.from_arn("arn:aws:iam::111122223333:user/alice"),
    action="docs:GetDocument",
    resource_type="docs document",
    digest="3d" * 32,
    outcome="some",
    rows=2000,
    epoch=7,
)
DELETING = replace(LIST, action="docs:DeleteDocument")
PUBLIC = replace(LIST, principal=Principal.anonymous())


def test_list_of_any_length_is_one_record(call: Call) -> None:
    sink = ListSink()
    Trail(sink).record_list(LIST, call)
    [record] = sink.records
    assert (record["eventSource"], record["eventName"]) == ("iam-guard", "FilterList")
    assert record["requestID"] == call.request_id
    extension: Any = record["iamGuard"]
    assert (extension["kind"], extension["enforced"], extension["filter"]["rows"]) == ("list_filtered", True, 2000)
    assert observe(record) is None  # no use of an action


def test_list_follows_the_privacy_rules(call: Call) -> None:
    sink = ListSink()
    rules = PrivacyRules({Treatment.DROP: ["/userIdentity/arn"], Treatment.MASK: ["/iamGuard/filter/rows"]})
    Trail(sink, rules=rules).record_list(LIST, call)
    [record] = sink.records
    assert "arn" not in record["userIdentity"]
    assert record["iamGuard"]["filter"]["rows"] == "[redacted]"


def test_list_is_never_sampled_out() -> None:
    sink = ListSink()
    Trail(sink, sampling=Sampling(0.5, chance=lambda: 0.99)).record_list(LIST, None)
    assert [record["eventName"] for record in sink.records] == ["FilterList"]


@table("list_filter", [LIST, DELETING, PUBLIC], ids=["read", "write", "anonymous"])
@table("failure", FAILURES)
def test_list_that_a_sink_cannot_write_is_refused(failure: Exception, list_filter: ListFilter) -> None:
    """A file and standard output have no record classes."""
    with pytest.raises(DecisionUnavailable, match="the audit record cannot be written") as caught:
        Trail(BrokenSink(failure)).record_list(list_filter, None)
    assert caught.value.__cause__ is failure
    Trail(BrokenSink(failure), on_failure="ignore").record_list(list_filter, None)


def test_trail_without_sink_records_no_list(call: Call) -> None:
    Trail(None).record_list(LIST, call)


def test_full_queue_refuses_lists_of_writing_actions_only(tmp_path: Path) -> None:
    """A filter may limit an UPDATE or a DELETE, which the class `write` keeps from going unrecorded."""
    pipeline = pipeline_in(tmp_path, queue_size=4, wait=0.0)
    trail = Trail(pipeline)
    with blocked_writer(pipeline):
        for _ in range(4 - pipeline.usage().waiting):
            trail.record_list(DELETING, None)
        for _ in range(3):
            with pytest.raises(DecisionUnavailable):
                trail.record_list(DELETING, None)
            trail.record_list(LIST, None)
    pipeline.close()
    assert (pipeline.usage().dropped, pipeline.usage().refused) == (3, 3)
    [gap] = gaps_in(tmp_path)
    assert (gap["lost"], gap["refused"]) == (3, 3)


def test_line_is_made_by_the_writer_unless_the_call_is_long(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue must not hold long requests, nor those of unauthenticated callers."""
    made: list[ListFilter] = []

    def counting(list_filter: ListFilter, *rest: Any) -> dict[str, object]:
        made.append(list_filter)
        return list_record(list_filter, *rest)

    monkeypatch.setattr(trail_module, "list_record", counting)
    pipeline = pipeline_in(tmp_path)
    trail, long = Trail(pipeline), replace(LIST, rows=1)
    with blocked_writer(pipeline):
        trail.record_list(LIST, call)
        assert made == []
        trail.record_list(long, call._replace(user_agent="x" * 5000))
        trail.record_list(PUBLIC, call)
        assert made == [long, PUBLIC]
    pipeline.close()
    rows = [fact["iamGuard"]["filter"]["rows"] for fact in facts_in(tmp_path) if fact["eventName"] == "FilterList"]
    assert sorted(rows) == [1, 2000, 2000]


def test_list_of_anonymous_caller_has_short_strings(call: Call) -> None:
    """So that a flood of public lists fills the trail more slowly."""
    sink = ListSink()
    for list_filter in (LIST, PUBLIC):
        Trail(sink).record_list(list_filter, call._replace(user_agent="x y " * 2000))
    assert [len(str(record["userAgent"])) for record in sink.records] == [MAX_TEXT, MAX_BRIEF_TEXT]
