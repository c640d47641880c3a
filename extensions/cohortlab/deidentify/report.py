"""What the gate was asked and what it answers: options, outcomes of each series, reason codes with what to do.

A report never holds a value from a DICOM header: reason codes, tag names, counts, paths and the store's own ids only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from cohortlab.store.contracts import AccessCondition, AccessRight, Manifest


class Reason(StrEnum):
    """Why something was refused. The words are stable: machines may rely on them."""

    NOT_DEIDENTIFIED = "not-deidentified"
    CODES_MISSING = "codes-missing"
    ELEMENT_NOT_ALLOWED = "element-not-allowed"
    VALUE_NOT_ALLOWED = "value-not-allowed"
    UID_NOT_OURS = "uid-not-ours"
    DATES_NOT_CLAIMED = "dates-not-claimed"
    IDENTIFIER_LEFT = "identifier-left"
    SOP_CLASS = "sop-class-not-allowed"
    MEDIA_DIRECTORY = "media-directory"
    EMBEDDED_DOCUMENT = "embedded-document"
    BURNED_IN = "burned-in-declared"
    SCREEN_CAPTURE = "screen-capture"
    SECONDARY_CAPTURE = "secondary-capture-unchecked"
    COLOUR = "colour-in-grey-modality"
    LABEL_IMAGE = "slide-label"
    TEXT_FOUND = "burned-in-text-found"
    TEXT_LEFT = "text-left-after-mask"
    PIXELS_UNREADABLE = "pixels-unreadable"
    TRUNCATED = "truncated"
    TRAILING_DATA = "trailing-data"
    HIDDEN_BITS = "hidden-bits"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    INCOMPLETE = "series-incomplete"
    DUPLICATE = "duplicate-instance"
    MIXED = "mixed-series"
    NOT_STORABLE = "not-storable"
    REFERENCE_MISSING = "source-image-missing"


WHAT_TO_DO: Final[dict[Reason, str]] = {
    Reason.NOT_DEIDENTIFIED: "Run again with --deidentify, or give a copy that was de-identified after DICOM PS3.15 and says so.",
    Reason.CODES_MISSING: "Run again with --deidentify: the file claims to be de-identified but does not say how (0012,0064).",
    Reason.ELEMENT_NOT_ALLOWED: "Report this to the maintainers: the profile left an element that the verifier does not allow.",
    Reason.VALUE_NOT_ALLOWED: "Report this to the maintainers: the profile left a value that the verifier does not allow.",
    Reason.UID_NOT_OURS: "Report this to the maintainers: a unique identifier was not replaced.",
    Reason.DATES_NOT_CLAIMED: "Report this to the maintainers: dates are there without the claim that they were shifted.",
    Reason.IDENTIFIER_LEFT: "Report this to the maintainers: a word of the patient's own identifiers is left in a text.",
    Reason.SOP_CLASS: "This kind of object cannot be stored yet; leave it out.",
    Reason.MEDIA_DIRECTORY: "Nothing to do: an index of a disc (DICOMDIR) is never stored.",
    Reason.EMBEDDED_DOCUMENT: "Leave it out: documents inside DICOM files are never stored.",
    Reason.BURNED_IN: "Leave it out, or blank the text and correct BurnedInAnnotation at the source.",
    Reason.SCREEN_CAPTURE: "Leave it out: screen captures and dose or exam summaries carry text in the pixels.",
    Reason.SECONDARY_CAPTURE: "Look at every image; when none shows a name, a date or a number, run again with --pixels-checked.",
    Reason.COLOUR: "Leave it out: colour in this modality means a screen capture.",
    Reason.LABEL_IMAGE: "Nothing to do: pictures of a slide's label or of the whole glass are never stored; "
    "the slide's other images are judged without them.",
    Reason.TEXT_FOUND: "Look at these places. Leave the series out, or list the regions that its device writes in and run again with "
    "--regions. If nothing there tells who it is, and all frames were looked at, run again with --pixels-checked.",
    Reason.TEXT_LEFT: "The region rule of this device does not cover all text: look at these places and widen it.",
    Reason.PIXELS_UNREADABLE: "Copy the file again from its source; its pixels cannot be decoded.",
    Reason.TRUNCATED: "Copy the file again from its source; it ends too early.",
    Reason.TRAILING_DATA: "Have the file written again without the data after its end.",
    Reason.HIDDEN_BITS: "Have the pixels written again with the bits outside of BitsStored cleared; an old overlay may be in them.",
    Reason.UNREADABLE: "Copy the file again from its source; its structure is broken.",
    Reason.TOO_LARGE: "Split the object, or raise the limit with --max-file-size.",
    Reason.INCOMPLETE: "Repair or remove the refused files of this series, then run again.",
    Reason.DUPLICATE: "Remove the copies; one instance must be one file.",
    Reason.MIXED: "Separate the objects: one series holds instances of different patients, studies or kinds.",
    Reason.NOT_STORABLE: "The image store cannot hold this series; the detail says why.",
    Reason.REFERENCE_MISSING: "Give the image series together with its segmentation.",
}


class Finding(BaseModel):
    """One reason, the tags that it is about (keywords or numbers), and how many instances it hit."""

    model_config = ConfigDict(frozen=True)

    reason: Reason
    tags: tuple[str, ...] = ()
    detail: str = ""
    instances: int = 1

    @property
    def what_to_do(self) -> str:
        """What the reader can do about it."""
        return WHAT_TO_DO[self.reason]


class Outcome(BaseModel):
    """A series, or a file that belongs to none: accepted or refused, and why.

    `name` is the id in the store, the same for an accepted and a refused series; for a file without series it is ``file``.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    accepted: bool
    modality: str = ""
    kind: str = "image"
    files: int = 0
    place: Path
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    recognisable: bool = False
    regular: bool | None = None
    shape: tuple[int, ...] = ()
    removed: int = 0
    quarantine: Path | None = None


