"""Where a site's stores are: `<stores>/<dataset id>/<version>/`."""

from pathlib import Path


def _order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Versions in the order of their numbers; a pre-release such as ``1.0.0-rc.1`` comes before its release."""
    release, _, pre = version.partition("-")
    numbers = tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in release.split("."))
    return (*numbers, (0, 0, pre) if pre else (1, 0, ""))


def newest(stores: Path, dataset: str) -> Path | None:
    """The newest version of a dataset at this site, or None. Does not open it."""
    try:
        versions = [path for path in (stores / dataset).iterdir() if not path.name.startswith(".") and (path / "dataset.json").is_file()]
    except OSError:
        return None
    return max(versions, key=lambda path: _order(path.name), default=None)


def every(stores: Path) -> list[Path]:
    """All versions of all datasets at this site."""
    return sorted(path.parent for path in stores.glob("*/*/dataset.json") if not path.parent.name.startswith("."))
