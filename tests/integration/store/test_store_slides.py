"""Whole-slide microscopy through the store: JPEG tiles byte for byte, other tiles decoded, levels in their place on the slide."""

import copy
from contextlib import closing

import highdicom
import numpy as np
import pydicom
import pytest
import xarray as xr
import zarr
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array
from store_helpers import write

from cohortlab.errors import InvalidInputError
from cohortlab.store import Store, verify_store
from cohortlab.store.jpeg import decode, plain
from cohortlab.store.tiles import shard_file
from slide_samples import slide


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """A real colour image (pydicom's ultrasound example), as tissue: (230, 310, 3)."""
    return pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm")).pixel_array[:230, :310].copy()


def made(tmp_path, key, datasets, name="slides"):
    store = Store.open(write(tmp_path, name, datasets, key), [key.public])
    return store, store[0]


def tiles_of(dataset):
    return list(generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))


def test_jpeg_tiles_are_kept_byte_for_byte_and_read_as_pydicom_decodes_them(pixels, tmp_path, key):
    levels = [slide(pixels, 1), slide(pixels[::2, ::2].copy(), 2, factor=2), slide(pixels[::4, ::4].copy(), 3, factor=4)]
    store, ref = made(tmp_path, key, levels[::-1])
    assert ref.levels == [(3, 230, 310), (3, 115, 155), (3, 58, 78)]
    assert ref.attributes.tiles.encoding == "jpeg"
    for number, level in enumerate(levels):
        data = shard_file(ref.path, number, (0, 0, 0)).read_bytes()
        assert all(tile.rstrip(b"\0") in data for tile in tiles_of(level))
        whole = ref.array(number)[:]
        across = -(-whole.shape[2] // 64)
        for index, frame in enumerate(pixel_array(level)):
            row, column = index // across * 64, index % across * 64
            ours = whole[:, row : row + 64, column : column + 64]
            theirs = np.moveaxis(frame, -1, 0)[:, : ours.shape[1], : ours.shape[2]]
            assert np.abs(ours.astype(int) - theirs).max() <= 2  # two JPEG decoders may round differently
    assert verify_store(store.path, [key.public]).ok
    image = ref.open(1)
    assert image.dims == ("sample", "y", "x")
    assert image.sample.values.tolist() == ["red", "green", "blue"]
    assert (image.values == ref.array(1)[:]).all()


def test_a_plain_zarr_reader_and_xarray_open_jpeg_tiles(pixels, tmp_path, key):
    _, ref = made(tmp_path, key, [slide(pixels, 1)])
    expected = ref.array()[:]
    assert (zarr.open_group(ref.path, mode="r")["scale0/image"][:] == expected).all()
    assert (xr.open_zarr(ref.path / "scale0", chunks=None)["image"].values == expected).all()
    assert (zarr.open_array(ref.path / "scale0/image", mode="r")[:, 60:70, 120:140] == expected[:, 60:70, 120:140]).all()


def test_every_level_lies_where_highdicom_puts_it_on_the_slide(pixels, tmp_path, key):
    levels = [slide(pixels, 1), slide(pixels[::2, ::2].copy(), 2, factor=2)]
    _, ref = made(tmp_path, key, levels)
    for number, level in enumerate(levels):
        there = highdicom.spatial.PixelToReferenceTransformer.for_image(level, for_total_pixel_matrix=True)
        _, rows, columns = ref.levels[number]
        for y, x in ((0, 0), (rows - 1, 0), (rows - 1, columns - 1), (17, 5)):
            ours = (ref.affine(number) @ [0, y, x, 1])[:3]
            assert np.abs(ours - there(np.array([[x, y]]))[0]).max() < 1e-6
    first, second = ref.open(0), ref.open(1)
    assert float(second.x[0]) == pytest.approx(float(first.x[:2].mean()), abs=1e-9)  # a coarse pixel's centre is that of those it spans


@pytest.mark.parametrize("compress", [True, False])
def test_a_sparse_slide_has_its_tiles_in_place_and_nothing_between(pixels, tmp_path, key, compress):
    keep = [0, 7, 13]
    full = slide(pixels, 1, compress=compress)
    sparse = slide(pixels, 1, keep=keep, compress=compress)
    _, whole = made(tmp_path, key, [full], "full")
    store, ref = made(tmp_path, key, [sparse], "sparse")
    ours, theirs = ref.array()[:], whole.array()[:]
    for index in range(20):
        row, column = index // 5 * 64, index % 5 * 64
        where = (slice(None), slice(row, row + 64), slice(column, column + 64))
        expected = theirs[where] if index in keep else np.full_like(theirs[where], 255)
        assert (ours[where] == expected).all()
    assert verify_store(store.path, [key.public]).ok


def test_tiles_that_are_no_jpeg_are_decoded_without_loss(pixels, tmp_path, key):
    store, ref = made(tmp_path, key, [slide(pixels, 1, compress=False)])
    assert (ref.array()[:] == np.moveaxis(pixels, -1, 0)).all()
    assert ref.attributes.tiles.encoding == "array"
    assert verify_store(store.path, [key.public]).ok


@pytest.mark.parametrize("name", ["sm_image", "sm_image_jpegls", "sm_image_jpegls_nobot", "sm_image_dots", "sm_image_grayscale"])
def test_a_real_slide_is_what_highdicom_reads(test_data, tmp_path, key, name):
    dataset = pydicom.dcmread(test_data / "small" / f"{name}.dcm")
    store, ref = made(tmp_path, key, [dataset])
    image = highdicom.Image.from_dataset(dataset)
    with closing(image._db_con):  # its own index, which it leaves open
        theirs = image.get_total_pixel_matrix(apply_icc_profile=False)
    assert (np.moveaxis(ref.array()[:], 0, -1).squeeze() == theirs).all()
    assert verify_store(store.path, [key.public]).ok


def test_a_concatenation_is_one_level(pixels, tmp_path, key):
    whole = slide(pixels, 1)
    parts = []
    for number, frames in enumerate((range(8), range(8, 20)), 1):
        part = copy.deepcopy(whole)
        part.SOPInstanceUID = f"2.25.7.{number}"
        part.NumberOfFrames = len(frames)
        part.InConcatenationNumber, part.InConcatenationTotalNumber = number, 2
        part.ConcatenationFrameOffsetNumber = frames[0]
        part.PixelData = pydicom.encaps.encapsulate([tiles_of(whole)[i] for i in frames])
        parts.append(part)
    _, ref = made(tmp_path, key, parts, "parts")
    _, one = made(tmp_path, key, [whole], "one")
    assert ref.attributes.digests == one.attributes.digests


def test_a_comment_in_a_tile_does_not_come_along(pixels, tmp_path, key):
    dataset = slide(pixels, 1, comment=b"scanned for Erika Mustermann")
    clean = slide(pixels, 1)
    _, ref = made(tmp_path, key, [dataset])
    assert not any(b"Mustermann" in file.read_bytes() for file in ref.path.rglob("*") if file.is_file())
    _, other = made(tmp_path, key, [clean], "clean")
    assert ref.attributes.digests.pixels == other.attributes.digests.pixels


def test_what_follows_a_tiles_end_does_not_come_along(pixels):
    tile = tiles_of(slide(pixels, 1))[0]
    assert plain(tile + b"Erika Mustermann") == plain(tile)
    assert (decode(plain(tile), "YBR_FULL_422") == decode(tile, "YBR_FULL_422")).all()


def test_a_single_flipped_bit_in_a_tile_is_found(pixels, tmp_path, key):
    store, ref = made(tmp_path, key, [slide(pixels, 1)])
    file = shard_file(ref.path, 0, (0, 0, 0))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    assert not verify_store(store.path, [key.public]).ok


def test_a_writer_that_goes_on_keeps_a_whole_slide(pixels, tmp_path, key):
    _, ref = made(tmp_path, key, [slide(pixels, 1)])
    assert len(ref.headers()) == 20
    assert ref.headers()[0]["header"] is not None


def spoil(dataset, what):
    if what == "label":
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    elif what == "planes":
        dataset.TotalPixelMatrixFocalPlanes = 3
    elif what == "frames":
        dataset.TotalPixelMatrixRows = 640
    elif what == "tile":
        end = dataset.PixelData.index(b"\xff\xd9")
        dataset.PixelData = dataset.PixelData[:end] + b"\0\0" + dataset.PixelData[end + 2 :]
    elif what == "size":
        small = tiles_of(slide(dataset.pixel_array[0], 2, tile=32))[0]
        dataset.PixelData = pydicom.encaps.encapsulate([small, *tiles_of(dataset)[1:]])
    elif what == "nowhere":
        del dataset.TotalPixelMatrixOriginSequence
    return dataset


@pytest.mark.parametrize(
    ("what", "why"),
    [("label", "label or overview"), ("planes", "focal planes"), ("frames", "frame for each tile"), ("nowhere", "where it lies")],
)
def test_what_is_no_pyramid_is_refused(pixels, tmp_path, key, what, why):
    with pytest.raises(InvalidInputError, match=why):
        made(tmp_path, key, [spoil(slide(pixels, 1), what)])
    assert not (tmp_path / "slides" / "1.0.0").exists()


def test_a_tile_beside_the_grid_is_refused(pixels, tmp_path, key):
    dataset = slide(pixels, 1, keep=[0, 1])
    dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSlideSequence[0].ColumnPositionInTotalImagePixelMatrix = 60
    with pytest.raises(InvalidInputError, match="grid"):
        made(tmp_path, key, [dataset])


@pytest.mark.parametrize("what", ["tile", "size"])
def test_a_broken_tile_is_refused(pixels, tmp_path, key, what):
    with pytest.raises(InvalidInputError, match="A tile of a slide"):
        made(tmp_path, key, [spoil(slide(pixels, 1), what)])
