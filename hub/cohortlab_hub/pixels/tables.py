"""The table of sessions' reports of pixels: which were taken, so that one that is sent again is not counted again."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from cohortlab_hub.records import Base


class PixelReportRow(Base):
    """A report that was taken. It is kept for as long as a session may send it again."""

    __tablename__ = "pixel_reports"

    person: Mapped[str] = mapped_column(String(255), primary_key=True)
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    received: Mapped[datetime] = mapped_column(index=True)
