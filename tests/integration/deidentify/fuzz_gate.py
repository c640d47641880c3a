"""Mutated DICOM files against the gate and the reader: typed errors only, bounded memory, no hang. Also a script.

    python tests/integration/deidentify/fuzz_gate.py --cases 10000 [--first N] [--data FOLDER] [--json]

Case N is made from the number N alone, so that a finding can be looked at again. Each case is a whole `ingest` and, when something was
accepted, a whole read of the store. `--data` adds the files of a folder to what is mutated. Exit code 1 when there was a finding.
"""

import argparse
import json
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from cohortlab.deidentify.gate import ingest
from cohortlab.deidentify.report import Options
from cohortlab.errors import InvalidInputError
from cohortlab.keys import create_key
from cohortlab.samples import Patient, write_ct
from cohortlab.store import Store

SECONDS: Final = 30
"""The most processor time that one case may take, in seconds: other work on the machine does not count."""

WAITING: Final = 600
"""The longest that one case may take in all, in seconds, so that one that waits for nothing is found too."""

MEMORY: Final = 2**31
"""The most resident memory, in bytes, that the process may come to need."""

ADDRESSES: Final = 12 * 2**30
"""Address space, so that an allocation without bound fails instead of taking the machine down."""

_HOSTILE: Final = (0, 1, 2, 7, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_DIMENSIONS: Final = ("Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel",
                      "PixelRepresentation", "PlanarConfiguration")  # fmt: skip
_SIZES: Final = (0, 1, 3, 255, 32767, 65535)
_FRAMES: Final = ("0", "-1", "2", "65536", "2147483647", "999999999999", "nan", "1e9")
_TEXTS: Final = ("", "\\" * 2000, "nan", "inf", "-1e400", "1e308\\1e308", "9" * 64, "x\\y", "0\\0\\0\\0\\0\\0", "\0\1\2", "1.2.3")


class HangError(BaseException):
    """A case took more than `SECONDS` or `WAITING`; no `except Exception` may swallow it."""


@dataclass
class Outcome:
    """What a run of cases came to."""

    cases: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0
    peak: int = 0


def _encoded(data_set: Dataset, syntax: UID) -> bytes:
    buffer = BytesIO()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set["PixelData"].VR = "OW"
    dcmwrite(
        buffer,
        data_set,
        enforce_file_format=True,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    return buffer.getvalue()


def _enhanced(slices: list[Dataset]) -> Dataset:
    """An enhanced multi-frame CT of some slices (PS3.3 A.38)."""
    made = dcmread(BytesIO(_encoded(slices[0], ExplicitVRLittleEndian)))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    orientation, measures, shared, frames = Dataset(), Dataset(), Dataset(), []
    orientation.ImageOrientationPatient = made.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = made.PixelSpacing, "1.5"
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    for one in slices:
        place, frame = Dataset(), Dataset()
        place.ImagePositionPatient = one.ImagePositionPatient
        frame.PlanePositionSequence = [place]
        frames.append(frame)
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], frames
    made.NumberOfFrames = len(frames)
    made.PixelData = b"".join(one.PixelData for one in slices)
    return made


class Fuzz:
    """The seeds, and a folder to work in."""

    def __init__(self, folder: Path, data: Path | None = None) -> None:
        self.folder = folder
        self.key = folder / "gate.key"
        create_key(self.key)
        written = write_ct(folder / "ct", Patient(1, 5), (16, 24, 24))
        self.images, segmentation = written[:-1], written[-1]
        slices = [dcmread(path) for path in self.images]
        for one in slices:  # something nested in each
            item, inner = Dataset(), Dataset()
            inner.CodeValue, inner.CodingSchemeDesignator, inner.CodeMeaning = "121311", "DCM", "Localizer"
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.SOPClassUID, "1.2.3"
            item.PurposeOfReferenceCodeSequence = [inner]
            one.SourceImageSequence = [item, item]
        rle, many = dcmread(self.images[0]), _enhanced(slices[:4])
        rle.compress(RLELossless)
        many_rle = _enhanced(slices[:4])
        many_rle.compress(RLELossless)
        self.seeds = [
            *(_encoded(slices[0], s) for s in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)),
            *(self._written(d) for d in (rle, many, many_rle)),
        ]
        slices[0].PixelData = slices[0].PixelData[::-1]
        self.seeds.append(_encoded(slices[0], ExplicitVRBigEndian))
        self.segmentation = segmentation.read_bytes()
        self.bombs = list(self._bombs(_encoded(slices[1], ExplicitVRLittleEndian)))
        if data is not None:
            self.seeds += [
                p.read_bytes() for p in sorted(data.rglob("*")) if p.is_file() and p.stat().st_size < 2**21 and p.suffix == ".dcm"
            ]

    @staticmethod
    def _written(data_set: Dataset) -> bytes:
        buffer = BytesIO()
        dcmwrite(buffer, data_set, enforce_file_format=True)
        return buffer.getvalue()

    @staticmethod
    def _bombs(whole: bytes) -> Iterator[bytes]:
        """Deflated files that unpack to two gigabytes: zeros in the pixels, zeros behind the end, an end that never comes."""
        meta_end = 144 + struct.unpack_from("<I", whole, 140)[0]
        meta = whole[:meta_end].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
        meta = meta[:140] + struct.pack("<I", len(meta) - 144) + meta[144:]
        at = meta.index(b"1.2.840.10008.1.2.1.99") - 2
        meta = meta[:at] + struct.pack("<H", 22) + meta[at + 2 :]
        pixels = whole.index(b"\xe0\x7f\x10\x00OW")
        for head in (whole[meta_end:pixels] + b"\xe0\x7f\x10\x00OW\0\0\0\0\0\x80", whole[meta_end:]):
            pack = zlib.compressobj(9, wbits=-15)
            packed = pack.compress(head) + pack.flush(zlib.Z_FULL_FLUSH)
            zeros = pack.compress(bytes(2**24)) + pack.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before it, so it may be repeated
            yield meta + packed + 128 * zeros
            yield meta + packed + 128 * zeros + pack.flush()

    def case(self, number: int) -> tuple[bytes, bool]:
        """The bytes of case `number`, and whether they stand for a segmentation that needs its image."""
        rng = random.Random(number)  # noqa: S311  nothing secret
        if rng.random() < 1 / 250:
            return rng.choice(self.bombs), False
        segmentation = rng.random() < 1 / 12
        data = self.segmentation if segmentation else rng.choice(self.seeds)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = rng.choice(MUTATIONS)(data, rng)
        return data, segmentation

    def run(self, number: int) -> str:
        """Ingest one case and read what was accepted; how it ended, in a word. Raises what should not be raised."""
        data, segmentation = self.case(number)
        source, stores = self.folder / "case", self.folder / "stores"
        for place in (source, stores):
            shutil.rmtree(place, ignore_errors=True)
        source.mkdir()
        (source / "x.dcm").write_bytes(data)
        sources = [source, self.folder / "ct"] if segmentation else [source]
        if segmentation:
            self._without_segmentation()
        try:
            report = ingest(sources, "fuzz", stores, Options(key=self.key, deidentify=True, pixels_checked=True))
        except InvalidInputError as error:
            return error.code
        if report.path is None or report.manifest is None:
            return next(f.reason.value for o in report.refused for f in o.findings)
        read_all(Store.open(report.path, [create_key(self.key).public]))
        return "accepted" if not report.refused else "partly accepted"

    def _without_segmentation(self) -> None:
        for path in (self.folder / "ct").iterdir():
            if path not in self.images:
                path.unlink()


