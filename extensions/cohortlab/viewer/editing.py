"""Labels under the brush: those that lay over the image, and the strokes that came from the browser, slice by slice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cohortlab.errors import InvalidInputError
from cohortlab.store.contracts import Segment
from cohortlab.viewer.answers import TooLargeError
from cohortlab.viewer.gateway import Gateway
from cohortlab.viewer.slices import Series, read_label_slice, volume_shape

_MOST_VOXELS = 2**31
_MOST_SEGMENT = 65_535


@dataclass
class Edits:
    """Labels on the grid of an image. Strokes are kept as bits and laid over what was there when the labels are asked for."""

    image: Series
    label: Series | None
    strokes: dict[tuple[int, int], bytes] = field(default_factory=dict)

    @classmethod
    def over(cls, gateway: Gateway, series: str, label: str) -> "Edits":
        """Of an image and the segmentation over it ("" for none), both ``dataset/series``."""
        return cls(gateway.series(*series.split("/")), gateway.series(*label.split("/")) if label else None)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The image's voxels (z, y, x)."""
        return volume_shape(self.image.attributes, 0)

    def stroke(self, content: Mapping[str, Any], bits: bytes) -> None:
        """Take a segment's mask of one slice: `content` has segment, index and shape, `bits` the mask row by row, the first pixel highest.

        Raises `InvalidInputError` when that does not fit the image.
        """
        segment, index, shape = content.get("segment"), content.get("index"), content.get("shape")
        depth, rows, columns = self.shape
        fits = (
            isinstance(segment, int)
            and 0 < segment <= _MOST_SEGMENT
            and isinstance(index, int)
            and 0 <= index < depth
            and shape == [rows, columns]
            and len(bits) == -(-rows * columns // 8)
        )
        if not fits or not isinstance(segment, int) or not isinstance(index, int):
            raise InvalidInputError("This stroke does not fit the image.")
        self.strokes.pop((segment, index), None)  # the last stroke wins where segments meet
        self.strokes[segment, index] = bits

    def values(self) -> npt.NDArray[np.uint16]:
        """The labels, (z, y, x), or (y, x) for a projection. Raises `TooLargeError` for an image that has too many voxels."""
        depth, rows, columns = self.shape
        if depth * rows * columns > _MOST_VOXELS:
            raise TooLargeError("The labels of this image do not fit into memory.")
        found = np.zeros(self.shape, dtype=np.uint16)
        if self.label is not None:
            for index in range(depth):
                found[index] = read_label_slice(self.label, self.image, "z", index)
        for (segment, index), bits in self.strokes.items():
            mask = np.unpackbits(np.frombuffer(bits, np.uint8), count=rows * columns).reshape(rows, columns).astype(bool)
            plane = found[index]
            plane[(plane == segment) & ~mask] = 0
            plane[mask] = segment
        return found if "z" in self.image.attributes.dims else found[0]

    def segments(self) -> list[Segment]:
        """What the labels' numbers mean: the segmentation's own words, else the number."""
        known = {one.number: one for one in self.label.attributes.segments} if self.label is not None else {}
        numbers = sorted({*known, *(segment for segment, _ in self.strokes)})
        return [known.get(number, Segment(number=number, label=f"Segment {number}")) for number in numbers]
