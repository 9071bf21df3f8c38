"""A short leg of `scripts.fuzz`: hostile inputs to the decoder and to a live backend."""

from __future__ import annotations

import random

import pytest

from scripts import fuzz


def test_the_decoder_survives_hostile_input():
    outcomes = fuzz.fuzz_decoder(3000, seed=1)
    assert outcomes.total() == 3000
    assert outcomes["accepted"] > 0
    assert len(outcomes) >= 4


def test_the_same_seed_sends_the_same_bytes():
    assert list(fuzz.messages(50, 3)) == list(fuzz.messages(50, 3))
    assert list(fuzz.messages(50, 3)) != list(fuzz.messages(50, 4))


def test_texts_are_at_their_limits():
    chance = random.Random(0)
    assert {len(fuzz.text(chance)) for _ in range(3000)} >= {0, 1000, 1001, 16384, 16385}


@pytest.mark.slow
def test_a_backend_survives_hostile_messages(tmp_path):
    outcomes = fuzz.fuzz_backend(tmp_path / "data", 600, seed=1)
    assert outcomes["bad_message"] > 0
    assert outcomes["accepted"] > 0
