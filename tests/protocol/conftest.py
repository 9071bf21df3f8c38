"""Fixtures: real backends in processes of their own, clients, clips, and a raw socket."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from serving import Backend, Diary, RandomClip, Raw

from protocol.client import Client, Connection


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Callable[[str], Backend]]:
    """Starts a backend of its own: backend("ok")."""
    started = []

    def start(kind: str) -> Backend:
        started.append(Backend(tmp_path / "data", kind).start())
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """One backend ``--mock ok`` for all tests that leave it running."""
    one = Backend(tmp_path_factory.mktemp("shared") / "data", "ok", pause=0.02).start()
    yield one
    assert one.stop() == 0


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Callable[..., RandomClip]:
    """Makes clips that no other test has sent: shot(count=3, height=24, width=32)."""
    base = zlib.crc32(request.node.nodeid.encode())
    made: list[RandomClip] = []

    def make(count: int = 3, height: int = 24, width: int = 32) -> RandomClip:
        made.append(RandomClip(count, height, width, base + len(made)))
        return made[-1]

    return make


@pytest.fixture
def connect() -> Iterator[Callable[[Connection], Diary]]:
    """Starts clients as if on another machine (they have no inbox), and closes them at the end."""
    clients: list[Client] = []

    def start(connection: Connection) -> Diary:
        client = Client(msgspec.structs.replace(connection, proof=""), name="test")
        clients.append(client)
        client.start()
        return Diary(client)

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def raw(shared: Backend) -> Iterator[Raw]:
    """A raw socket to the shared backend, after its welcome."""
    one = Raw(shared.connection)
    one.hello()
    yield one
    one.close()
