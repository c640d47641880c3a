"""The audit events' table. Triggers of revision 0001 forbid UPDATE and DELETE on it."""

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from cohortlab_hub.records import Base


class AuditEvent(Base):
    """One event. `digest` covers all other columns and, by `previous`, all events before it."""

    __tablename__ = "audit_events"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(32))  # as text: what is hashed must come back letter by letter
    actor: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(255))
    details: Mapped[str] = mapped_column(Text)  # canonical JSON
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
