"""The journal numbers events without gaps, belongs to one backend, and outlives it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from backend.journal import Journal
from protocol.jobs import AtlasJob, Clip, EditJob, Event, JobError, ObjectRef, Result

REF = ObjectRef(digest="0" * 64, dtype="uint8", shape=(2, 2, 3))
EDIT = EditJob(clip=Clip(frames=(REF,)), prompt=("rusty car",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path):
    one = Journal(path)
    yield one
    one.close()


def event(kind: str = "note", state: str = "running", **fields: object) -> Event:
    return Event(seq=0, at=0.0, kind=kind, state=state, **fields)


def history(journal: Journal, job: str, after: int = 0) -> list[Event]:
    rows = journal.events(job, after, 1000)
    events = [msgspec.msgpack.decode(body, type=Event) for _, body in rows]
    assert [seq for seq, _ in rows] == [one.seq for one in events]
    return events


def test_a_job_comes_back_as_it_was(journal):
    added = journal.add("a", "owner", EDIT, "uploading")
    assert added == journal.job("a") == journal.find("a")
    assert (added.seq, added.attempts) == (1, 0)
    assert journal.spec("a") == EDIT
    assert (added.kind, added.title) == ("edit", "rusty car")
    assert journal.add("b", "owner", AtlasJob(clip=EDIT.clip), "uploading").kind == "atlas"


def test_events_are_numbered_from_one_without_gaps(journal):
    journal.add("a", "", EDIT, "uploading")
    journal.append("a", event(text="x"), event(text="y"))
    journal.append("a", event("state", "done", result=Result()), attempts=2)
    events = history(journal, "a")
    assert [one.seq for one in events] == [1, 2, 3, 4]
    assert all(one.at > 0 for one in events)
    assert [one.seq for one in history(journal, "a", 2)] == [3, 4]
    job = journal.job("a")
    assert (job.state, job.seq, job.attempts) == ("done", 4, 2)


def test_the_objects_that_jobs_name(journal):
    digests = [f"{number:064x}" for number in range(4)]
    refs = [msgspec.structs.replace(REF, digest=digest) for digest in digests]
    for job, frame, layer in (("a", refs[0], refs[1]), ("b", refs[0], refs[2])):
        journal.add(job, "", msgspec.structs.replace(EDIT, clip=Clip(frames=(frame,))), "running")
        journal.append(job, event("preview", object=refs[3]))
        journal.append(job, event("state", "done", result=Result(layer=(layer,))))
    assert journal.digests("a") == {digests[0], digests[1], digests[3]}
    named, last = journal.named_digests(0, 1)
    assert named == journal.digests("a")
    named, last = journal.named_digests(last, 1)
    assert named == journal.digests("b")
    assert journal.named_digests(last, 1) == (set(), None)


def test_only_the_newest_preview_keeps_its_picture(journal):
    journal.add("a", "", EDIT, "running")
    for _ in range(3):
        journal.append("a", event("preview", object=REF))
    assert [one.object for one in history(journal, "a")] == [None, None, None, REF]


def test_a_failed_write_leaves_nothing(journal):
    journal.add("a", "", EDIT, "running")
    bad = event("note", done=object())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        journal.append("a", event(text="first"), bad)
    assert journal.job("a").seq == 1
    journal.append("a", event(text="after"))
    assert [one.seq for one in history(journal, "a")] == [1, 2]


def test_what_is_written_outlives_the_journal(path):
    first = Journal(path)
    first.add("a", "", EDIT, "running")
    first.close()
    second = Journal(path)
    assert second.job("a").state == "running"
    second.close()


def test_a_folder_belongs_to_one_backend(journal, path):
    with pytest.raises(JobError) as why:
        Journal(path)
    assert why.value.problem.code == "data_in_use"
    assert str(path.parent) in why.value.problem.message
    journal.add("a", "", EDIT, "running")


def test_a_journal_of_another_version_is_left_alone(path):
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(JobError) as why:
        Journal(path)
    assert why.value.problem.code == "journal_version"


OLD_TABLES = """
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL, {digest}
  spec BLOB NOT NULL, state TEXT NOT NULL, seq INTEGER NOT NULL,
  attempts INTEGER NOT NULL, created REAL NOT NULL);
CREATE TABLE events (
  job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, seq INTEGER NOT NULL,
  kind TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (job, seq)) WITHOUT ROWID;
