"""Burned-in text and faces, as far as headers tell: what must not come in because people wrote on the picture, and what shows a face.

Works on the source's header, before anything is removed. Headers only sort out what declares itself; they prove no picture clean.
"""

import re
from typing import Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from cohortlab.deidentify.report import Finding, Reason

_SECONDARY_CAPTURE: Final = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.7(?:\.[1-4])?")
_DOCUMENT: Final = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.104\.\d+")
_WHOLE_SLIDE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
_GLASS: Final = frozenset({"LABEL", "OVERVIEW"})
_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_CAPTURE_WORD: Final = re.compile(
    r"SCREEN[ _]?(SAVE|SHOT|CAPTURE)|SCRCAPTURE|DOSE([ _](INFO|REPORT))?|PATIENT[ _]INFO|PROTOCOL|EXAM[ _]SUMMARY|"
    r"(CSA )?REPORT|REF_SURVIEW|LABEL|OVERVIEW|FORM"
)
_CAPTURE_TEXT: Final = re.compile(
    r"screen ?(save|shot|cap)|dose ?(report|info|summary|record|page)|exam ?summary|patient ?protocol|summary series|"
    r"scan(ned)? document|key ?images?\b|requisition|worksheet",
    re.IGNORECASE,
)
_GREY_MODALITIES: Final = frozenset({"CT", "MR", "PT", "MG", "DX", "CR", "NM", "SEG"})
_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", ""})
_SHOWS_FACES: Final = frozenset({"CT", "MR", "PT"})
_HEAD: Final = re.compile(
    r"head|brain|skull|cranium|face|facial|neck|sinus|orbit|\bears?\b|\beyes?\b|mandib|maxill|nasal|nose|pharynx|larynx|whole ?body|"
    r"pituitar|sella|temporal bone|cerebr|kopf|hersen|hoofd|hals|jaw|dental|teeth|tooth|\btmj\b|\biac\b|parotid|salivary|tongue|oral",
    re.IGNORECASE,
)
_NOT_HEAD: Final = re.compile(
    r"chest|thorax|lung|abdom|pelvi|prostat|liver|kidney|breast|knee|ankle|foot|feet|hand|wrist|elbow|hip|leg|arm|shoulder|heart|"
    r"cardiac|lumbar|lspine|l ?spine|t ?spine|"
    r"pancrea|spleen|bladder|rectum|rectal|uterus|cervix|ovar|colon|femur|tibia|bowel|stomach|extremity|"
    r"coronary|aorta",
    re.IGNORECASE,
)


def _values(header: Dataset, keyword: str) -> list[str]:
    value = header.get(keyword)
    if value is None or value == "":
        return []
    return [str(v).strip() for v in (value if isinstance(value, MultiValue | list) else [value])]


def _word(header: Dataset, keyword: str) -> str:
    return next(iter(_values(header, keyword)), "").upper()


def shows_label(header: Dataset) -> bool:
    """Whether an image of a slide is a picture of its label or of the whole glass with it, or says that the label is in it."""
    if str(header.get("SOPClassUID", "")).strip() != _WHOLE_SLIDE:
        return False
    return bool({v.upper() for v in _values(header, "ImageType")[2:]} & _GLASS) or _word(header, "SpecimenLabelInImage") == "YES"


def burned_in(header: Dataset) -> list[Finding]:
    """Why an object is refused for writing on its pixels by its header alone; empty when nothing says so.

    A plain secondary capture or ultrasound image is not: a person or the reader looks at it. What declares itself to be a screen, a
    summary or a report is refused whoever looked.
    """
    found = []
    sop_class = str(header.get("SOPClassUID", "")).strip()
    modality = _word(header, "Modality")
    capture = bool(_SECONDARY_CAPTURE.fullmatch(sop_class))
    if sop_class == _DIRECTORY:
        return [Finding(reason=Reason.MEDIA_DIRECTORY)]
    if _DOCUMENT.fullmatch(sop_class) or "EncapsulatedDocument" in header:
        return [Finding(reason=Reason.EMBEDDED_DOCUMENT, tags=("SOPClassUID",))]
    if _word(header, "BurnedInAnnotation") == "YES":
        found.append(Finding(reason=Reason.BURNED_IN, tags=("BurnedInAnnotation",)))
    if any(_CAPTURE_WORD.fullmatch(value.upper()) for value in _values(header, "ImageType")[2:]):
        found.append(Finding(reason=Reason.SCREEN_CAPTURE, tags=("ImageType",)))
    described = [
        k for k in ("SeriesDescription", "ImageComments", "ProtocolName") if any(_CAPTURE_TEXT.search(v) for v in _values(header, k))
    ]
    if described and (capture or modality not in {"SEG", "RTSTRUCT"}):
        found.append(Finding(reason=Reason.SCREEN_CAPTURE, tags=tuple(described)))
    if _word(header, "PhotometricInterpretation") not in _GREY and modality in _GREY_MODALITIES:
        found.append(Finding(reason=Reason.COLOUR, tags=("PhotometricInterpretation", "Modality")))
    if capture and modality in _SHOWS_FACES:
        found.append(Finding(reason=Reason.SCREEN_CAPTURE, tags=("SOPClassUID", "Modality")))
    return found


def recognisable(header: Dataset, claims: frozenset[str]) -> bool:
    """Whether a face may be seen or rebuilt: CT, MR or PET that covers the head or does not say that it does not, without code 113102."""
    if _word(header, "Modality") not in _SHOWS_FACES or "113102" in claims:
        return False
    part = " ".join(_values(header, "BodyPartExamined"))
    texts = " ".join(v for k in ("SeriesDescription", "StudyDescription", "ProtocolName") for v in _values(header, k)).replace("_", " ")
    if _HEAD.search(part.replace("_", " ")) or _HEAD.search(texts):
        return True
    return not (_NOT_HEAD.search(part) or _NOT_HEAD.search(texts))
