"""The command `cohortlab samples`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from cohortlab.errors import InvalidInputError
from cohortlab.samples.cohort import DEFAULT_SIZE, SMALLEST, Patient, write_ct, write_mr

_LARGEST = 1024


def samples(
    folder: Annotated[Path, typer.Argument(help="Where the DICOM files go, a folder a patient.")],
    patients: Annotated[int, typer.Option(min=1, max=9999, help="How many patients, each with a CT, an MR and their segmentations.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=9999, help="Another seed gives other patients; the same seed the same files.")] = 1,
    size: Annotated[str, typer.Option(help="Slices x rows x columns of each volume.")] = "x".join(map(str, DEFAULT_SIZE)),
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write generated CT-like and MR-like images with a lesion and its segmentation, as DICOM. They show no person.

    They carry no PS3.15 codes: ingest them with `cohortlab ingest FOLDER --deidentify --synthetic`.
    """
    shape = _size(size)
    jobs = [(patient, name) for patient in range(1, patients + 1) for name in ("ct", "mr")]
    files = 0
    shown = (
        track(jobs, description="generating", console=Console(stderr=True), transient=True) if sys.stderr.isatty() and not as_json else jobs
    )
    for number, name in shown:
        write = write_ct if name == "ct" else write_mr
        files += len(write(folder / f"patient-{number:03d}" / name, Patient(number, seed), shape))
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "patients": patients, "files": files, "size": shape}))
    else:
        typer.echo(f"{files} DICOM files of {patients} generated patients: {folder}")


def _size(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):  # noqa: PLR2004  three axes
        raise InvalidInputError("Not a size.", hint="Write slices x rows x columns, such as 64x192x192.")
    slices, rows, columns = (int(part) for part in parts)
    if not all(SMALLEST <= n <= _LARGEST for n in (slices, rows, columns)):
        raise InvalidInputError("Not a size that can be made.", hint=f"Each number is from {SMALLEST} to {_LARGEST}.")
    return slices, rows, columns
