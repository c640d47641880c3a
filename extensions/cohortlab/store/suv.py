"""Standardised uptake values of PET by body weight, computed from the header alone and never guessed.

After the vendor-neutral pseudo-code of the QIBA FDG-PET/CT profile (qibawiki, "Standardized Uptake Value (SUV)"), for decay-corrected
images in Bq/ml: SUVbw = value * weight * 1000 / dose, where the dose is decayed from its administration to the moment that the images
are corrected to (DecayCorrection START), or not at all (ADMIN). That moment is the series' time unless this is after the acquisition, as
later processing writes it; then it is computed back from the frame's own times. What is missing is named instead.
"""

import math
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

from pydicom import Dataset

from cohortlab.store.contracts import Suv

_TIME: Final = re.compile(r"(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6}))?")
_DATETIME: Final = re.compile(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)")
_DAY: Final = timedelta(days=1)
_LONGEST: Final = 86_400.0  # seconds from administration to scan: more is a header that is wrong


class _Missing(Exception):  # noqa: N818 - no error: it carries the reason to the one place that returns it
    """Why there is no factor."""


def suv_of(datasets: Sequence[Dataset]) -> Suv:
    """The factor from the values of a PET series (after rescale) to SUVbw in g/ml, or the reason why there is none."""
    try:
        return Suv(bw=_factor(datasets))
    except _Missing as missing:
        return Suv(reason=str(missing))


def _factor(datasets: Sequence[Dataset]) -> float:
    first = datasets[0]
    units = str(first.get("Units") or "")
    if units == "GML":
        if str(first.get("SUVType") or "BW") != "BW":
            raise _Missing("Units are g/ml of another SUV than by body weight")
        return 1.0
    if units != "BQML":
        raise _Missing(f"Units are {units if units.isalnum() else 'not given'}, not BQML")
    corrected = first.get("CorrectedImage") or ()
    corrected = [corrected] if isinstance(corrected, str) else list(corrected)
    missing = [name for name in ("ATTN", "DECY") if name not in corrected]
    if missing:
        raise _Missing(f"CorrectedImage lacks {' and '.join(missing)}")
    items = first.get("RadiopharmaceuticalInformationSequence") or []
    if len(items) != 1:
        raise _Missing("RadiopharmaceuticalInformationSequence does not hold exactly one radiopharmaceutical")
    dose = _positive(items[0], "RadionuclideTotalDose")
    weight = _positive(first, "PatientWeight")
    correction = str(first.get("DecayCorrection") or "")
    if correction == "ADMIN":
        return weight * 1000 / dose
    if correction != "START":
        raise _Missing("DecayCorrection is neither START nor ADMIN")
    half_life = _positive(items[0], "RadionuclideHalfLife")
    seconds = _since_administration(items[0], _corrected_to(datasets, half_life))
    return weight * 1000 / (dose * 2 ** (-seconds / half_life))


def _positive(dataset: Dataset, keyword: str) -> float:
    try:
        value = float(dataset.get(keyword))
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        raise _Missing(f"{keyword} is not given")
    return value


def _corrected_to(datasets: Sequence[Dataset], half_life: float) -> datetime:
    """The moment that all images of the series are decay-corrected to."""
    series = _moment(datasets[0], "Series")
    acquired = [moment for d in datasets if (moment := _moment(d, "Acquisition")) is not None]
    if not acquired:
        raise _Missing("AcquisitionDate and AcquisitionTime are not given")
    if series is not None and series <= min(acquired):
        return series
    back = {_back_computed(d, half_life) for d in datasets}
    known = sorted(moment for moment in back if moment is not None)
    if not known or len(back) != len(known):
        raise _Missing("SeriesTime is after the acquisition, and FrameReferenceTime or ActualFrameDuration is not given")
    if known[-1] - known[0] > timedelta(seconds=1):
        raise _Missing("the frames' times do not agree on one moment of decay correction")
    return known[0]


def _back_computed(dataset: Dataset, half_life: float) -> datetime | None:
    """Acquisition time - FrameReferenceTime + when, within the frame, the count rate is its average."""
    acquired = _moment(dataset, "Acquisition")
    try:
        reference, duration = (float(dataset.get(k)) / 1000 for k in ("FrameReferenceTime", "ActualFrameDuration"))
    except (TypeError, ValueError):
        return None
    if acquired is None or not (reference > 0 and duration > 0):
        return None
    decayed = math.log(2) / half_life * duration
    average = duration / decayed * math.log(decayed / (1 - math.exp(-decayed)))
    return acquired - timedelta(seconds=reference) + timedelta(seconds=average)


def _since_administration(item: Dataset, scan: datetime) -> float:
    """Seconds from the administration to `scan`; a time without a date is the last such time before the scan."""
    found = _DATETIME.match(str(item.get("RadiopharmaceuticalStartDateTime") or ""))
    start = _join(found[1], found[2]) if found else None
    if start is None:
        moment = _time(str(item.get("RadiopharmaceuticalStartTime") or ""))
        if moment is None:
            raise _Missing("RadiopharmaceuticalStartDateTime and RadiopharmaceuticalStartTime are not given")
        start = datetime.combine(scan.date(), moment)
        if start > scan:
            start -= _DAY
    seconds = (scan - start).total_seconds()
    if not 0 <= seconds <= _LONGEST:
        raise _Missing("the administration is after the scan or more than a day before it")
    return seconds


def _moment(dataset: Dataset, which: str) -> datetime | None:
    return _join(str(dataset.get(f"{which}Date") or ""), str(dataset.get(f"{which}Time") or ""))


def _join(day: str, moment: str) -> datetime | None:
    at = _time(moment)
    try:
        on = date(int(day[:4]), int(day[4:6]), int(day[6:8])) if len(day) == 8 else None  # noqa: PLR2004 - YYYYMMDD
    except ValueError:
        return None
    return datetime.combine(on, at) if on is not None and at is not None else None


def _time(text: str) -> time | None:
    """A TM value (PS3.5 6.2); parts that are not given are 0."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    try:
        return time(int(hour), int(minute or 0), min(int(second or 0), 59), int((fraction or "0").ljust(6, "0")))
    except ValueError:
        return None
