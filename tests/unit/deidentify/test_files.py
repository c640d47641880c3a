"""Finding and checking files: each way in which a file is not what it says."""

import zlib

import pytest
from deidentify_objects import as_file, ct_slice, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from cohortlab.deidentify import files
from cohortlab.deidentify.files import BrokenFileError
from cohortlab.deidentify.report import Reason
from cohortlab.errors import InvalidInputError, NotFoundError

LIMIT = 2**20
GOOD = as_file(ct_slice())


def judge(path):
    try:
        files.check(path, LIMIT)
    except BrokenFileError as error:
        return error.reason
    return None


def of_bytes(tmp_path, data):
    path = tmp_path / "x.dcm"
    path.write_bytes(data)
    return judge(path)


def nested(undefined):
    data_set, item, inner = ct_slice(), Dataset(), Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    item.PurposeOfReferenceCodeSequence = [inner]
    data_set.SourceImageSequence = [item, Dataset()]
    for sequence in (data_set["SourceImageSequence"], item["PurposeOfReferenceCodeSequence"]):
        sequence.is_undefined_length = undefined
    item.is_undefined_length_sequence_item = inner.is_undefined_length_sequence_item = undefined
    return data_set


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_whole_files_of_each_syntax_are_fine(tmp_path, syntax, undefined):
    data_set = nested(undefined)
    data_set["PixelData"].VR = "OW"
    data_set.file_meta.TransferSyntaxUID = syntax
    assert judge(write(data_set, tmp_path / "x.dcm")) is None


@pytest.mark.parametrize("undefined", [False, True])
def test_a_file_cut_anywhere_is_found(tmp_path, undefined):
    whole = as_file(nested(undefined))
    for end in range(len(whole) - 1, 0, -7):
        assert of_bytes(tmp_path, whole[:end]) in {Reason.TRUNCATED, Reason.UNREADABLE} or _ends_between_elements(whole, end), end


def _ends_between_elements(whole, end):
    """Cut exactly between two elements a file looks whole: it then lacks its pixels, which the verifier and the store find."""
    return b"\xe0\x7f\x10\x00" not in whole[:end]


@pytest.mark.parametrize("extra", [b"Q", b"Quxworth", b"Quxworth^Zebedee" * 10, GOOD, b"\0" * 64])
def test_data_behind_the_end_is_found(tmp_path, extra):
    assert of_bytes(tmp_path, GOOD + extra) == Reason.TRAILING_DATA


def deflated(tail=b"", cut=0, bomb=0):
    data_set = ct_slice()
    data_set.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = as_file(data_set)
    start = whole.index(b"1.2.840.10008.1.2.1.99") + 22
    meta_end = 132 + 12 + int.from_bytes(whole[140:144], "little")
    assert start <= meta_end
    body = zlib.decompressobj(-15).decompress(whole[meta_end:])
    pack = zlib.compressobj(9, wbits=-15)
    packed = pack.compress(body + bytes(bomb)) + pack.flush()
    return whole[:meta_end] + packed[: len(packed) - cut] + tail


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (deflated(), None),
        (deflated(tail=b"\0"), None),
        (deflated(cut=5), Reason.TRUNCATED),
        (deflated(tail=b"Quxworth"), Reason.TRAILING_DATA),
        (deflated(bomb=50), Reason.TRAILING_DATA),
    ],
)
def test_packed_files(tmp_path, data, reason):
    assert of_bytes(tmp_path, data) == reason


def test_a_file_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_MAX_INFLATED", 100)
    assert of_bytes(tmp_path, deflated()) == Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (b"x" * 131, Reason.TRUNCATED),
        (b"x" * 4000, Reason.UNREADABLE),
        (bytes(128) + b"DICM", Reason.UNREADABLE),
        (GOOD[:200].replace(b"UI", b"ZZ") + GOOD[200:], Reason.UNREADABLE),
    ],
)
def test_what_is_no_dicom(tmp_path, data, reason):
    assert of_bytes(tmp_path, data) == reason


def test_a_length_that_the_file_does_not_have(tmp_path):
    at = GOOD.index(b"\xe0\x7f\x10\x00OW") + 8
    assert of_bytes(tmp_path, GOOD[:at] + b"\xfe\xff\xff\x7f" + GOOD[at + 4 :]) == Reason.TRUNCATED


def test_a_disc_index(tmp_path):
    data_set = ct_slice()
    data_set.SOPClassUID = data_set.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    assert judge(write(data_set, tmp_path / "x.dcm")) == Reason.MEDIA_DIRECTORY


def test_a_file_above_the_limit_is_not_read(tmp_path):
    path = tmp_path / "x.dcm"
    with path.open("wb") as file:
        file.truncate(LIMIT + 1)
    assert judge(path) == Reason.TOO_LARGE


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_a_mutated_file_ends_in_a_reason_or_in_a_data_set(tmp_path, place, value, end):
    path = tmp_path / "x.dcm"
    path.write_bytes((GOOD[:place] + bytes([value]) + GOOD[place + 1 :])[: max(end, 1)])
    with files.quiet():
        try:
            files.check(path, LIMIT)
            values = [element.value for element in files.read(path).iterall()]
        except (BrokenFileError, *files.READ_ERRORS) as error:
            refused = error
        else:
            refused = None
    assert refused is not None or values


def test_files_are_found_once_and_in_order(tmp_path):
    for name in ("b/2.dcm", "a/1.dcm", "a/deep/3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(GOOD)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    found = files.find([tmp_path, tmp_path / "a" / "1.dcm"], 10)
    assert [p.relative_to(tmp_path).as_posix() for p in found] == ["a/1.dcm", "a/deep/3", "b/2.dcm"]


def test_too_many_files(tmp_path):
    for number in range(4):
        (tmp_path / str(number)).write_bytes(GOOD)
    with pytest.raises(InvalidInputError, match="more than 3"):
        files.find([tmp_path], 3)


def test_nothing_there(tmp_path):
    with pytest.raises(NotFoundError, match="nothing at"):
        files.find([tmp_path / "no"], 3)


def test_what_the_library_would_unpack_is_bounded_too(tmp_path, monkeypatch):
    """The structure check and the library may understand a broken file otherwise: neither may unpack without bound."""
    monkeypatch.setattr(files, "_MAX_INFLATED", 5000)
    path = tmp_path / "x.dcm"
    path.write_bytes(deflated(bomb=10**6))
    with pytest.raises(BrokenFileError) as caught:
        files.read(path, ["Modality"])
    assert caught.value.reason is Reason.TOO_LARGE
    path.write_bytes(deflated())
    assert files.read(path).Modality == "CT"


def test_an_error_of_the_content_is_none_of_the_disk(tmp_path, monkeypatch):
    def broken(*_arguments, **_options):
        raise OSError("a sequence that does not end")

    monkeypatch.setattr(files, "read_dataset", broken)
    with pytest.raises(BrokenFileError) as caught:
        files.read(write(ct_slice(), tmp_path / "x.dcm"))
    assert caught.value.reason is Reason.UNREADABLE
