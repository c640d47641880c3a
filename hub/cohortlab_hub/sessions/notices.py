"""What a session's user is told before it is stopped, and what they may do about it.

Any room calls `add` in its own transaction; JupyterLab's banner and the hub's pages show the open ones; the hub stops the
session at `stop_at` (see `cohortlab_hub.sessions.keeper`). One open notice a (person, server, kind, subject): adding it again
changes its words, and its stop only to an earlier time, so that a caller may repeat itself and nobody gains time by it.
"""

import uuid
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from cohortlab.errors import NotFoundError, RefusedError
from cohortlab_hub import audit
from cohortlab_hub.sessions.tables import NoticeRow


class Kind(StrEnum):
    """Why a session is going to be stopped."""

    IDLE = "idle"  # nothing ran and nobody was there
    LIMIT = "limit"  # the profile's longest time
    LEASE = "lease"  # a mounted dataset's grant, visa or group membership ended or was revoked
    BOOKING = "booking"  # its GPUs are booked, or others wait and its guaranteed time is over
    OPERATOR = "operator"  # somebody who runs the workbench says so


class Notice(BaseModel):
    """An open notice. `stop_at`: when the session is stopped; `extend_to`: until when its user may put that off, None: not."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    server: str
    kind: Kind
    subject: str
    message: str
    stop_at: datetime | None
    extend_to: datetime | None
    created_at: datetime


def add(
    database: Session,
    person: str,
    kind: Kind,
    message: str,
    *,
    subject: str = "",
    server: str = "",
    stop_at: datetime | None = None,
    extend_to: datetime | None = None,
    show_from: datetime | None = None,
) -> Notice:
    """Tell `person` that their session `server` ("": the one they have) is going to be stopped at `stop_at` (None: only told).

    `message` is one sentence for them, `subject` what it is about (a dataset, a booking). Audited when it is new.
    """
    now = datetime.now(UTC)
    row = database.scalars(_open(person, server).where(NoticeRow.kind == kind.value, NoticeRow.subject == subject)).first()
    if row is None:
        row = NoticeRow(
            id=str(uuid.uuid4()),
            person=person,
            server=server,
            kind=kind.value,
            subject=subject,
            message=message,
            show_from=show_from or now,
            stop_at=stop_at,
            extend_to=extend_to,
            created_at=now,
            extended_at=None,
            ended_at=None,
        )
        database.add(row)
        details = {"kind": kind.value, "subject": subject, "stop_at": stop_at.isoformat() if stop_at else None}
        audit.record(database, "hub", "session.warn", person, details)
    else:
        row.message = message
        if stop_at is not None and (row.stop_at is None or stop_at < row.stop_at):
            row.stop_at = stop_at
    database.flush()
    return Notice.model_validate(row)


def clear(database: Session, person: str, kind: Kind, *, subject: str | None = None, server: str = "") -> None:
    """What `kind` of notice warned of will not happen: end it. Without `subject` all of the kind."""
    ended = update(NoticeRow).where(
        NoticeRow.person == person, NoticeRow.server == server, NoticeRow.kind == kind.value, NoticeRow.ended_at.is_(None)
    )
    database.execute((ended if subject is None else ended.where(NoticeRow.subject == subject)).values(ended_at=datetime.now(UTC)))


def close(database: Session, person: str, server: str = "") -> None:
    """The session has ended, and with it what was said of it."""
    ended = update(NoticeRow).where(NoticeRow.person == person, NoticeRow.server == server, NoticeRow.ended_at.is_(None))
    database.execute(ended.values(ended_at=datetime.now(UTC)))


def shown(database: Session, person: str, now: datetime, server: str | None = None) -> list[Notice]:
    """The notices that `person` sees at `now`, the most urgent first; of all their sessions, or of one."""
    rows = database.scalars(_open(person, server).where(NoticeRow.show_from <= now))
    return sorted(map(Notice.model_validate, rows), key=lambda notice: (notice.stop_at is None, notice.stop_at or now, notice.id))


def extend(database: Session, person: str, notice: str, now: datetime) -> Notice:
    """Put the stop off, as far as `extend_to`. Raises `NotFoundError`, and `RefusedError` where that is not allowed."""
    row = database.scalars(_open(person, None).where(NoticeRow.id == notice).with_for_update()).first()
    if row is None:
        raise NotFoundError("There is no such notice, or no longer.")
    if row.extend_to is None or row.extend_to <= now:
        raise RefusedError("This stop cannot be put off.", hint="Save your work: your home is kept.")
    row.extended_at = row.ended_at = now
    details = {"kind": row.kind, "subject": row.subject, "until": row.extend_to.isoformat()}
    audit.record(database, person, "session.extend", person, details)
    return Notice.model_validate(row)


def _open(person: str, server: str | None) -> Select[NoticeRow]:
    query = select(NoticeRow).where(NoticeRow.person == person, NoticeRow.ended_at.is_(None))
    return query if server is None else query.where(NoticeRow.server == server)


def due_and_extended(database: Session, now: datetime) -> tuple[list[NoticeRow], list[NoticeRow]]:
    """Open notices of all sessions that name a time, and those that were extended to a time after `now`."""
    timed = NoticeRow.ended_at.is_(None) & NoticeRow.stop_at.is_not(None)
    rows = list(database.scalars(select(NoticeRow).where(or_(timed, NoticeRow.extended_at.is_not(None) & (NoticeRow.extend_to > now)))))
    return [row for row in rows if row.ended_at is None], [row for row in rows if row.extended_at is not None]
