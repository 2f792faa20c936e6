"""Quotas of Access Analyzer that the setting `quotas` changes."""

from __future__ import annotations

import pytest

from iam_guard.store.quotas import effective_quotas
from tests.api.access_analyzer.analyzer_parts import create
from tests.api.access_analyzer.test_access_previews import QUEUE, preview
from tests.api.access_analyzer.test_archive_rules import PUBLIC
from tests.api.access_analyzer.test_policy_generations import start
from tests.api.conftest import Client, Running, refusal


def test_changed_rule_quota_is_enforced(analyzer: Client, server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [{"ruleName": f"r{number}", "filter": PUBLIC} for number in range(102)]
    for limit in (1, 101):
        monkeypatch.setattr(server.store, "quotas", effective_quotas([f"archive rules per analyzer={limit}"]))
        with refusal("ServiceQuotaExceededException", f"expected at most {limit} archive rules", 402):
            create(analyzer, f"a{limit}", archiveRules=rules[: limit + 1])
        create(analyzer, f"a{limit}", archiveRules=rules[:limit])
        analyzer.delete_analyzer(analyzerName=f"a{limit}")


def test_changed_preview_quota_deletes_the_oldest(
    analyzer: Client, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = create(analyzer, "a")
    for limit in (1, 3):
        monkeypatch.setattr(server.store, "quotas", effective_quotas([f"access previews per analyzer={limit}"]))
        for _ in range(4):
            preview(analyzer, owner, QUEUE, {"sqsQueue": {}})
        assert len(analyzer.list_access_previews(analyzerArn=owner)["accessPreviews"]) == limit


def test_changed_generation_quota_is_enforced(
    analyzer: Client, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = 0
    for limit in (1, 51):
        quotas = effective_quotas([f"policy generations per account and day={limit}"])
        monkeypatch.setattr(server.store, "quotas", quotas)
        while done < limit:
            start(analyzer)
            done += 1
        with refusal("ServiceQuotaExceededException", f"expected at most {limit} policy generations", 402):
            start(analyzer)
