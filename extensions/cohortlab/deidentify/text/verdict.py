"""What the burned-in text room answers: where on which frame something was read, how sure, how long; never what.

The recognised text stays inside `reader`. These values may go into reports, logs and manifests.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CLEANED: Final = "113101"
"""Clean Pixel Data Option (PS3.16 CID 7050): to be added to (0012,0064) where regions were masked."""


class TextReason(StrEnum):
    """Why pixels are refused. The words are stable, and those about headers are the gate's own (see `report.Reason`)."""

    DECLARED = "burned-in-declared"
    SCREEN_CAPTURE = "screen-capture"
    SECONDARY_CAPTURE = "secondary-capture-unchecked"
    COLOUR = "colour-in-grey-modality"
    LABEL_IMAGE = "slide-label"
    FOUND = "burned-in-text-found"
    LEFT_AFTER_MASK = "text-left-after-mask"
    UNREADABLE = "pixels-unreadable"


WHAT_TO_DO: Final[dict[TextReason, str]] = {
    TextReason.DECLARED: "Leave it out, or blank the text and correct BurnedInAnnotation at the source.",
    TextReason.SCREEN_CAPTURE: "Leave it out: screen captures and dose or exam summaries carry text in the pixels.",
    TextReason.SECONDARY_CAPTURE: "Look at every image; when none shows a name, a date or a number, say that a person checked the pixels.",
    TextReason.COLOUR: "Leave it out: colour in this modality means a screen capture.",
    TextReason.LABEL_IMAGE: "Leave out the label image of the slide; keep its other images.",
    TextReason.FOUND: "Look at the boxes; leave the series out, or give region rules for this device so that the places are masked.",
    TextReason.LEFT_AFTER_MASK: "The region rule of this device does not cover all text: look at the boxes and widen it.",
    TextReason.UNREADABLE: "Copy the file again from its source; its pixels cannot be decoded.",
}


class Length(StrEnum):
    """How long a recognised text is, in letters and digits: two or three; up to twelve; more."""

    SHORT = "short"
    WORD = "word"
    LINE = "line"


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the frame as stored: column and row of its first corner, width along columns, height along rows."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Found:
    """Text that was read and is not on the allow-list. `frame`: 0-based; `instance`: 0-based place of its object among those given."""

    box: Box
    confidence: float
    length: Length
    frame: int = 0
    instance: int = 0


@dataclass(frozen=True)
class TextVerdict:
    """The answer about one object or one series.

    looked, frames: how many frames were read by the OCR, how many there are. markers: how often an allowed marker (laterality, view,
    orientation) was read. rule: the region rule that was applied; then `masked` are its rectangles, and the pixels that may be stored
    are those with the rectangles blanked, under code `CLEANED`.
    """

    reasons: tuple[TextReason, ...] = ()
    found: tuple[Found, ...] = ()
    looked: int = 0
    frames: int = 0
    markers: int = 0
    rule: str = ""
    masked: tuple[Box, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against the pixels."""
        return not self.reasons

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of CID 7050 that the gate has to add."""
        return (CLEANED,) if self.masked and self.accepted else ()