def read_all(store: Store) -> None:
    """Read all of a store that a reader can ask for."""
    for ref in [*store, *store.segmentations]:
        ref.headers()
        for level in range(len(ref.levels)):
            ref.open(level).to_numpy()


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 16, 200))
    filling = rng.choice((rng.randbytes(length), b"\xff" * length, bytes(length), b"\\" * length))
    return data[:start] + filling + data[start + length :]


def _length(data: bytes, rng: random.Random) -> bytes:
    """A hostile length where an element's length is likely: behind letters that look like a VR, or anywhere."""
    places = [i for i in range(132, max(132, len(data) - 12)) if data[i : i + 2] in _VRS] if rng.random() < 0.9 else []
    at = rng.choice(places) + rng.choice((2, 2, 6)) if places else rng.randrange(len(data) + 1)
    form = rng.choice(("<H", "<I"))
    value = rng.choice(_HOSTILE) & (0xFFFF if form == "<H" else 0xFFFFFFFF)
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


_VRS: Final = frozenset(b"AE AS CS DA DS DT IS LO LT OB OW PN SH SQ ST TM UI UL UN US UT".split())


def _representation(data: bytes, rng: random.Random) -> bytes:
    places = [i for i in range(132, max(132, len(data) - 12)) if data[i : i + 2] in _VRS]
    if not places:
        return data
    at = rng.choice(places)
    return data[:at] + rng.choice(sorted(_VRS)) + data[at + 2 :]


def _splice(data: bytes, rng: random.Random) -> bytes:
    one, other = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return rng.choice(
        (data[:one] + data[other:], data[:other] + data[one:], data + data[one:other], data + rng.randbytes(rng.randrange(1, 64)))
    )


