"""What a person may ask to see, told apart by what it can do: each becomes voxels over z, y, x and, where it is told, their place.

Libraries are never imported for their types: a MetaTensor is what has an affine and can be detached, an image of SimpleITK what has a
direction. Axes are turned to this package's order (z, y, x; MONAI and SimpleITK call them x, y, z) and places to DICOM's patient system
(L, P, S; MONAI uses R, A, S). A place that nobody told is not made up: such an array is shown plane by plane, without letters.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cohortlab.errors import InvalidInputError
from cohortlab.store.contracts import Axis, Segment, SeriesAttributes, SeriesDigests
from cohortlab.viewer.arrays import coarse_shape, digest_of, new_id, register, slab_depth

_PLANE, _VOLUME, _SERIES = 2, 3, 4
_SAMPLES = ("red", "green", "blue")
_KINDS = ("int8", "uint8", "int16", "uint16", "float32")
_MOST_LABEL = 65_535
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_AXES = frozenset({"b_value", "echo_time", "time", "temporal_position", "segment", "channel", "acquisition", "optical_path"})
_WHAT = (
    'Give a series (cl.open("dataset")[0], its DataArray, or "dataset/series"), an array of NumPy, xarray, Zarr, Dask or PyTorch, '
    "a MetaTensor, an image of SimpleITK, or the pydicom datasets of one series."
)

type Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Given:
    """An array to show. `read` gives slices [start, stop) along z, at index `lead` of the axis before z, as (n, y, x).

    shape: of `dims`, which are ``y, x`` or ``z, y, x``, before them ``t`` or ``c``; with `samples` ``c`` is red, green, blue. `affine` maps
    index (z, y, x, 1) to patient (L, P, S, 1) in mm; `spacing` is mm a voxel along the axes of space, None where it is not known.
    """

    shape: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: "np.dtype[Any]"
    read: Callable[[tuple[int, ...], int, int], npt.NDArray[Any]]
    affine: Matrix | None = None
    spacing: tuple[float | None, ...] = ()
    axis: Axis | None = None
    samples: bool = False
    about: SeriesAttributes | None = None
    known: Mapping[str, Any] | None = None


def given(what: Any) -> Given:
    """The array that `what` is. Raises `InvalidInputError` saying what can be shown."""
    for fits, take in _SORTS:
        if fits(what):
            return take(what)
    raise InvalidInputError("This cannot be shown.", hint=_WHAT)


def placed(array: Given, affine: Any, spacing: Sequence[float] | None) -> Given:
    """`array` with the place or the voxel size that a person gave with it. Raises `InvalidInputError` when they do not fit."""
    space = sum(name in "zyx" for name in array.dims)
    if affine is not None:
        matrix = np.asarray(affine, dtype=np.float64)
        usable = matrix.shape == (4, 4) and np.isfinite(matrix).all() and abs(np.linalg.det(matrix[:3, :3])) > 0 and space == _VOLUME
        if not usable:
            raise InvalidInputError("affine is 4 x 4: index (z, y, x, 1) to patient (L, P, S, 1) in mm, for arrays over z, y, x.")
        array = replace(array, affine=matrix)
    if spacing is not None:
        if len(spacing) != space or not all(0 < gap < float("inf") for gap in spacing):
            raise InvalidInputError(f"spacing is {space} numbers above 0, mm a voxel along {', '.join(array.dims[-space:])}.")
        array = replace(array, spacing=tuple(float(gap) for gap in spacing), affine=array.affine if affine is not None else None)
    return array


def show(array: Given) -> str:
    """Register an image for the viewer; its series id. Raises `TooLargeError`, `StorageError`."""
    name = array.dtype.name if array.dtype.name in _KINDS else "uint8" if array.dtype.kind == "b" else "float32"
    attributes = _attributes(array, np.dtype(name), "image")
    register().add(attributes, _slabs(array, np.dtype(name)))
    return attributes.id


def show_labels(array: Given, image: SeriesAttributes, names: Mapping[int, str] | None = None) -> str:
    """Register labels that lie on the grid of `image`; their series id.

    Raises `InvalidInputError` when the array is no label array, or its shape is not the image's and it has no place of its own.
    """
    space = tuple(size for name, size in zip(image.dims, image.shape, strict=True) if name in "zyx")
    if array.dims not in {("z", "y", "x"), ("y", "x")}:
        raise InvalidInputError("Labels are one array over z, y, x with a number for each segment.")
    if array.shape != space and (array.affine is None or image.affine is None):
        raise InvalidInputError(
            f"The labels have the shape {array.shape}, the image {space}.", hint="Give both an affine, or the same shape."
        )
    if array.shape == space:
        array = replace(array, affine=None if image.affine is None else np.asarray(image.affine), spacing=image.spacing)
    found: set[int] = set()

    def checked() -> Iterator[npt.NDArray[Any]]:
        for slab in _slabs(array, None):
            if slab.dtype.kind == "f" and not np.array_equal(slab, np.round(slab)):
                raise InvalidInputError("Labels are whole numbers.")
            numbers = np.unique(slab)
            if numbers.size and not (numbers[0] >= 0 and numbers[-1] <= _MOST_LABEL):
                raise InvalidInputError(f"Labels are numbers from 0 to {_MOST_LABEL}.")
            found.update(int(number) for number in numbers if number)
            yield slab.astype(np.uint16)

    attributes = _attributes(array, np.dtype("uint16"), "segmentation")
    attributes = attributes.model_copy(
        update={"regular": image.regular, "irregular_reason": image.irregular_reason, "slices": image.slices}
    )

    def named() -> SeriesAttributes:
        words = names or {}
        segments = tuple(Segment(number=number, label=words.get(number, str(number))) for number in sorted(found))
        return attributes.model_copy(update={"segments": segments})

    register().add(attributes, checked(), described=named)
    return attributes.id


def _attributes(array: Given, dtype: "np.dtype[Any]", kind: Literal["image", "segmentation"]) -> SeriesAttributes:
    series = new_id()
    coarse = coarse_shape(array.shape)
    fields: dict[str, Any] = {
        "id": series,
        "kind": kind,
        "modality": "SEG" if kind == "segmentation" else "OT",
        "dims": array.dims,
        "shape": array.shape,
        "dtype": dtype.name,
        "levels": (array.shape,) if coarse == array.shape else (array.shape, coarse),
        "affine": None if array.affine is None else tuple(tuple(float(v) for v in row) for row in array.affine),
        "spacing": array.spacing or (None,) * sum(name in "zyx" for name in array.dims),
        "regular": True,
        "axis": array.axis,
        "samples": _SAMPLES if array.samples else (),
        "photometric": "RGB" if array.samples else None,
        "patient_id": "",
        "study_uid": "",
        "series_uid": "",
        "sop_class_uid": "",
        "instances": 1,
        "deidentification": {},
        "digests": SeriesDigests(pixels=digest_of(series), source=digest_of(series)),
    }
    about = array.about
    if about is not None and kind == "image":
        kept = ("modality", "units", "window", "photometric", "body_part", "laterality", "view", "description", "rescale", "regular",
                "irregular_reason", "slices", "positions")  # fmt: skip
        fields |= {name: getattr(about, name) for name in kept}
    elif array.known:
        fields |= {name: array.known[name] for name in ("modality", "units", "photometric") if array.known.get(name)}
        if array.known.get("window"):
            fields["window"] = tuple(float(value) for value in array.known["window"])
    return SeriesAttributes(**fields)


def _slabs(array: Given, dtype: "np.dtype[Any] | None") -> Iterator[npt.NDArray[Any]]:
    """The array in parts of some slices, in C order, each (n, y, x)."""
    lead = array.shape[:-_VOLUME] if "z" in array.dims else array.shape[:-_PLANE]
    depth = array.shape[-_VOLUME] if "z" in array.dims else 1
    step = slab_depth(array.shape, array.dtype.itemsize)
    for index in np.ndindex(*lead):
        for start in range(0, depth, step):
            part = array.read(index, start, min(start + step, depth))
            yield part if dtype is None else part.astype(dtype, copy=False)


def _of(values: Any, *, dims: tuple[str, ...] = (), axis: Axis | None = None, affine: Matrix | None = None, colour: bool = True) -> Given:
    """An array that can be sliced, of 2 to 4 dimensions in the order (t or c,) z, y, x; in `colour` where the last one is 3 or 4 bytes."""
    shape = tuple(int(size) for size in values.shape)
    dtype = np.dtype(values.dtype)
    if dtype.kind not in "biuf" or not _PLANE <= len(shape) <= _SERIES + 1 or 0 in shape:
        raise InvalidInputError(
            f"An array of type {dtype} and shape {shape} cannot be shown.",
            hint="Give whole or real numbers over y, x; z, y, x; or t, z, y, x.",
        )
    if colour and not dims and axis is None and dtype == np.uint8 and len(shape) > _PLANE and shape[-1] in {3, 4}:
        return _colour(values, shape)
    if len(shape) > _SERIES:
        raise InvalidInputError(f"An array of shape {shape} has too many dimensions to be shown.", hint="Choose one: x[0].")
    dims = dims or ("t", "z", "y", "x")[-len(shape) :]
    if dims[0] in "tc" and axis is None:
        axis = Axis(name="acquisition", values=tuple(map(float, range(shape[0]))))

    def read(lead: tuple[int, ...], start: int, stop: int) -> npt.NDArray[Any]:
        if "z" in dims:
            return _numpy(values[(*lead, slice(start, stop))])
        return _numpy(values[lead] if lead else values[...])[None]

    return Given(shape, dims, dtype, read, axis=axis, affine=affine)


def _colour(values: Any, shape: tuple[int, ...]) -> Given:
    if len(shape) > _SERIES:
        raise InvalidInputError("A colour array is y, x, 3 or z, y, x, 3.", hint="Choose one: x[0].")
    volume = len(shape) == _SERIES

    def read(lead: tuple[int, ...], start: int, stop: int) -> npt.NDArray[Any]:
        part = _numpy(values[start:stop] if volume else values[...])
        return part[..., lead[0]] if volume else part[None, ..., lead[0]]

    dims = ("c", "z", "y", "x") if volume else ("c", "y", "x")
    return Given((3, *shape[:-1]), dims, np.dtype(np.uint8), read, samples=True)


def _numpy(values: Any) -> npt.NDArray[Any]:
    """Values as NumPy's, from a graphics card too."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if hasattr(values, "compute"):
        values = values.compute()
    if hasattr(values, "get") and not isinstance(values, np.ndarray):
        values = values.get()
    return np.asarray(values)


