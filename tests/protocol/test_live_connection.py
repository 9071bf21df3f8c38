"""A client that cannot talk to its backend says why; one that loses it comes back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
import pytest
import zmq
from serving import ROOT, connection_to, reason

from protocol import link
from protocol import messages as m
from protocol.client import (
    BackendStatus,
    Client,
    Connection,
    ConnectionChanged,
    JobList,
    RequestFailed,
    new_job_id,
)
from protocol.codec import decode, encode
from protocol.jobs import JobError, reference
from protocol.keys import new_keypair

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_ready_names_the_device(shared, connect):
    diary = connect(shared.connection)
    changed = diary.until_kind(ConnectionChanged)
    assert changed.state == "ready"
    assert "stand-in" in changed.device
    assert diary.client.connection == changed


@pytest.mark.slow
def test_a_backend_says_how_busy_it_is(backend, connect, shot):
    diary = connect(backend("stall").connection)
    diary.until(lambda event: isinstance(event, BackendStatus) and event.jobs == 0)
    one, clip = new_job_id(), shot()
    diary.client.submit(one, clip.edit(), clip.source)
    diary.until(lambda event: isinstance(event, BackendStatus) and event.jobs == 1)
    diary.client.cancel(one)
    diary.until(lambda event: isinstance(event, BackendStatus) and event.jobs == 0)


@pytest.mark.skipif(not os.path.exists("/proc/meminfo"), reason="memory is read on Linux")
def test_a_backend_says_how_much_memory_is_free(shared, connect):
    diary = connect(shared.connection)
    told = diary.until(lambda event: isinstance(event, BackendStatus) and event.total_bytes > 0)
    assert isinstance(told, BackendStatus)
    assert 0 < told.free_bytes < told.total_bytes


def test_nothing_listens(connect):
    diary = connect(connection_to(free_port()))
    assert reason(diary, "lost").code == "not_running"


def test_a_blocking_call_raises_the_same_problem(monkeypatch, shot):
    monkeypatch.setattr("protocol.client.FIRST_CONTACT", 0.5)
    made = shot()
    with Client(connection_to(free_port())) as client:
        with pytest.raises(JobError) as why:
            client.run(new_job_id(), made.edit(), made.source)
        assert why.value.problem.code == "not_running"


def test_the_wrong_server_key(shared, connect):
    wrong = msgspec.structs.replace(shared.connection, server_key=new_keypair().public)
    assert reason(connect(wrong), "refused").code == "wrong_key"


def test_a_client_key_that_is_not_allowed(shared, connect, shot):
    mine = new_keypair()
    stranger = msgspec.structs.replace(
        shared.connection, client_public=mine.public, client_secret=mine.secret
    )
    diary = connect(stranger)
    assert reason(diary, "refused").code == "not_allowed"
    made = shot()
    with pytest.raises(JobError) as why:
        diary.client.run(new_job_id(), made.edit(), made.source)
    assert why.value.problem.code == "not_allowed"


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_peer_with_unknown_keys_gets_no_answer(shared, encrypted):
    context = zmq.Context()
    one = context.socket(zmq.DEALER)
    one.linger = 0
    if encrypted:
        public, secret = zmq.curve_keypair()
        one.curve_publickey, one.curve_secretkey = public, secret
        one.curve_serverkey = shared.connection.server_key.encode()
    one.connect(shared.connection.address)
    one.send_multipart(encode(m.Hello(protocols=(1,))))
    assert not one.poll(700)
    one.close()
    context.term()


@contextmanager
def imposter(answer: m.AnyMessage | None, *, encrypted: bool = True) -> Iterator[Connection]:
    """A server of another kind: it gives one answer to everything."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    keys = new_keypair()
    if encrypted:
        router.curve_server = True
        router.curve_publickey = keys.public.encode()
        router.curve_secretkey = keys.secret.encode()
    port = router.bind_to_random_port("tcp://127.0.0.1")
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if answer is not None and router.poll(50):
                route, *frames = router.recv_multipart()
                router.send_multipart([route, *encode(answer, re=decode(frames).id)])
            elif answer is None:
                stop.wait(0.05)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield connection_to(port, keys.public)
    finally:
        stop.set()
        thread.join()
        router.close()
        context.term()


def test_a_newer_backend(connect):
    with imposter(m.Welcome(protocol=2, server="x", epoch="e")) as connection:
        problem = reason(connect(connection), "refused")
    assert problem.code == "client_too_old"
    assert problem.message == (
        "The add-on is too old: it speaks protocol 1, the backend speaks protocol 2."
    )


def test_a_backend_that_refuses_our_version(connect):
    refusal = m.version_problem((1,), 3)
    assert refusal is not None
    with imposter(m.error(refusal)) as connection:
        assert reason(connect(connection), "refused").code == "client_too_old"


