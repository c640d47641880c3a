"""Pictures without text are accepted, marks that belong on them too; known regions are masked."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from burned_writing import fan, letters, seeded
from pydicom import dcmread

from cohortlab.deidentify.text import CLEANED, Rules, TextReason, check_series, check_text, masked
from cohortlab.deidentify.text.pixels import decoded
from cohortlab.deidentify.text.reader import reader
from cohortlab.deidentify.text.triage import Marks

US = "1.2.840.10008.5.1.4.1.1.6.1"


def read_one(path):
    return check_text(dcmread(path))


def test_film_mammograms_are_accepted_with_their_lead_letters(views_of_breasts):
    """Eight views with LCC, RMLO and the like on them, whole, cut and aslant, read by a pool of processes."""
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1), get_context("spawn")) as pool:
        verdicts = list(pool.map(read_one, views_of_breasts))
    assert [(v.reasons, v.found) for v in verdicts] == [((), ())] * 8
    assert all(v.looked == v.frames == 1 for v in verdicts)
    assert sum(v.markers > 0 for v in verdicts) >= 6


def test_slices_of_a_head_phantom_are_accepted(test_data):
    """The third from below has a texture that reads as two letters in one picture of it, and as others in the next."""
    series = sorted((dcmread(path) for path in (test_data / "ct-head-phantom").iterdir()), key=lambda d: d.ImagePositionPatient[2])
    verdict = check_series([series[0], series[2], series[40], series[139]], key=b"key of the gate")
    assert (verdict.reasons, verdict.found) == ((), ())
    assert (verdict.looked, verdict.frames) == (4, 4)


@pytest.mark.parametrize(("folder", "numbers"), [("5.000000-t2tsecor-*", (0, 9)), ("6.000000-ep2ddifftraDYNDIST-*", (5, 11, 45))])
def test_prostates_are_accepted(test_data, folder, numbers):
    """The forty-sixth of the diffusion series is a word in several pictures when the whole frame is taken for a line of writing."""
    (place,) = test_data.glob(f"prostatex/*/*/{folder}")
    files = sorted(place.iterdir())
    verdict = check_series([dcmread(files[number]) for number in numbers], key=b"key of the gate")
    assert (verdict.reasons, verdict.found) == ((), ())
    assert verdict.looked == len(numbers)


@pytest.mark.parametrize("name", ["localizer", "reference-scout"])
def test_scouts_have_no_text(test_data, name):
    (path,) = (test_data / "ct-exam-summary").glob(f"{name}*")
    assert reader().read(decoded(dcmread(path), 0)).found == ()


@pytest.mark.parametrize("name", ["693_J2KI", "J2K_pixelrep_mismatch", "JPEG2000", "examples_overlay"])
def test_packaged_pictures_without_text(packaged, name):
    assert reader().read(decoded(packaged(name), 0)).found == ()


@pytest.mark.parametrize(("text", "allowed"), [("RMLO", True), ("L CC", True), ("RCC SMITH", False), ("JANE DOE", False)])
def test_marks_of_projections(text, allowed):
    """On a smooth ground, so that nothing but the mark decides."""
    picture = np.full((900, 700), 200, dtype=np.uint16)
    cover = letters(text, 60, "aileron-bold")
    picture[200 : 200 + cover.shape[0], 80 : 80 + cover.shape[1]][cover > 0.5] = 3000
    reading = reader().read(picture, Marks.PROJECTION)
    assert (reading.found == ()) is allowed
    assert (reading.markers > 0) is allowed


def test_no_pixels_no_reading(packaged):
    verdict = check_text(packaged("liver_1frame"))
    assert verdict.accepted
    assert verdict.looked == 0


def test_pixels_that_cannot_be_decoded_are_refused(head, as_object):
    broken = as_object([head])
    broken.PixelData = b"\0\1"
    verdict = check_text(broken)
    assert verdict.reasons == (TextReason.UNREADABLE,)


def banner(height=16):
    """A clip of two frames with a name in its upper left corner, which is (12, 14), and the place that covers it."""
    frame = fan(seeded("banner"), 300, 400)
    cover = letters("KOWALSKI ANNA 54Y F", height, "opencv")
    frame[12 : 12 + cover.shape[0], 14 : 14 + cover.shape[1]][cover > 0.5] = (255, 230, 90)
    return np.stack([frame, frame]), {"x": 0, "y": 0, "width": 400, "height": 24 + cover.shape[0]}


def rules(region, **match):
    described = {"manufacturer": "Acme*", "rows": 300, "columns": 400, **match}
    return Rules.model_validate({"rules": [{"name": "acme-banner", "match": described, "regions": [region]}]})


def test_known_regions_are_masked_and_read_again(as_object):
    frames, region = banner()
    clip = as_object(frames, "US", US, Manufacturer="Acme Medical")
    assert check_text(clip).reasons == (TextReason.FOUND,)
    assert check_text(clip, None, rules(region, manufacturer="Other")).reasons == (TextReason.FOUND,)

    verdict = check_text(clip, None, rules(region))
    assert verdict.accepted
    assert (verdict.rule, verdict.codes, verdict.looked) == ("acme-banner", (CLEANED,), 2)
    (clean,) = masked([clip], verdict)
    assert check_text(clean).accepted
    for number in range(2):
        before, after = decoded(clip, number), decoded(clean, number)
        rows = region["height"]
        assert len(np.unique(after[:rows])) == 1
        assert np.array_equal(after[rows:], before[rows:])

    small = check_text(clip, None, rules({**region, "width": 120}))
    assert small.reasons == (TextReason.LEFT_AFTER_MASK,)
    assert small.codes == ()


def test_a_rule_for_a_part_of_a_series_is_no_rule(as_object):
    frames, region = banner()
    series = [as_object(frames[:1], "US", US, Manufacturer=maker) for maker in ("Acme Medical", "Other")]
    verdict = check_series(series, rules(region), key=b"")
    assert verdict.reasons == (TextReason.FOUND,)
    assert verdict.masked == ()
    assert masked(series, verdict) == series
