"""Jobs on a real backend: submitted, repeated, refused, cancelled, listed, fetched, forgotten."""

from __future__ import annotations

import threading
import zlib

import numpy as np
import pytest

from protocol import messages as m
from protocol.client import (
    Client,
    Fetched,
    JobAccepted,
    JobEvent,
    JobList,
    RequestFailed,
    Uploading,
    new_job_id,
)
from protocol.codec import pack, unpack_as
from protocol.jobs import AtlasJob, JobError, ObjectRef, Result, reference
from protocol.messages import JobInfo


def test_a_script_gets_its_layer(shared, shot):
    made = shot(3, 24, 32)
    events = []
    with Client(shared.connection) as client:
        result = client.run(
            new_job_id(), made.edit(), made.source, on_event=events.append, timeout=60
        )
        layer = client.fetch_all(result.layer, timeout=30)
        pictures = client.fetch_all(list(result.pictures.values()), timeout=30)
    assert [image.shape for image in layer] == [(24, 32, 4)] * 3
    assert [reference(image) for image in layer] == list(result.layer)
    assert layer[0][12, 16, 3] == 255
    assert layer[0][0, 0, 3] == 0
    assert {"edited_atlas", "foreground_atlas", "background_atlas"} <= result.pictures.keys()
    assert len(pictures) == len(result.pictures)
    news = [event.event for event in events if isinstance(event, JobEvent)]
    assert [event.seq for event in news] == list(range(1, len(news) + 1))
    states = [event.state for event in news if event.kind == "state"]
    assert states == ["uploading", "queued", "starting", "running", "saving", "done"]
    assert {"progress", "preview", "note"} <= {event.kind for event in news}
    assert all(0 <= event.done <= event.total for event in news)


def test_both_layers_come_back_by_name_and_as_one(shared, shot):
    made = shot(2, 24, 32)
    with Client(shared.connection) as client:
        spec = made.edit(layer="both", background=("snow",))
        result = client.run(new_job_id(), spec, made.source, timeout=60)
        assert result.parts.keys() == {"foreground", "background"}
        front, back = (client.fetch_all(result.parts[name]) for name in result.parts)
        layer = client.fetch_all(result.layer, timeout=30)
    assert len(front) == len(back) == len(layer) == 2
    for one, other, joined in zip(front, back, layer, strict=True):
        inside = one[..., 3] == 255
        assert 0 < inside.mean() < 1
        np.testing.assert_array_equal(joined[inside], one[inside])
        np.testing.assert_array_equal(joined[~inside], other[~inside])


def test_an_atlas_job_gives_pictures_and_no_layer(shared, shot):
    made = shot()
    with Client(shared.connection) as client:
        result = client.run(new_job_id(), AtlasJob(clip=made.clip), made.source, timeout=60)
    assert result.layer == ()
    assert result.pictures


def test_the_same_job_twice_is_one_job(shared, shot, connect):
    made, job = shot(), new_job_id()
    diary = connect(shared.connection)
    diary.client.submit(job, made.edit(), made.source)
    assert diary.until_kind(JobAccepted).new
    diary.until_state(job, "done")
    diary.client.submit(job, made.edit(), made.source)
    again = diary.until_kind(JobAccepted)
    assert (again.new, again.state) == (False, "done")
    assert diary.until_state(job, "done").result is not None


def test_another_job_under_the_same_id_is_refused(shared, shot, connect):
    made, job = shot(), new_job_id()
    diary = connect(shared.connection)
    diary.client.submit(job, made.edit("rusty car"), made.source)
    diary.until_kind(JobAccepted)
    other = connect(shared.connection)
    other.client.submit(job, made.edit("wooden car"), made.source)
    failed = other.until_kind(RequestFailed)
    assert (failed.what, failed.problem.code) == ("submit", "job_id_conflict")
    diary.until_state(job, "done")


