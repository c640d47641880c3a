"""The tables of grants, leases and deliveries of a negotiator."""

from datetime import datetime

from sqlalchemy import JSON, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from cohortlab_hub.records import Base


class GrantRow(Base):
    """One grant. It is never deleted: a revoked one keeps who revoked it, when and why.

    `source`: ``steward``, ``visa`` or ``negotiator``; `external_id`: what the last two call it. `fulfils`: DUO modifiers.
    """

    __tablename__ = "grants"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    subject_kind: Mapped[str] = mapped_column(String(8))
    subject: Mapped[str] = mapped_column(String(255))
    dataset: Mapped[str] = mapped_column(String(128), index=True)
    condition: Mapped[str] = mapped_column(String(32))
    purpose: Mapped[str | None] = mapped_column(String(64))
    until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(1000))
    granted_by: Mapped[str] = mapped_column(String(255))
    granted_at: Mapped[datetime]
    revoked_by: Mapped[str | None] = mapped_column(String(255))
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None] = mapped_column(String(1000))
    source: Mapped[str] = mapped_column(String(16), default="steward", server_default="steward")
    external_id: Mapped[str | None] = mapped_column(String(600))
    for_cause: Mapped[bool] = mapped_column(default=False, server_default=false())
    fulfils: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")


class LeaseRow(Base):
    """A lease of a running session. `warned` until `stops`: the time that is left; `ended`: with the session, or by a stop.

    `server` is JupyterHub's name of the session, empty for the default one.
    """

    __tablename__ = "leases"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    person: Mapped[str] = mapped_column(String(255))
    server: Mapped[str] = mapped_column(String(255))
    dataset: Mapped[str] = mapped_column(String(128))
    condition: Mapped[str] = mapped_column(String(32))
    purpose: Mapped[str | None] = mapped_column(String(64))
    grant_id: Mapped[str] = mapped_column(String(36))
    opened: Mapped[datetime]
    until: Mapped[datetime | None]
    warned: Mapped[datetime | None]
    stops: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(Text)
    ended: Mapped[datetime | None] = mapped_column(index=True)


class NegotiationRow(Base):
    """A delivery of a negotiator that was taken: the same `id` again must have the same `digest`."""

    __tablename__ = "negotiations"

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    received: Mapped[datetime]