class Report(BaseModel):
    """The whole answer. `path` is the written version's folder; None after a dry run or when nothing was accepted."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    dataset: str
    version: str
    dry_run: bool
    outcomes: tuple[Outcome, ...]
    files_seen: int
    files_skipped: int
    path: Path | None = None
    manifest: Manifest | None = None
    seconds: float = 0.0

    @property
    def accepted(self) -> tuple[Outcome, ...]:
        """The series that are, or in a dry run would be, in the store."""
        return tuple(o for o in self.outcomes if o.accepted)

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """The series and files that are not."""
        return tuple(o for o in self.outcomes if not o.accepted)


type Progress = Callable[[str, int, int], None]
"""Called with (what is done, units done, units in all), e.g. ``("reading", 12, 140)``."""


def no_progress(_what: str, _done: int, _total: int) -> None:
    """The progress of a caller that does not want to know."""


@dataclass(frozen=True)
class Options:
    """What a data steward asks of the gate.

    access_rights: dct:accessRights of the dataset; PUBLIC only together with DOWNLOAD.
    deidentify: remove identity on the way in; without it a source must carry PS3.15 codes already. key: the gate's private
    key; its pseudonym secret lies beside it. pixels_checked: a person has looked at all frames of secondary captures, ultrasound,
    mammograms and radiographs, which are then not read for text. regions: region rules, a YAML file (see `text.mask`).
    strict: write nothing unless everything is accepted. max_file_bytes: larger files are refused unread. workers: processes at most,
    each with one series at a time; few bytes are not worth several.
    """

    key: Path
    version: str = "1.0.0"
    title: str = ""
    description: str = ""
    publisher: str = ""
    licence: str = ""
    source: str = ""
    keywords: tuple[str, ...] = ()
    access: AccessCondition = AccessCondition.IN_SITU_PROCESSING
    access_rights: AccessRight | None = None
    duo: tuple[str, ...] = ()
    synthetic: bool = False
    deidentify: bool = False
    dry_run: bool = False
    quarantine: Path | None = None
    pixels_checked: bool = False
    regions: Path | None = None
    strict: bool = False
    max_file_bytes: int = 4 * 2**30
    max_files: int = 1_000_000
    workers: int = 1
    progress: Progress = field(default=no_progress)
