"""The table of identities: which person at which provider an account is."""

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cohortlab_hub.records import Base


class IdentityRow(Base):
    """An account's name belongs for good to the first identity that signed in with it."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    since: Mapped[datetime]