def test_a_conflicting_submit_leaves_the_running_job_alone(shared, shot, connect):
    made, job, known = shot(), new_job_id(), new_job_id()
    diary, other = connect(shared.connection), connect(shared.connection)
    diary.client.submit(job, made.edit("rusty car"), made.source)
    diary.client.submit(job, made.edit("wooden car"), made.source)
    failed = diary.until_kind(RequestFailed)
    assert (failed.what, failed.problem.code) == ("submit", "job_id_conflict")
    diary.until_state(job, "done")
    diary.client.submit(known, made.edit("third"), made.source)
    other.client.attach(known)
    if isinstance(other.until(lambda e: isinstance(e, JobEvent | RequestFailed)), RequestFailed):
        other.client.attach(known)  # it was quicker than the submit
    other.client.submit(known, made.edit("fourth"), made.source)
    other.until(lambda e: isinstance(e, RequestFailed) and e.what == "submit")
    assert other.until_state(known, "done").result is not None


def test_a_new_job_on_the_same_clip_sends_nothing(shared, shot, connect):
    made = shot()
    diary = connect(shared.connection)
    diary.client.submit(first := new_job_id(), made.edit("one"), made.source)
    diary.until_state(first, "done")
    assert sorted(made.asked) == sorted(ref.digest for ref in made.clip.frames)
    made.asked.clear()
    diary.events.clear()
    diary.client.submit(second := new_job_id(), made.edit("two"), made.source)
    diary.until_state(second, "done")
    assert made.asked == []
    assert not any(isinstance(event, Uploading) for event in diary.events)


def test_uploading_counts_up_to_all_bytes(shared, shot, connect):
    made = shot(4, 512, 768)
    diary = connect(shared.connection)
    diary.client.submit(job := new_job_id(), made.edit(), made.source)
    diary.until_state(job, "queued")
    counts = [event for event in diary.events if isinstance(event, Uploading)]
    sent = [event.sent for event in counts]
    assert sent == sorted(sent)
    assert sent[0] == 0
    assert sent[-1] == counts[-1].total == 4 * 512 * 768 * 3
    diary.client.cancel(job)


def test_the_client_refuses_what_the_backend_would(shared, shot, connect):
    made = shot(1)
    diary = connect(shared.connection)
    diary.client.submit(new_job_id(), AtlasJob(clip=made.clip, seed=-1), made.source)
    assert diary.until_kind(RequestFailed).problem.code == "bad_seed"
    diary.client.submit("no id", made.edit(), made.source)
    assert diary.until_kind(RequestFailed).problem.code == "bad_job_id"
    with pytest.raises(JobError) as why:
        diary.client.run(new_job_id(), made.edit(""), made.source)
    assert why.value.problem.code == "empty_prompt"


def test_the_backend_refuses_by_itself_too(raw, shot):
    spec = pack(AtlasJob(clip=shot(1).clip, seed=-1))
    assert raw.ask(m.Submit(job=new_job_id()), spec).code == "bad_seed"
    assert raw.ask(m.Submit(job="../x"), pack(shot().edit())).code == "bad_job_id"


def test_a_still_is_edited(shared, shot):
    made = shot(1)
    with Client(shared.connection) as client:
        result = client.run(new_job_id(), made.edit(), made.source, timeout=60)
    assert len(result.layer) == 1


@pytest.mark.parametrize(("what", "code"), [("attach", "unknown_job"), ("cancel", "unknown_job")])
def test_an_unknown_job_is_unknown_never_done(shared, connect, what, code):
    diary = connect(shared.connection)
    job = new_job_id()
    getattr(diary.client, what)(job)
    failed = diary.until_kind(RequestFailed)
    assert (failed.what, failed.job_id, failed.problem.code) == (what, job, code)


def test_a_second_client_sees_the_whole_history(shared, shot, connect):
    made, job = shot(), new_job_id()
    first, second = connect(shared.connection), connect(shared.connection)
    first.client.submit(job, made.edit(), made.source)
    first.until_state(job, "running")
    second.client.attach(job)
    first.until_state(job, "done")
    second.until_state(job, "done")
    seen, same = first.history(job), second.history(job)
    assert [e.seq for e in same] == [e.seq for e in seen] == list(range(1, len(seen) + 1))
    assert [(e.kind, e.state, e.phase, e.done) for e in same] == [
        (e.kind, e.state, e.phase, e.done) for e in seen
    ]


