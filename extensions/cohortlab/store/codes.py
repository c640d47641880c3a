"""What the parts of a segmentation are: their codes and colours, from a SEG's SegmentSequence."""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from cohortlab.store.contracts import Code, Segment


def code_of(item: Dataset | None) -> Code | None:
    """A code sequence item (PS3.3 8.8)."""
    if item is None:
        return None
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue")
    return (
        Code(value=str(value), scheme=str(item.get("CodingSchemeDesignator", "")), meaning=str(item.get("CodeMeaning", "")))
        if value
        else None
    )


def segment_of(item: Dataset) -> Segment:
    """One item of the SegmentSequence."""
    sequences = {
        "category": item.get("SegmentedPropertyCategoryCodeSequence"),
        "type": item.get("SegmentedPropertyTypeCodeSequence"),
        "region": item.get("AnatomicRegionSequence"),
    }
    codes = {name: code for name, sequence in sequences.items() if sequence and (code := code_of(sequence[0])) is not None}
    colour = item.get("RecommendedDisplayCIELabValue")
    return Segment(
        number=int(item.SegmentNumber),
        label=str(item.get("SegmentLabel") or f"segment {item.SegmentNumber}"),
        color=cielab_to_rgb([int(v) for v in colour]) if colour else None,
        codes=codes,
        algorithm=str(item.SegmentAlgorithmType) if item.get("SegmentAlgorithmType") else None,
    )


def cielab_to_rgb(scaled: Sequence[int]) -> tuple[int, int, int]:
    """RecommendedDisplayCIELabValue (0..65535 scaled as PS3.3 C.10.7.1.1) to sRGB 0..255, by way of XYZ (D65, CIE 15)."""
    lightness, a, b = scaled[0] * 100 / 65535, scaled[1] * 255 / 65535 - 128, scaled[2] * 255 / 65535 - 128
    fy = (lightness + 16) / 116
    parts = np.asarray([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(parts > 6 / 29, parts**3, 3 * (6 / 29) ** 2 * (parts - 4 / 29)) * [0.95047, 1.0, 1.08883]
    to_rgb = np.asarray([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    linear = np.clip(to_rgb @ xyz, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # noqa: PLR2004 - IEC 61966-2-1
    red, green, blue = (round(v * 255) for v in encoded.tolist())
    return red, green, blue