def _parsed(change: Callable[[Dataset, random.Random], None]) -> Callable[[bytes, random.Random], bytes]:
    """A mutation of values, of a file that is then written properly again; other mutations may have broken it already."""

    def mutation(data: bytes, rng: random.Random) -> bytes:
        buffer = BytesIO()
        try:
            if len(data) > 2**22:
                return data
            data_set = dcmread(BytesIO(data))
            change(data_set, rng)
            dcmwrite(buffer, data_set)
        except Exception:  # noqa: BLE001  what cannot be parsed or written is mutated as bytes
            return _flip(data, rng)
        return buffer.getvalue()

    return mutation


def _dimensions(data_set: Dataset, rng: random.Random) -> None:
    for keyword in rng.sample(_DIMENSIONS, rng.choice((1, 2, 3))):
        setattr(data_set, keyword, rng.choice(_FRAMES) if keyword == "NumberOfFrames" else rng.choice(_SIZES))


def _value(data_set: Dataset, rng: random.Random) -> None:
    holders = [data_set, *(item for element in data_set if element.VR == "SQ" for item in element.value)]
    holder = rng.choice(holders)
    tag = rng.choice(list(holder.keys()))
    if rng.random() < 0.3:
        del holder[tag]
    elif holder[tag].VR not in {"SQ", "OB", "OW"}:
        holder[tag]._value = rng.choice(_TEXTS)


def _nest(data_set: Dataset, rng: random.Random) -> None:
    inner = Dataset()
    for _ in range(rng.choice((10, 13, 14, 40, 120))):
        outer = Dataset()
        outer.SourceImageSequence = [inner]
        outer["SourceImageSequence"].is_undefined_length = inner.is_undefined_length_sequence_item = rng.random() < 0.5
        inner = outer
    data_set.SourceImageSequence = [inner]


def _deep(data: bytes, rng: random.Random) -> bytes:
    """Sequences that open and never close, thousands deep."""
    at = rng.randrange(132, max(133, len(data)))
    return data[:at] + b"\x08\x00\x12\x21SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * rng.choice((40, 5000)) + data[at:]


MUTATIONS: Final = (_truncate, _flip, _flip, _overwrite, _length, _length, _representation, _splice, _deep, _parsed(_dimensions),
                    _parsed(_dimensions), _parsed(_value), _parsed(_value), _parsed(_nest))  # fmt: skip


@contextmanager
def limits() -> Iterator[None]:
    """A case inside is interrupted by `HangError` after `SECONDS` of processor time, or `WAITING` by the clock."""

    def hang(_number: int, _frame: object) -> None:
        raise HangError

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, SECONDS), (signal.SIGALRM, signal.ITIMER_REAL, WAITING))
    before = [signal.signal(number, hang) for number, _, _ in timers]
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def peak() -> int:
    """The most resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run(first: int, cases: int, one: Callable[[int], str], said: Callable[[str], object]) -> Outcome:
    """Run the cases `first` to `first + cases`, and collect what must not be."""
    outcome = Outcome()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    for number in range(first, first + cases):
        started, before = time.process_time(), peak()
        try:
            with limits(), warnings.catch_warnings(action="ignore"):
                end = one(number)
        except HangError:
            end = "hang"
            outcome.findings.append(
                f"case {number}: more than {SECONDS} s of processor time, or {WAITING} s\n{traceback.format_exc(limit=-4)}"
            )
        except Exception as error:  # noqa: BLE001  that is what is looked for
            end = type(error).__name__
            outcome.findings.append(f"case {number}: {type(error).__name__}\n{traceback.format_exc(limit=-4)[:2000]}")
        if peak() > MEMORY >= before:
            outcome.findings.append(f"case {number}: {peak() >> 20} MiB of memory")
        outcome.ends[end] += 1
        outcome.cases += 1
        outcome.slowest = max(outcome.slowest, time.process_time() - started)
        if outcome.cases % 500 == 0:
            said(f"{outcome.cases} of {cases} cases, {len(outcome.findings)} findings, {peak() >> 20} MiB")
    outcome.peak = peak()
    return outcome


def script(make: Callable[[Path, Path | None], Callable[[int], str]], description: str | None) -> None:
    """The command line of both fuzz scripts."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        outcome = run(asked.first, asked.cases, make(Path(folder), asked.data), lambda text: sys.stderr.write(f"{text}\n"))
        seconds = time.monotonic() - started
    lines = [*outcome.findings, *(f"{count:7d} {end}" for end, count in outcome.ends.most_common())]
    summary = f"{outcome.cases} cases, {len(outcome.findings)} findings, {seconds:.0f} s"
    lines.append(f"{summary}, slowest {outcome.slowest:.1f} s, {outcome.peak >> 20} MiB of memory")
    sys.stdout.write(json.dumps(vars(outcome)) if asked.json else "\n".join(lines) + "\n")
    raise SystemExit(bool(outcome.findings))


if __name__ == "__main__":
    script(lambda folder, data: Fuzz(folder, data).run, __doc__)
