"""The sessions' tables: notices, the GPU queue, bookings."""

from datetime import datetime

from sqlalchemy import Boolean, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from cohortlab_hub.records import Base


class NoticeRow(Base):
    """What a session's user is told before it is stopped. An ended one stays, so that extensions are remembered."""

    __tablename__ = "session_notices"
    __table_args__ = (Index("ix_session_notices_person_ended_at", "person", "ended_at"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    person: Mapped[str] = mapped_column(String(255))
    server: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(128))
    message: Mapped[str] = mapped_column(String(1000))
    show_from: Mapped[datetime]
    stop_at: Mapped[datetime | None]
    extend_to: Mapped[datetime | None]
    created_at: Mapped[datetime]
    extended_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class QueueRow(Base):
    """A request for GPUs, from the queue to its session's end.

    `state`: ``waiting``, ``running`` (it has its GPUs, until `guaranteed` for sure), ``instead`` (its user takes `profile` without
    waiting), ``left``, ``done``. `seen`: when the hub last knew somebody who waits for it.
    """

    __tablename__ = "gpu_queue"
    __table_args__ = (Index("ix_gpu_queue_state", "state"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    person: Mapped[str] = mapped_column(String(255))
    server: Mapped[str] = mapped_column(String(255))
    project: Mapped[str] = mapped_column(String(63))
    profile: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(63))
    count: Mapped[int] = mapped_column(Integer)
    guarantee_seconds: Mapped[int] = mapped_column(Integer)
    since: Mapped[datetime]
    seen: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    position: Mapped[int | None] = mapped_column(Integer)
    estimate: Mapped[datetime | None]
    why: Mapped[str] = mapped_column(String(500))
    guaranteed: Mapped[datetime | None]
    ends: Mapped[datetime | None]


class GpuRow(Base):
    """How many GPUs of a kind there are, and how many are free, as the hub saw last."""

    __tablename__ = "gpu_kinds"

    kind: Mapped[str] = mapped_column(String(63), primary_key=True)
    total: Mapped[int] = mapped_column(Integer)
    free: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]


class BookingRow(Base):
    """GPUs kept for a project from `start` until `end`."""

    __tablename__ = "gpu_bookings"
    __table_args__ = (Index("ix_gpu_bookings_end", "end"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(63))
    count: Mapped[int] = mapped_column(Integer)
    project: Mapped[str] = mapped_column(String(63))
    start: Mapped[datetime]
    end: Mapped[datetime]
    reason: Mapped[str] = mapped_column(String(1000))
    booked_by: Mapped[str] = mapped_column(String(255))
    booked_at: Mapped[datetime]
    cancelled: Mapped[bool] = mapped_column(Boolean)