def test_attaching_after_a_seq_skips_what_is_known(shared, shot, connect):
    made, job = shot(), new_job_id()
    diary = connect(shared.connection)
    diary.client.submit(job, made.edit(), made.source)
    last = diary.until_state(job, "done").seq
    late = connect(shared.connection)
    late.client.attach(job, last - 2)
    late.until_state(job, "done")
    assert [event.seq for event in late.history(job)] == [last - 1, last]


def test_only_the_newest_preview_keeps_its_picture(shared, shot, connect):
    made, job = shot(), new_job_id()
    diary = connect(shared.connection)
    diary.client.submit(job, made.edit(), made.source)
    diary.until_state(job, "done")
    late = connect(shared.connection)
    late.client.attach(job)
    late.until_state(job, "done")
    previews = [event.object for event in late.history(job) if event.kind == "preview"]
    assert len(previews) > 1
    assert previews[:-1] == [None] * (len(previews) - 1)
    assert previews[-1] is not None


def test_list_and_forget(shared, shot, connect):
    made, job = shot(), new_job_id()
    diary = connect(shared.connection)
    diary.client.submit(job, made.edit("a list of jobs"), made.source)
    diary.until_state(job, "running")
    diary.client.forget(job)
    assert diary.until_kind(RequestFailed).problem.code == "job_active"
    diary.until_state(job, "done")
    diary.client.list_jobs()
    listed = diary.until_kind(JobList).jobs
    (info,) = [one for one in listed if one.job == job]
    assert (info.kind, info.state, info.title) == ("edit", "done", "a list of jobs")
    diary.client.forget(job)
    diary.client.forget(job)
    diary.client.list_jobs()
    assert job not in [one.job for one in diary.until_kind(JobList).jobs]
    diary.client.attach(job)
    assert diary.until_kind(RequestFailed).problem.code == "unknown_job"


def test_fetching_what_is_not_there(shared, connect):
    diary = connect(shared.connection)
    ref = ObjectRef(digest="0" * 64, dtype="uint8", shape=(4, 4, 4))
    diary.client.fetch(ref, tag="mine")
    failed = diary.until_kind(RequestFailed)
    assert (failed.what, failed.tag, failed.problem.code) == ("fetch", "mine", "unknown_object")
    diary.client.fetch(ObjectRef(digest="0" * 64, dtype="uint8", shape=(4, 4)))
    assert diary.until_kind(RequestFailed).problem.code == "bad_object"
    with pytest.raises(JobError):
        diary.client.fetch_all([ref], timeout=10)
    assert diary.client.fetch_all([]) == []


