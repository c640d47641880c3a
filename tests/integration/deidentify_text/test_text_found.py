"""Writing on pixels is found: on real pictures, over anatomy of each kind, in all sizes, contrasts and turns. And it goes nowhere."""

import logging
import subprocess
import sys

import numpy as np
import pytest
from burned_writing import TEXTS, fan, letters, seeded, write
from pydicom import dcmread

from cohortlab.deidentify.text import Length, TextReason, check_series, check_text
from cohortlab.deidentify.text.pixels import decoded
from cohortlab.deidentify.text.reader import reader
from cohortlab.deidentify.text.triage import Marks

SIZES, CONTRASTS = (12, 14, 18, 24, 36), ("max", "max", 0.5, 0.3)


def overlaps(written, found):
    (x, y, w, h), box = written.box, found.box
    return x < box.x + box.width and box.x < x + w and y < box.y + box.height and box.y < y + h


@pytest.mark.parametrize("name", ["capture-1", "capture-2"])
def test_exam_summaries_are_refused_by_their_pixels_alone(test_data, as_object, name):
    source = dcmread(test_data / "ct-exam-summary" / name)
    plain = as_object([decoded(source, 0)], "US", "1.2.840.10008.5.1.4.1.1.6.1")
    verdict = check_text(plain)
    assert verdict.reasons == (TextReason.FOUND,)
    assert len(verdict.found) > 10
    assert not check_text(source).accepted


@pytest.mark.parametrize("name", ["examples_rgb_color", "examples_palette", "examples_ybr_color"])
def test_real_ultrasound_is_refused(packaged, name):
    source = packaged(name)
    source.NumberOfFrames = 1
    verdict = check_text(source, [decoded(source, 0)])
    assert TextReason.FOUND in verdict.reasons
    assert verdict.looked == 1


@pytest.mark.parametrize("seed", range(4))
def test_names_over_a_head(head, seed):
    made = write(head, seeded(f"head {seed}"), heights=SIZES, contrasts=CONTRASTS)
    assert any(overlaps(made, found) for found in reader().read(made.picture).found), str(made)


@pytest.mark.parametrize("seed", range(4))
def test_names_over_an_abdomen(abdomen, seed):
    made = write(abdomen, seeded(f"abdomen {seed}"), heights=SIZES, contrasts=CONTRASTS)
    assert any(overlaps(made, found) for found in reader().read(made.picture).found), str(made)


@pytest.mark.parametrize("seed", range(1))
def test_names_over_speckle(seed):
    rng = seeded(f"speckle {seed}")
    made = write(fan(rng), rng, heights=SIZES, contrasts=("max", 0.5))
    assert any(overlaps(made, found) for found in reader().read(made.picture).found), str(made)


def test_a_small_name_on_a_mammogram(views_of_breasts):
    source = dcmread(views_of_breasts[4])
    made = write(decoded(source, 0), seeded("breast"), heights=(12,), contrasts=(0.3,))
    verdict = check_text(source, [made.picture])
    assert verdict.reasons == (TextReason.FOUND,)
    assert any(overlaps(made, found) for found in verdict.found), str(made)


@pytest.mark.parametrize("turned", [lambda a: a, np.rot90, lambda a: np.rot90(a, 2), lambda a: np.rot90(a, 3), np.fliplr, np.flipud])
def test_turned_and_mirrored(head, turned):
    picture = head[100:380, 100:380].copy()
    cover = letters("GARCIA MARIA 1961", 18, "aileron")
    picture[60 : 60 + cover.shape[0], 20 : 20 + cover.shape[1]][cover > 0.5] = head.max()
    assert reader().read(np.ascontiguousarray(turned(picture))).found


@pytest.mark.parametrize(("ink", "dtype"), [(65535, np.uint16), (0, np.uint16), (4095, np.uint16), (1.0, np.float32)])
def test_text_at_either_end_of_the_range(head, ink, dtype):
    """Soft tissue within a few hundred of 65,536 values; text at the greatest or the least. Or one part of a million of a float's range."""
    part = head[100:360, 100:360]
    picture = (part.astype(np.float64) - part.min()) / np.ptp(part)
    picture = (picture * 600 + 1000).astype(dtype) if dtype is np.uint16 else (picture * 1e-6).astype(dtype)
    cover = letters("O'BRIEN P. 54Y", 14, "opencv")
    picture[150 : 150 + cover.shape[0], 40 : 40 + cover.shape[1]][cover > 0.5] = ink
    assert reader().read(picture).found


def test_letters_far_apart_are_a_name_too(abdomen):
    picture = abdomen.copy()
    for number, letter in enumerate("KHMARTEN"):
        cover = letters(letter, 24, "aileron-bold")
        picture[10 : 10 + cover.shape[0], 20 + 55 * number :][:, : cover.shape[1]][cover > 0.5] = abdomen.max()
    reading = reader().read(picture)
    assert reading.found or reading.letters >= 6


def test_a_series_is_refused_and_the_rest_not_read(head, as_object):
    cover = letters("SMITH^JOHN", 16, "aileron")
    picture = head.copy()
    picture[5 : 5 + cover.shape[0], 5 : 5 + cover.shape[1]][cover > 0.5] = head.max()
    verdict = check_series([as_object([picture], InstanceNumber=n) for n in range(30)], key=b"k")
    assert verdict.reasons == (TextReason.FOUND,)
    assert (verdict.frames, verdict.looked) == (30, 3)
    assert [found.instance for found in verdict.found] == sorted(found.instance for found in verdict.found)
    assert {found.length for found in verdict.found} == {Length.WORD}
    assert verdict.codes == ()


def test_only_where_how_sure_and_how_long_comes_out(head, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    cover = letters("ZYLBERSTEIN 1961", 24, "aileron")
    picture = head.copy()
    picture[40 : 40 + cover.shape[0], 60 : 60 + cover.shape[1]][cover > 0.5] = head.max()
    reading = reader().read(picture)
    assert reading.found
    out, err = capfd.readouterr()
    told = repr(reading) + caplog.text + out + err + repr(vars(reader()))
    assert not any(part in told.upper() for part in ("ZYLB", "STEIN", "1961"))
    found = reading.found[0]
    assert abs(found.box.x - 60) < 20
    assert abs(found.box.y - 40) < 20
    assert found.confidence > 0.9


def test_what_is_no_frame():
    for shape in ((4,), (4, 4, 2), (0, 4), (2, 4, 4, 3)):
        with pytest.raises(ValueError, match="rows and columns"):
            reader().read(np.zeros(shape, dtype=np.uint8), Marks.PLANE)


NO_NETWORK = """
import sys
def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request", "http.client.connect"}:
        raise SystemExit(f"network: {event}")
sys.addaudithook(refuse)
import numpy as np
from burned_writing import letters
from cohortlab.deidentify.text.reader import reader
assert reader().read(np.pad(letters("SMITH^JOHN", 20, "aileron"), 60)).found
print("read")
"""


def test_nothing_is_fetched(tmp_path):
    """In a process where asking for an address or connecting is fatal, with a home of its own, so that nothing fetched before can help."""
    place = [p for p in sys.path if p]
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK],
        env={"PYTHONPATH": ":".join(place), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == ("read", 0), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_made_up_texts_differ():
    assert len(set(TEXTS)) == len(TEXTS)
