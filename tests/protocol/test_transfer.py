"""Downloads, driven by hand: memory is allocated for transfers under way, not for waiting ones."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from protocol.codec import Packet
from protocol.events import Fetched
from protocol.jobs import reference
from protocol.limits import Limits
from protocol.messages import Data
from protocol.transfer import Downloads

LIMITS = Limits(chunk=100, window=2)


@pytest.fixture
def pictures():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (9, 10, 3), dtype=np.uint8) for _ in range(5)]


def test_a_queue_of_downloads_holds_no_memory_before_its_turn(pictures):
    asked, news = [], []
    downloads = Downloads(lambda *request: asked.append(request), news.append)
    by_digest = {reference(picture).digest: picture for picture in pictures}
    for picture in pictures:
        downloads.add(reference(picture), None)
    most = 0
    while len(news) < len(pictures):
        downloads.pump(LIMITS)
        most = max(most, sum(len(one.content) for one in downloads._queue))
        _, fetch, answer, _ = asked.pop(0)
        content = by_digest[fetch.digest].tobytes()
        piece = content[fetch.offset : fetch.offset + fetch.length]
        data = Data(
            digest=fetch.digest, offset=fetch.offset, total=len(content), crc=zlib.crc32(piece)
        )
        answer(Packet(message=data, buffers=(piece,)))
    assert most <= 2 * pictures[0].nbytes
    assert all(isinstance(event, Fetched) for event in news)
    for event, picture in zip(news, pictures, strict=True):
        np.testing.assert_array_equal(event.array, picture)
