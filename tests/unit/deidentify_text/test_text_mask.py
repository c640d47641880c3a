"""Region rules: what a file may hold, what matches, and that nothing of a blanked place is left."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cohortlab.deidentify.text.mask import Rules, blank, load_rules
from cohortlab.deidentify.text.pixels import Frames, blanked, decoded
from cohortlab.deidentify.text.verdict import Box
from cohortlab.errors import InvalidInputError, NotFoundError

RULE = {
    "name": "logiq-e9-banner",
    "match": {"manufacturer": "GE*", "model": "LOGIQ E9", "sop_class": "1.2.840.10008.5.1.4.1.1.6.1", "rows": 40, "columns": 60},
    "regions": [{"x": 0, "y": 0, "width": 60, "height": 8}],
}
YAML = """
rules:
  - name: logiq-e9-banner
    match: {manufacturer: "GE*", model: "LOGIQ E9", sop_class: 1.2.840.10008.5.1.4.1.1.6.1, rows: 40, columns: 60}
    regions: [{x: 0, y: 0, width: 60, height: 8}]
"""


def ultrasound(frames=1, colour=True, **values):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.Manufacturer, made.ManufacturerModelName, made.SOPClassUID = "GE Healthcare", "LOGIQ E9", "1.2.840.10008.5.1.4.1.1.6.1"
    made.SOPInstanceUID, made.Modality = "2.25.1", "US"
    shape = (frames, 40, 60, 3) if colour else (frames, 40, 60)
    pixels = np.random.default_rng(7).integers(20, 250, shape).astype(np.uint8)
    made.set_pixel_data(pixels[0] if frames == 1 else pixels, "RGB" if colour else "MONOCHROME2", 8, generate_instance_uid=False)
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_rules_of_a_file(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(YAML)
    assert load_rules(file) == Rules.model_validate({"rules": [RULE]})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("rules: [{}]", "rules.0.name"),
        (YAML.replace("width: 60", "width: 61"), "rules.0"),
        (YAML.replace("x: 0", "x: -1"), "rules.0.regions.0.x"),
        (YAML.replace("height: 8", "height: 0"), "rules.0.regions.0.height"),
        (YAML.replace("rows: 40, ", ""), "rules.0.match.rows"),
        (YAML.replace("manufacturer", "maker"), "rules.0.match.manufacturer"),
        (YAML + YAML.split("rules:")[1], "rules"),
        ("regions: []", "regions"),
        ("[1, 2]", "file"),
    ],
)
def test_a_wrong_file_is_refused_with_the_error_s_place(tmp_path, text, place):
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        load_rules(file)
    assert place in str(caught.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(NotFoundError):
        load_rules(tmp_path / "absent.yaml")
    file = tmp_path / "rules.yaml"
    file.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(InvalidInputError):
        load_rules(file)


@pytest.mark.parametrize(
    ("change", "matches"),
    [
        ({}, True),
        ({"Manufacturer": "ge vingmed"}, True),
        ({"Manufacturer": "Philips"}, False),
        ({"ManufacturerModelName": "LOGIQ E10"}, False),
        ({"ManufacturerModelName": None}, False),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1"}, False),
        ({"Rows": 41}, False),
        ({"Columns": 61}, False),
    ],
)
def test_what_a_rule_is_for(change, matches):
    found = Rules.model_validate({"rules": [RULE]}).find(ultrasound(**change))
    assert (found is not None) is matches


boxes = st.builds(Box, st.integers(0, 30), st.integers(0, 30), st.integers(1, 40), st.integers(1, 40))


dtypes = st.sampled_from([np.uint8, np.uint16, np.int16, np.float32])


@given(st.lists(boxes, min_size=1, max_size=4), dtypes, st.booleans(), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_nothing_of_a_blanked_place_is_left(regions, dtype, colour, seed):
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 200, (40, 44, 3) if colour else (40, 44)).astype(dtype)
    other = frame.copy()
    inside = np.zeros((40, 44), dtype=bool)
    for box in regions:
        inside[box.y : box.y + box.height, box.x : box.x + box.width] = True
    other[inside] = rng.integers(0, 200, other[inside].shape)
    before = frame.copy()
    done = blank(frame, regions)
    assert np.array_equal(done, blank(other, regions))  # what was there changes nothing
    assert np.array_equal(done[~inside], frame[~inside])
    assert np.array_equal(frame, before)
    assert done.dtype == frame.dtype
    assert len(np.unique(done[inside])) <= 1


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("colour", [True, False])
def test_an_object_written_again(frames, colour):
    source = ultrasound(frames, colour)
    before = source.PixelData
    regions = [Box(0, 0, 60, 8), Box(50, 30, 10, 10)]
    result = blanked(source, regions)
    assert source.PixelData == before
    assert result.SOPInstanceUID == source.SOPInstanceUID
    assert result.get("NumberOfFrames") == source.get("NumberOfFrames")
    for number in range(frames):
        assert np.array_equal(decoded(result, number), blank(decoded(source, number), regions))


def test_pixels_that_cannot_be_decoded_are_named_without_their_values():
    broken = ultrasound()
    broken.PixelData = b"secret"
    for call in (lambda: decoded(broken, 0), lambda: blanked(broken, [Box(0, 0, 1, 1)])):
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_frames_are_decoded_one_by_one():
    frames = Frames(ultrasound(3), 3)
    assert [frame.shape for frame in frames] == [(40, 60, 3)] * 3
    with pytest.raises(IndexError):
        frames[3]