"""


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_journal_is_upgraded(path, version):
    """The first version kept digests; specs of both lack the fields that came later."""
    spec = msgspec.to_builtins(EDIT)
    del spec["avoid"]
    digest = {"digest": "d"} if version == 1 else {}
    row = {"id": "a", "owner": "o", "kind": "edit", "title": "rusty car", **digest}
    row |= {"spec": msgspec.msgpack.encode(spec), "state": "uploading", "seq": 1}
    row |= {"attempts": 0, "created": 5.0}
    with sqlite3.connect(path) as db:
        db.executescript(OLD_TABLES.format(digest="digest TEXT NOT NULL," if digest else ""))
        db.execute(f"INSERT INTO jobs VALUES ({','.join('?' * len(row))})", tuple(row.values()))
        body = msgspec.msgpack.encode(event("state", "uploading"))
        db.execute("INSERT INTO events VALUES ('a', 1, 'state', ?)", (body,))
        db.execute(f"PRAGMA user_version={version}")
    db.close()
    for _ in range(2):
        journal = Journal(path)
        job = journal.job("a")
        assert (job.owner, job.state, job.seq, job.created) == ("o", "uploading", 1, 5.0)
        assert journal.spec("a") == EDIT
        assert journal.unfinished() == 1
        assert len(journal.events("a", 0, 10)) == 1
        journal.close()


def test_a_file_that_is_not_a_journal_is_named(path):
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(JobError) as why:
        Journal(path)
    assert why.value.problem.code == "journal_damaged"


def test_a_folder_that_cannot_hold_a_journal_is_reported(tmp_path):
    (tmp_path / "journal.sqlite").mkdir()
    with pytest.raises(JobError) as why:
        Journal(tmp_path / "journal.sqlite")
    assert why.value.problem.code == "disk_error"
    assert str(tmp_path) in why.value.problem.message


def test_a_disk_that_is_full_from_the_start_is_reported(path, monkeypatch):
    def full(self):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Journal, "_open", full)
    with pytest.raises(JobError) as why:
        Journal(path)
    assert why.value.problem.code == "disk_full"


def test_a_full_disk_is_reported_and_passes(journal, path):
    journal.add("a", "", EDIT, "running")
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(JobError) as why:
        journal.append("a", *[event(text="x" * 4000) for _ in range(20)])
    assert (why.value.problem.code, why.value.problem.retryable) == ("disk_full", True)
    assert str(path.parent) in why.value.problem.message
    journal._db.execute("PRAGMA max_page_count=100000")
    journal.append("a", event(text="x" * 4000))
    assert journal.job("a").seq == 2


def test_lists_counts_and_forgetting(journal):
    for job, owner in (("a", "x"), ("b", "x"), ("c", "y")):
        journal.add(job, owner, EDIT, "queued")
    assert [job.id for job in journal.in_states("queued", "running")] == ["a", "b", "c"]
    journal.append("a", event("state", "cancelled"))
    assert (journal.open_jobs("x"), journal.open_jobs("y"), journal.open_jobs("z")) == (1, 1, 0)
    assert journal.unfinished() == 2
    assert [info.job for info in journal.newest(2)] == ["c", "b"]
    journal.forget("a")
    assert journal.find("a") is None
    assert history(journal, "a") == []
    with pytest.raises(JobError) as why:
        journal.job("a")
    assert why.value.problem.code == "unknown_job"
    assert journal._db.execute("SELECT COUNT(*) FROM specs").fetchone() == (2,)


def test_finished_jobs_cost_the_queries_nothing(journal):
    """Counted in instructions of SQLite's machine, for what runs at every turn of the loop."""

    def count(query) -> int:
        counted = 0

        def tick() -> int:
            nonlocal counted
            counted += 1
            return 0

        journal._db.set_progress_handler(tick, 1)
        query()
        journal._db.set_progress_handler(None, 0)
        return counted

    queries = (
        lambda: journal.in_states("queued"),
        lambda: journal.unfinished(),
        lambda: journal.open_jobs("x"),
        lambda: journal.newest(5),
        lambda: journal.find("5"),
    )
    costs = []
    for first in (0, 10):
        for number in range(first, 10 + 20 * first):
            journal.add(str(number), "x", EDIT, "done")
        costs.append([count(query) for query in queries])
    assert costs[1] == costs[0]
