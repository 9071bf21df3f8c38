"""A short leg of the campaign of random faults: every job ends well, once, with its own result."""

from __future__ import annotations

import sys

import pytest

from scripts.chaos.campaign import Campaign

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds worker processes in /proc"),
]


@pytest.fixture
def campaign(tmp_path):
    return Campaign(tmp_path, seed=3)


def test_random_faults_break_nothing(campaign):
    report = campaign.run(12)
    assert report.broken == []
    assert report.faults.total() == 12
    assert report.ended["done"] > 0


def test_the_audit_notices_a_job_that_was_lost(campaign):
    """A result that is not the one expected, and an event that never came."""
    campaign._keep_busy()
    first, second = list(campaign._jobs.values())[:2]
    first.expected = ()
    campaign._faults = {"nothing": lambda: second.events.clear()}
    report = campaign.run(1)
    assert any("another result" in sentence for sentence in report.broken)
