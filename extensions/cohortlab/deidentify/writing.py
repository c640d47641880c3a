"""Writing on the pixels, as the gate asks about it: who has to look, what is refused, what is blanked and coded 113101."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from cohortlab.deidentify.codes import code_item
from cohortlab.deidentify.report import Finding, Options, Reason
from cohortlab.deidentify.rules import CODES, PIXEL_CLAIMS

if TYPE_CHECKING:
    from cohortlab.deidentify.text import Rules, TextVerdict

COMPUTED: Final = "computed images: nobody is on them"
PERSON: Final = "checked by a person"
READER: Final = "read for text"
BLANKED: Final = "regions blanked, then read for text"
CLEANED: Final = PIXEL_CLAIMS[0]
NONE: Final = "no pixels that people write on"
_MOST_BOXES: Final = 5
_FEW: Final = 4


@dataclass(frozen=True)
class Pixels:
    """`data_sets`: what may be stored, regions blanked. `how`: one of the words above, for the record. `findings`: why it may not."""

    data_sets: list[Dataset]
    how: str
    findings: tuple[Finding, ...] = ()


def look(data_sets: list[Dataset], options: Options, key: bytes) -> Pixels:
    """Look at the pixels of a series whose headers were de-identified and verified.

    Of plain CT, MR, PET and nuclear medicine a sample is read, a small one where the source says that its pixels were cleaned (113101);
    everything else whole. `options.pixels_checked` stands for the reader only where all frames have to be looked at, for there a person
    can have done so. key: secret that picks the sample.
    """
    from cohortlab.deidentify import text  # noqa: PLC0415  seconds and a hundred megabytes, which a run that refuses all can do without

    if options.synthetic:
        return Pixels(data_sets, COMPUTED)
    scopes = {text.look(data_set, pixels_checked=True).scope.value for data_set in data_sets}
    if scopes == {"none"}:
        return Pixels(data_sets, NONE)
    if options.pixels_checked and "sample" not in scopes:
        return Pixels(data_sets, PERSON)
    few = scopes == {"sample"} and not options.regions and _says_clean(data_sets[0])
    numbers = text.sample(len(data_sets), key, most=_FEW) if few else tuple(range(len(data_sets)))
    verdict = text.check_series([data_sets[number] for number in numbers], _rules(options), key=key, pixels_checked=True)
    if not verdict.accepted:
        return Pixels([], READER, tuple(_findings(verdict, numbers)))
    blanked = [_coded(data_set, verdict.codes) for data_set in text.masked(data_sets, verdict)] if verdict.masked else data_sets
    return Pixels(blanked, BLANKED if verdict.masked else READER)


def _says_clean(data_set: Dataset) -> bool:
    return any(str(item.CodeValue) == CLEANED for item in data_set.DeidentificationMethodCodeSequence)


def _rules(options: Options) -> "Rules":
    from cohortlab.deidentify import text  # noqa: PLC0415  as above

    return text.load_rules(options.regions) if options.regions else text.NO_RULES


def _findings(verdict: "TextVerdict", numbers: Sequence[int]) -> list[Finding]:
    """One finding for each reason, with the places of what was read: never what it says. numbers: the places of what was read in it all."""
    places = [
        f"{f.box.width} x {f.box.height} pixels at column {f.box.x}, row {f.box.y} of image {numbers[f.instance] + 1}, frame {f.frame + 1}"
        for f in verdict.found[:_MOST_BOXES]
    ]
    detail = "; ".join(places) + ("; and more" if len(verdict.found) > _MOST_BOXES else "")
    instances = len({f.instance for f in verdict.found}) or 1
    return [Finding(reason=Reason(reason.value), detail=detail if verdict.found else "", instances=instances) for reason in verdict.reasons]


def _coded(data_set: Dataset, codes: Sequence[str]) -> Dataset:
    """Say in (0012,0064) what was done to the pixels besides."""
    there = {str(item.CodeValue) for item in data_set.DeidentificationMethodCodeSequence}
    data_set.DeidentificationMethodCodeSequence = Items([code_item(c, CODES[c]) for c in sorted({*there, *codes})])
    return data_set