def test_a_newer_client_is_refused_with_the_upgrade_sentence(raw):
    answer = raw.ask(m.Hello(protocols=(2, 3)))
    assert answer.code == "backend_too_old"
    assert answer.message == (
        "The backend is too old: it speaks protocol 1, this add-on speaks protocol 3."
    )
    assert raw.ask(m.Hello(protocols=(1, 2))).protocol == 1


def test_a_server_without_encryption(connect):
    with imposter(m.Ok(), encrypted=False) as connection:
        diary = connect(connection)
        # Which of the two ends breaks off the handshake first is chance.
        while (problem := reason(diary, "lost")).code != "not_a_backend":
            assert problem.code == "closed_early"
    assert "Text2LIVE backend" in problem.message


def test_an_encrypted_server_of_another_kind(connect):
    with imposter(m.Ok()) as connection:
        assert reason(connect(connection), "refused").code == "not_a_backend"


def test_a_server_that_does_not_answer(connect, monkeypatch):
    monkeypatch.setattr(link, "CONNECT", 0.5)
    with imposter(None) as connection:
        assert reason(connect(connection), "lost").code == "no_answer"


def test_a_web_server(connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    one, _ = listener.accept()
                except OSError:
                    return
                with one:
                    one.recv(64)
                    one.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        diary = connect(connection_to(listener.getsockname()[1]))
        problem = diary.until(
            lambda event: isinstance(event, ConnectionChanged) and event.problem is not None
        )
        assert problem.state == "lost"  # a proxy may answer like this while its backend restarts
        diary.client.close()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.slow
@posix
def test_silence_is_noticed_and_the_client_comes_back(backend, connect, monkeypatch):
    monkeypatch.setattr(link, "PING_EVERY", 0.1)
    monkeypatch.setattr(link, "SILENCE", 0.6)
    one = backend("ok")
    diary = connect(one.connection)
    diary.until_kind(ConnectionChanged)
    one.process.send_signal(signal.SIGSTOP)
    try:
        assert reason(diary, "lost").code == "connection_lost"
        diary.client.list_jobs()
    finally:
        one.process.send_signal(signal.SIGCONT)
    diary.until_kind(JobList)


def test_an_idle_client_keeps_both_sockets_alive(shared, connect, monkeypatch):
    monkeypatch.setattr(link, "PING_EVERY", 0.05)
    monkeypatch.setattr(link, "SILENCE", 0.8)
    diary = connect(shared.connection)
    diary.until_kind(ConnectionChanged)
    time.sleep(1.5)
    assert diary.client.connection.state == "ready"
    while not diary.client.events.empty():
        assert isinstance(diary.client.events.get(), BackendStatus)


def test_close_is_quick_and_leaves_no_thread(shared, connect):
    before = threading.active_count()
    clients = [Client(shared.connection), Client(connection_to(free_port()))]
    for client in clients:
        client.start()
    time.sleep(0.3)
    assert threading.active_count() == before + 2
    for client in clients:
        client.close()
        client.close()
    assert threading.active_count() == before
    Client(shared.connection).close()  # never started


def test_the_thread_pauses_on_request_and_the_link_stays_up(shared, connect, monkeypatch):
    rounds = []
    tick = link.Link.tick
    monkeypatch.setattr(link.Link, "tick", lambda one, now: (rounds.append(now), tick(one, now)))
    diary = connect(shared.connection)
    for _ in range(3):
        with diary.client.standing_still():
            before = len(rounds)
            time.sleep(0.25)  # an idle client goes round in 0.1 s
            assert len(rounds) == before
    assert len(rounds) >= 2
    diary.client.list_jobs()
    diary.until_kind(JobList)


def test_a_paused_client_can_be_closed(shared):
    client = Client(shared.connection)
    client.start()
    with client.standing_still():
        client.close()
        assert not any(thread.name == "text2live-client" for thread in threading.enumerate())


def test_requests_after_close_do_no_harm(shared):
    client = Client(shared.connection)
    client.start()
    client.close()
    client.list_jobs()
    with pytest.raises(JobError) as why:
        client.fetch_all([reference(np.zeros((2, 2, 3), np.uint8))])
    assert why.value.problem.code == "closed"


def test_a_program_that_forgets_to_close_still_ends(shared):
    script = (
        "import sys; from pathlib import Path; from protocol.client import *;"
        "c = Client(read_connection_file(Path(sys.argv[1]))); c.start(); print(c.events.get())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(shared.data / "connection.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "ready" in done.stdout
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_requests_from_before_the_backend_started_are_served(backend, connect, tmp_path):
    one = backend("ok")
    connection = one.connection
    one.stop()
    diary = connect(connection)
    diary.client.list_jobs()
    diary.client.cancel(job := new_job_id())
    assert reason(diary, "lost").code == "not_running"
    one.start()
    seen = {type(diary.until(lambda e: isinstance(e, (JobList, RequestFailed)))) for _ in range(2)}
    assert seen == {JobList, RequestFailed}
    assert any(isinstance(e, RequestFailed) and e.job_id == job for e in diary.events)
