"""Writing on the pixels, as the gate asks: who looks, what is refused, what is blanked, and what the record says."""

import numpy as np
import pytest
from deidentify_objects import ct_slice
from PIL import Image, ImageDraw, ImageFont

from cohortlab.deidentify import Options, Profile, Pseudonyms, Reason, verify, writing
from cohortlab.deidentify.codes import code_item
from cohortlab.deidentify.rules import CODES
from cohortlab.deidentify.text import sample
from cohortlab.errors import InvalidInputError

SC, WORDS = "1.2.840.10008.5.1.4.1.1.7", "QUXWORTH ZEBEDEE"
PROFILE = Profile(Pseudonyms(b"s" * 32, "lesions"))
RULES = """
rules:
  - name: scanner-banner
    match: {{manufacturer: "SIEMENS", rows: 200, columns: 400}}
    regions: [{{x: 0, y: 0, width: 400, height: {height}}}]
"""


def capture(words, **changes):
    """A de-identified secondary capture of 200 rows and 400 columns with `words` written on top."""
    picture = Image.new("L", (400, 200), 20)
    if words:
        ImageDraw.Draw(picture).text((12, 8), words, fill=255, font=ImageFont.load_default(28))
    source = ct_slice(SOPClassUID=SC, Modality="OT", Rows=200, Columns=400, **changes)
    source.file_meta.MediaStorageSOPClassUID = SC
    source.PixelData = np.asarray(picture).astype("<u2").tobytes()
    return PROFILE.apply(source)[0]


def options(tmp_path, **changes):
    return Options(key=tmp_path / "gate.key", **changes)


def test_a_picture_without_text_is_read_and_accepted(tmp_path):
    one = capture("")
    found = writing.look([one], options(tmp_path), b"k")
    assert (found.data_sets, found.how, found.findings) == ([one], writing.READER, ())


def test_a_name_on_the_picture_is_refused_without_being_told(tmp_path):
    found = writing.look([capture(WORDS)], options(tmp_path), b"k")
    assert found.data_sets == []
    (finding,) = found.findings
    assert finding.reason is Reason.TEXT_FOUND
    assert "column" in finding.detail
    assert "quxworth" not in finding.model_dump_json().lower()


@pytest.mark.parametrize(("height", "fine"), [(60, True), (2, False)])
def test_a_region_rule_blanks_and_is_read_again(tmp_path, height, fine):
    (tmp_path / "regions.yaml").write_text(RULES.format(height=height))
    one = capture(WORDS)
    found = writing.look([one], options(tmp_path, regions=tmp_path / "regions.yaml"), b"k")
    if not fine:
        assert [f.reason for f in found.findings] == [Reason.TEXT_LEFT]
        return
    assert found.how == writing.BLANKED
    (made,) = found.data_sets
    assert verify(made) == []
    assert "113101" in {str(code.CodeValue) for code in made.DeidentificationMethodCodeSequence}
    assert not (made.pixel_array[:height] != made.pixel_array[:height].flat[0]).any()
    assert (made.pixel_array[height:] == one.pixel_array[height:]).all()
    assert "113101" not in {str(code.CodeValue) for code in one.DeidentificationMethodCodeSequence}


def plain_slices(count, written, **changes):
    """De-identified CT slices of 200 rows and 400 columns, those of the numbers in `written` with a name on them."""
    made = []
    for number in range(count):
        picture = Image.new("L", (400, 200), 20)
        if number in written:
            ImageDraw.Draw(picture).text((12, 8), WORDS, fill=255, font=ImageFont.load_default(28))
        source = ct_slice(Rows=200, Columns=400, InstanceNumber=number + 1, **changes)
        source.PixelData = np.asarray(picture).astype("<u2").tobytes()
        made.append(PROFILE.apply(source)[0])
    return made


def test_a_sample_of_plain_slices_is_read(tmp_path):
    found = writing.look(plain_slices(9, {8}), options(tmp_path), b"k")
    assert [f.reason for f in found.findings] == [Reason.TEXT_FOUND]
    assert "of image 9," in found.findings[0].detail


def test_where_the_source_says_that_pixels_were_cleaned_few_are_read(tmp_path):
    """First, middle and last of nine are among them, and a finding tells the slice's place in the series, not in the sample."""
    claimed = plain_slices(9, {8})
    for one in claimed:
        one.DeidentificationMethodCodeSequence.append(code_item("113101", CODES["113101"]))
    found = writing.look(claimed, options(tmp_path), b"k")
    assert "of image 9," in found.findings[0].detail
    unseen = set(range(9)) - set(sample(9, b"k", most=4))
    for number in unseen:
        claimed[number].PixelData = plain_slices(1, {0})[0].PixelData
    claimed[8].PixelData = claimed[0].PixelData
    assert len(unseen) == 5
    assert writing.look(claimed, options(tmp_path), b"k").how == writing.READER


def test_a_person_stands_for_the_reader_where_all_frames_are_looked_at(tmp_path):
    found = writing.look([capture(WORDS)], options(tmp_path, pixels_checked=True), b"k")
    assert (found.how, found.findings) == (writing.PERSON, ())
    plain = PROFILE.apply(ct_slice())[0]
    assert writing.look([plain], options(tmp_path, pixels_checked=True), b"k").how == writing.READER


def test_computed_images_show_nobody(tmp_path):
    assert writing.look([capture(WORDS)], options(tmp_path, synthetic=True), b"k").how == writing.COMPUTED


def test_rules_that_are_none(tmp_path):
    (tmp_path / "regions.yaml").write_text("rules: [{name: x}]")
    with pytest.raises(InvalidInputError):
        writing.look([capture("")], options(tmp_path, regions=tmp_path / "regions.yaml"), b"k")
