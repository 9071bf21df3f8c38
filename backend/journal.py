"""Jobs and their events in SQLite: the record of what was requested and what happened.

One process, one connection, one thread. Once `append` returns, its events are on disk.
"""

from __future__ import annotations

import errno
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import msgspec

from backend.disk import disk_problem
from protocol.codec import pack
from protocol.jobs import FINAL_STATES, Event, JobError, JobSpec, JobState
from protocol.messages import JobInfo
from protocol.upgrade import job_from

SCHEMA = 3
_JOBS = """
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL,
  state TEXT NOT NULL, seq INTEGER NOT NULL, attempts INTEGER NOT NULL, created REAL NOT NULL);
CREATE TABLE events (
  job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, seq INTEGER NOT NULL,
  kind TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (job, seq)) WITHOUT ROWID;
"""
# Specs take up to a megabyte each: beside the other columns they would slow down every query.
_SPECS = """
CREATE TABLE specs (
  job TEXT PRIMARY KEY REFERENCES jobs(id) ON DELETE CASCADE, spec BLOB NOT NULL);
CREATE INDEX jobs_by_state ON jobs(state, owner);
"""
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_LIVE = tuple(state for state in get_args(JobState) if state not in FINAL_STATES)
_LIVE_MARKS = ",".join("?" * len(_LIVE))


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the jobs table. seq: of its newest event. attempts: times it was interrupted."""

    id: str
    owner: str
    kind: str
    title: str
    state: JobState
    seq: int
    attempts: int
    created: float


class Journal:
    """The jobs and events below one data folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None)
        except sqlite3.OperationalError as why:
            raise self._disk_problem(why) from why
        try:
            self._open()
        except sqlite3.OperationalError as why:
            self._db.close()
            if "locked" in str(why):
                raise JobError(
                    "data_in_use",
                    f"Another backend is already using the folder {path.parent}.",
                    "Stop it first, or start this one with another --data folder.",
                ) from why
            raise self._disk_problem(why) from why
        except sqlite3.DatabaseError as why:
            self._db.close()
            raise JobError(
                "journal_damaged",
                f"The journal {path} is damaged: {why}.",
                "Move the file away and start the backend again; its jobs are lost.",
            ) from why
        except JobError:
            self._db.close()
            raise

    def _open(self) -> None:
        # An exclusive lock, held until close: two writers could corrupt SQLite's WAL.
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA foreign_keys=1")
        self._db.execute("PRAGMA mmap_size=0")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if not 0 <= version <= SCHEMA:
            raise JobError(
                "journal_version",
                f"The journal {self._path} was written by another version ({version}).",
                "Update the backend, or start it with another --data folder.",
            )
        with self._writing():
            if version == 0:
                self._run(_JOBS + _SPECS)
            elif version < 3:
                self._run(_SPECS)
                self._db.execute("INSERT INTO specs SELECT id, spec FROM jobs")
                self._db.execute("ALTER TABLE jobs DROP COLUMN spec")
            if version == 1:  # had a digest of the spec, which changed with every new field
                self._db.execute("ALTER TABLE jobs DROP COLUMN digest")
            self._db.execute(f"PRAGMA user_version={SCHEMA}")

    def _run(self, statements: str) -> None:
        for statement in statements.split(";"):
            self._db.execute(statement)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as why:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(why, sqlite3.OperationalError) and "locked" not in str(why):
                raise self._disk_problem(why) from why
            raise

    def _disk_problem(self, why: sqlite3.OperationalError) -> JobError:
        full = "full" in str(why)
        return disk_problem(
            OSError(errno.ENOSPC if full else errno.EIO, str(why)), self._path.parent
        )

    def close(self) -> None:
        """Close the file; the journal cannot be used after this."""
        self._db.close()

    def add(self, job: str, owner: str, spec: JobSpec, state: JobState) -> JobRecord:
        """Write a new job and its first event."""
        row = JobRecord(
            id=job,
            owner=owner,
            kind=str(spec.__struct_config__.tag),
            title=spec.title,
            state=state,
            seq=0,
            attempts=0,
            created=time.time(),
        )
        with self._writing():
            self._db.execute(
                "INSERT INTO jobs VALUES (?,?,?,?,?,?,?,?)", msgspec.structs.astuple(row)
            )
            self._db.execute("INSERT INTO specs VALUES (?,?)", (job, pack(spec)))
            self._append(job, Event(seq=0, at=time.time(), kind="state", state=state))
        return self.job(job)

    def append(self, job: str, *events: Event, attempts: int | None = None) -> None:
        """Write events in one transaction, and number and date them.

        The job takes the state of the last event. Only the newest preview keeps its image; older
        ones are replayed without it. attempts: the job's new count, if it changes.
        """
        with self._writing():
            for event in events:
                self._append(job, event)
            if attempts is not None:
                self._db.execute("UPDATE jobs SET attempts=? WHERE id=?", (attempts, job))

    def _append(self, job: str, event: Event) -> None:
        row = self._db.execute("SELECT seq FROM jobs WHERE id=?", (job,)).fetchone()
        seq = int(row[0]) + 1
        event = msgspec.structs.replace(event, seq=seq, at=time.time())
        if event.kind == "preview":
            self._drop_preview(job)
        self._db.execute("INSERT INTO events VALUES (?,?,?,?)", (job, seq, event.kind, pack(event)))
        self._db.execute("UPDATE jobs SET seq=?, state=? WHERE id=?", (seq, event.state, job))

    def _drop_preview(self, job: str) -> None:
        newest = "SELECT seq, body FROM events WHERE job=? AND kind='preview' ORDER BY seq DESC"
        for seq, body in self._db.execute(f"{newest} LIMIT 1", (job,)).fetchall():
            event = msgspec.msgpack.decode(body, type=Event)
            bare = pack(msgspec.structs.replace(event, object=None))
            self._db.execute("UPDATE events SET body=? WHERE job=? AND seq=?", (bare, job, seq))

    def job(self, job: str) -> JobRecord:
        """A job. Raises JobError ``unknown_job``."""
        row = self._db.execute("SELECT * FROM jobs WHERE id=?", (job,)).fetchone()
        if row is None:
            raise JobError(
                "unknown_job",
                f"The backend does not know the job {job[:12]}….",
                "It was removed, or it belongs to another backend: send it again.",
            )
        return _job(row)

    def find(self, job: str) -> JobRecord | None:
        """A job, or None."""
        row = self._db.execute("SELECT * FROM jobs WHERE id=?", (job,)).fetchone()
        return None if row is None else _job(row)

    def spec(self, job: str) -> JobSpec:
        """What a known job asks for."""
        query = "SELECT spec FROM specs WHERE job=?"
        (packed,) = self._db.execute(query, (job,)).fetchone()
        return job_from(msgspec.msgpack.decode(packed))

    def events(self, job: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """(seq, packed Event) after a seq, in order."""
        query = "SELECT seq, body FROM events WHERE job=? AND seq>? ORDER BY seq LIMIT ?"
        return self._db.execute(query, (job, after, limit)).fetchall()

    def in_states(self, *states: JobState) -> list[JobRecord]:
        """Jobs in one of these states, in the order in which they were added."""
        marks = ",".join("?" * len(states))
        query = f"SELECT * FROM jobs WHERE state IN ({marks}) ORDER BY rowid"
        return [_job(row) for row in self._db.execute(query, states)]

    def open_jobs(self, owner: str) -> int:
        """How many unfinished jobs a client key has."""
        query = f"SELECT COUNT(*) FROM jobs WHERE state IN ({_LIVE_MARKS}) AND owner=?"
        return int(self._db.execute(query, (*_LIVE, owner)).fetchone()[0])

    def unfinished(self) -> int:
        """How many jobs of all clients are unfinished."""
        query = f"SELECT COUNT(*) FROM jobs WHERE state IN ({_LIVE_MARKS})"
        return int(self._db.execute(query, _LIVE).fetchone()[0])

    def newest(self, limit: int) -> tuple[JobInfo, ...]:
        """The newest jobs in brief, newest first."""
        query = "SELECT id, kind, state, created, seq, title FROM jobs ORDER BY rowid DESC LIMIT ?"
        return tuple(
            JobInfo(job=job, kind=kind, state=state, created=created, seq=seq, title=title)
            for job, kind, state, created, seq, title in self._db.execute(query, (limit,))
        )

    def digests(self, job: str) -> set[str]:
        """The objects that a job and its events name."""
        rows = self._db.execute(
            "SELECT body FROM events WHERE job=? AND kind IN ('state','preview')", (job,)
        ).fetchall()
        rows += self._db.execute("SELECT spec FROM specs WHERE job=?", (job,)).fetchall()
        return {digest.decode() for (body,) in rows for digest in _DIGEST.findall(body)}

    def named_digests(self, after: int, limit: int) -> tuple[set[str], int | None]:
        """The objects that the next few jobs name, and where to go on; None: no jobs are left."""
        query = "SELECT rowid, id FROM jobs WHERE rowid>? ORDER BY rowid LIMIT ?"
        rows = self._db.execute(query, (after, limit)).fetchall()
        named = set[str]().union(*(self.digests(job) for _, job in rows))
        return named, rows[-1][0] if rows else None

    def forget(self, job: str) -> None:
        """Remove a job and its events."""
        with self._writing():
            self._db.execute("DELETE FROM jobs WHERE id=?", (job,))


def _job(row: tuple[object, ...]) -> JobRecord:
    fields: dict[str, Any] = dict(zip(JobRecord.__struct_fields__, row, strict=True))
    return JobRecord(**fields)
