"""Tables of the jobs room: jobs, one ticket a site, events; when sites were heard."""

from datetime import datetime

from sqlalchemy import Float, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from cohortlab_hub.records import Base


class JobRow(Base):
    """A job as it was asked for, and where it stands."""

    __tablename__ = "jobs"
    __table_args__ = (UniqueConstraint("owner", "idempotency_key"), Index("ix_jobs_owner_created", "owner", "created"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner: Mapped[str] = mapped_column(String(255))
    owner_groups: Mapped[str] = mapped_column(Text)  # JSON; as they were at submission, to decide again when a site fetches
    dataset: Mapped[str] = mapped_column(String(128))
    task: Mapped[str] = mapped_column(String(32))
    parameters: Mapped[str] = mapped_column(Text)  # canonical JSON, in full
    project: Mapped[str] = mapped_column(String(63))
    purpose: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), index=True)
    minimum: Mapped[int]
    cancelling: Mapped[bool]
    idempotency_key: Mapped[str | None] = mapped_column(String(64))  # None: each submission is a job of its own
    asked: Mapped[str] = mapped_column(String(64))  # digest of the request, to tell a repetition from another one
    created: Mapped[datetime]
    updated: Mapped[datetime]
    expires: Mapped[datetime]
    tickets: Mapped[list["TicketRow"]] = relationship(back_populates="job", order_by="TicketRow.site", cascade="all, delete-orphan")


class TicketRow(Base):
    """One site's part of a job. `release` is the site's last word as JSON."""

    __tablename__ = "job_tickets"
    __table_args__ = (UniqueConstraint("job_id", "site"), Index("ix_job_tickets_site_state", "site", "state"))

    id: Mapped[str] = mapped_column(String(39), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    site: Mapped[str] = mapped_column(String(63))
    token: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    progress: Mapped[float] = mapped_column(Float)
    reason: Mapped[str | None] = mapped_column(String(32))
    release: Mapped[str | None] = mapped_column(Text)
    job: Mapped[JobRow] = relationship(back_populates="tickets")


class SiteRow(Base):
    """When a site was last heard, by any process of the service."""

    __tablename__ = "job_sites"

    site: Mapped[str] = mapped_column(String(63), primary_key=True)
    heard: Mapped[datetime]


class EventRow(Base):
    """One step of a job; `seq` rises within the job, from 1."""

    __tablename__ = "job_events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    time: Mapped[datetime]
    site: Mapped[str] = mapped_column(String(63))
    state: Mapped[str] = mapped_column(String(16))
    progress: Mapped[float] = mapped_column(Float)
    reason: Mapped[str | None] = mapped_column(String(32))