def _tensor(values: Any) -> Given:
    return _of(_numpy(values))


def _meta_tensor(values: Any) -> Given:
    """A MetaTensor of MONAI: channels first, then x, y, z; its affine maps those to R, A, S, or to L, P, S where its meta says so."""
    array, matrix = _numpy(values), np.asarray(_numpy(values.affine), dtype=np.float64)
    if matrix.shape != (4, 4):
        return _of(array[0].T if array.ndim == _VOLUME and len(array) == 1 else array.T)
    if array.ndim == _SERIES + 1 and len(array) == 1:  # a batch of one
        array = array[0]
    if array.ndim == _SERIES and len(array) == 1:
        array = array[0]
    if array.ndim not in {_VOLUME, _SERIES}:
        raise InvalidInputError(f"A MetaTensor of shape {tuple(array.shape)} cannot be shown.", hint="Choose one of the batch: x[0].")
    space = str(getattr(values, "meta", {}).get("space", "RAS")).rsplit(".", 1)[-1].upper()
    if space not in {"RAS", "LPS"}:
        raise InvalidInputError("The MetaTensor's space is neither RAS nor LPS.", hint="Set meta['space'].")
    patient = matrix if space == "LPS" else _RAS_TO_LPS @ matrix
    axes = (0, 3, 2, 1) if array.ndim == _SERIES else (2, 1, 0)
    channel = Axis(name="channel", values=tuple(map(float, range(len(array))))) if array.ndim == _SERIES else None
    return _of(np.transpose(array, axes), affine=patient[:, [2, 1, 0, 3]], axis=channel)