def test_a_large_object_comes_in_many_chunks(shared, shot, connect):
    made, job = shot(2, 700, 900), new_job_id()
    diary = connect(shared.connection)
    diary.client.submit(job, made.edit(), made.source)
    result = diary.until_state(job, "done").result
    assert isinstance(result, Result)
    assert result.layer[0].nbytes > 2 * 2**20
    diary.client.fetch(result.layer[0], tag=1)
    fetched = diary.until_kind(Fetched)
    assert fetched.ref == reference(fetched.array) == result.layer[0]
    assert np.ptp(fetched.array[..., :3].astype(int) - made.frames[0] // 2, (0, 1)).max() == 0


def test_a_source_that_fails_is_reported_and_the_job_can_be_sent_again(shared, shot, connect):
    made, job = shot(), new_job_id()
    diary = connect(shared.connection)

    def broken(digest: str) -> np.ndarray:
        raise OSError("the folder is gone")

    diary.client.submit(job, made.edit(), broken)
    failed = diary.until_kind(RequestFailed)
    assert (failed.what, failed.problem.code) == ("upload", "source_failed")
    assert "the folder is gone" in failed.problem.message
    diary.client.submit(job, made.edit(), lambda digest: b"short")
    assert "5 bytes instead of" in diary.until_kind(RequestFailed).problem.message
    diary.client.submit(job, made.edit(), lambda digest: made.source(digest)[::-1])
    assert diary.until_kind(RequestFailed).problem.code == "wrong_digest"
    diary.client.submit(job, made.edit(), made.source)
    diary.until_state(job, "done")


def test_an_interrupted_upload_resumes_where_it_stopped(shared, shot, connect, raw):
    made, job = shot(2, 700, 900), new_job_id()
    whole = made.frames[0].tobytes()
    assert raw.ask(m.Submit(job=job), pack(made.edit())).new
    digest = made.clip.frames[0].digest
    piece = whole[: 2**20]
    ack = raw.ask(m.Chunk(digest=digest, offset=0, crc=zlib.crc32(piece)), piece)
    assert (ack.held, ack.complete) == (2**20, False)
    need = raw.ask(m.Have(digests=tuple(ref.digest for ref in made.clip.frames)))
    assert [one.offset for one in need.missing] == [2**20, 0]
    diary = connect(shared.connection)
    diary.client.submit(job, made.edit(), made.source)
    diary.until_state(job, "done")
    sent = [event.sent for event in diary.events if isinstance(event, Uploading)]
    assert sent[0] == 2**20


def test_cancel_while_uploading(raw, shot):
    made, job = shot(), new_job_id()
    raw.ask(m.Submit(job=job), pack(made.edit()))
    assert raw.ask(m.Cancel(job=job)) == m.Ok()
    assert raw.ask(m.Cancel(job=job)) == m.Ok()
    jobs = unpack_as(raw.request(m.ListJobs()).buffers[0], tuple[JobInfo, ...])
    assert next(one.state for one in jobs if one.job == job) == "cancelled"
    need = raw.ask(m.Have(digests=tuple(ref.digest for ref in made.clip.frames)))
    assert need.missing == ()
    piece = made.frames[0].tobytes()
    assert raw.ask(m.Chunk(digest=made.clip.frames[0].digest, offset=0, crc=0), piece).code == (
        "not_wanted"
    )


def test_cancel_while_queued_and_while_running(backend, shot, connect):
    one = backend("stall")
    made, running, queued = shot(), new_job_id(), new_job_id()
    diary = connect(one.connection)
    diary.client.submit(running, made.edit("a"), made.source)
    diary.until_state(running, "running")
    diary.client.submit(queued, made.edit("b"), made.source)
    diary.until_state(queued, "queued")
    diary.client.cancel(queued)
    diary.until_state(queued, "cancelled")
    diary.client.cancel(running)
    diary.until_state(running, "cancelled")
    states = [event.state for event in diary.history(running) if event.kind == "state"]
    assert states == ["uploading", "queued", "starting", "running", "cancelling", "cancelled"]
    assert [event.state for event in diary.history(queued)][-2:] == ["queued", "cancelled"]
    threading.Timer(1.0, diary.client.cancel, (job := new_job_id(),)).start()
    with pytest.raises(JobError) as why:
        diary.client.run(job, made.edit("c"), made.source, timeout=30)
    assert why.value.problem.code == "cancelled"


def test_a_finished_result_wins_over_a_cancel(shared, shot, connect):
    made, job = shot(), new_job_id()
    diary = connect(shared.connection)
    diary.client.submit(job, made.edit(), made.source)
    diary.until_state(job, "done")
    diary.client.cancel(job)
    diary.client.attach(job)
    diary.until_state(job, "done")
    diary.client.list_jobs()
    diary.until_kind(JobList)
    assert not any(isinstance(event, RequestFailed) for event in diary.events)


@pytest.mark.slow
def test_a_blocking_call_can_time_out(backend, shot):
    made = shot()
    with Client(backend("stall").connection) as client:
        with pytest.raises(JobError) as why:
            client.run(new_job_id(), made.edit(), made.source, timeout=1)
        assert why.value.problem.code == "timeout"


def test_one_client_cannot_fill_the_queue(raw, shot):
    made = shot()
    jobs = [new_job_id() for _ in range(64)]
    refused = [raw.ask(m.Submit(job=job), pack(made.edit(job))) for job in jobs]
    last = raw.ask(m.Submit(job=new_job_id()), pack(made.edit()))
    assert last.code == "too_many_jobs"
    assert last.retryable
    for job in jobs:
        assert raw.ask(m.Cancel(job=job)) == m.Ok()
    assert all(isinstance(one, m.Accepted) for one in refused)