def _simpleitk(image: Any) -> Given:
    """An image of SimpleITK: x, y, z in L, P, S; its array is z, y, x already."""
    import SimpleITK  # noqa: PLC0415 - whoever has an image of it has it

    values = SimpleITK.GetArrayViewFromImage(image)
    count, gaps = image.GetDimension(), tuple(reversed(image.GetSpacing()))
    parts = image.GetNumberOfComponentsPerPixel()
    if parts > 1 and values.dtype != np.uint8:
        values = np.moveaxis(values, -1, 0)
    if count != _VOLUME:
        made = _of(values)
        return replace(made, spacing=gaps[-sum(name in "zyx" for name in made.dims) :])
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(image.GetDirection()).reshape(3, 3) * np.asarray(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    made = _of(values)
    return replace(made, affine=matrix[:, [2, 1, 0, 3]])


def _pydicom(datasets: Any) -> Given:
    """The instances of one series, read as the store reads them."""
    from cohortlab.store.describe import describe  # noqa: PLC0415 - only here is pydicom needed
    from cohortlab.store.pixels import FrameSource, OutOfRangeError, rescale_of  # noqa: PLC0415 - as above
    from cohortlab.store.series import group  # noqa: PLC0415 - as above

    groups = group(datasets if isinstance(datasets, Sequence) else [datasets])
    if len(groups) != 1:
        raise InvalidInputError(f"These datasets are of {len(groups)} series.", hint="Show those of one, by their SeriesInstanceUID.")
    found, rescale = groups[0], rescale_of(groups[0])
    if str(found.datasets[0].get("PhotometricInterpretation", "")) not in {"MONOCHROME1", "MONOCHROME2"}:
        return _of(np.stack([one.pixel_array for one in found.datasets]) if len(found.datasets) > 1 else found.datasets[0].pixel_array)
    for dtype in ("<i2", "<i4"):
        source = FrameSource(found, rescale, np.dtype(dtype) if rescale is not None and rescale.applied else None, lambda: None)
        try:
            about = describe(found, source.shape, source.dtype, rescale, {})
            parts = [source.read(lead, 0, source.shape[len(lead)]) for lead in np.ndindex(*source.shape[:-_VOLUME])]
        except OutOfRangeError:
            continue
        values = np.stack(parts).reshape(source.shape)
        affine = None if about.affine is None else np.asarray(about.affine)
        made = _of(values, dims=about.dims, axis=about.axis, affine=affine, colour=False)
        return replace(made, spacing=about.spacing, about=about)
    raise InvalidInputError("The values of this series do not fit into 32 bits.")


def _xarray(image: Any) -> Given:
    """A DataArray: z, y, x last where it has dimensions of these names; the place from its coordinates, when it comes from a dataset."""
    space = [name for name in ("z", "y", "x") if name in image.dims]
    if {"y", "x"} <= set(space):
        image = image.transpose(*(name for name in image.dims if name not in space), *space)
    if "sample" in image.dims and image.dtype == np.uint8:
        return _of(image.transpose(..., "sample").data)
    lead = str(image.dims[0]) if len(image.dims) == _SERIES else ""
    axis = None
    if lead in _AXES and lead in image.coords and np.issubdtype(image[lead].dtype, np.number):
        axis = Axis.model_validate({"name": lead, "values": tuple(float(value) for value in image[lead].values)})
    made = _of(image.variable, axis=axis, colour=False)
    known = image.attrs.get("cohortlab")
    known = known if isinstance(known, Mapping) and known.get("dtype") == image.dtype.name else None
    affine, spacing = _from_coordinates(image)
    return replace(made, affine=affine, spacing=spacing, known=known)


def _from_coordinates(image: Any) -> tuple[Matrix | None, tuple[float | None, ...]]:
    """Affine and spacing of a DataArray from its coordinates in mm.

    Coordinates of a dataset's series are distances from the patient's origin along the image's own axes (`plane_coordinates`): with the
    directions of the affine that it was opened with they say where the voxels are, also of a part, every second or turned ones.
    """
    names = [name for name in ("z", "y", "x") if name in image.dims] or list(image.dims[-_VOLUME:])
    base = image.attrs.get("affine")
    steps: list[float | None] = []
    for name in names:
        values = np.asarray(image[name].values) if name in image.coords else np.empty(0)
        gaps = np.diff(values.astype(np.float64)) if values.dtype.kind in "iuf" else np.empty(0)
        even = gaps.size > 0 and gaps[0] != 0 and np.allclose(gaps, gaps[0], rtol=0.05, atol=0)
        steps.append(float(gaps[0]) if even else None)
    spacing = tuple(None if step is None else abs(step) for step in steps)
    about = image.attrs.get("cohortlab")
    patient = isinstance(about, Mapping) and about.get("space") == "patient" and about.get("regular") is True
    if not patient or names != ["z", "y", "x"] or not all(name in image.coords for name in names) or np.shape(base) != (4, 4):
        return None, spacing
    matrix = np.asarray(base, dtype=np.float64)
    column, row = (matrix[:3, axis] / np.linalg.norm(matrix[:3, axis]) for axis in (1, 2))
    normal = np.cross(row, column)
    directions = (normal, column, row)
    affine = np.eye(4)
    for axis, (name, direction) in enumerate(zip(names, directions, strict=True)):
        step = steps[axis]
        if step is None:
            if image.sizes[name] > 1:
                return None, spacing
            step = float(np.linalg.norm(matrix[:3, axis]))
        affine[:3, axis] = direction * step
        affine[:3, 3] += direction * float(image[name].values[0])
    return affine, spacing


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda what: all(hasattr(what, name) for name in names)


def _is_dicom(what: Any) -> bool:
    return hasattr(what, "SOPClassUID") or (
        isinstance(what, Sequence) and len(what) > 0 and all(hasattr(one, "SOPClassUID") for one in what)
    )


_SORTS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Given]], ...] = (
    (_has("dims", "coords", "variable"), _xarray),
    (_has("affine", "detach", "meta"), _meta_tensor),
    (_has("detach", "cpu"), _tensor),
    (_has("GetDirection", "GetSpacing", "GetOrigin"), _simpleitk),
    (_is_dicom, _pydicom),
    (_has("shape", "dtype", "__getitem__"), _of),
)
