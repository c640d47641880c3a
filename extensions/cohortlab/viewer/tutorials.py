"""The tutorials that come with the package, and the user's own copies of them."""

import os
from pathlib import Path

import cohortlab
from cohortlab.errors import NotFoundError, StorageError

FIRST_STEPS = "first-steps.ipynb"
_FOLDER = "tutorials"


def tutorials_folder() -> Path:
    """Where the tutorials are: in the installed package, or at the top of the checkout that it is installed from.

    Raises:
        NotFoundError: neither has them.
    """
    package = Path(cohortlab.__file__).parent
    for folder in (package / _FOLDER, package.parents[1] / _FOLDER):
        if (folder / FIRST_STEPS).is_file():
            return folder
    raise NotFoundError("The tutorials are not installed.", hint="Install cohortlab again.")


def copy_tutorial(home: Path, name: str = FIRST_STEPS) -> str:
    """Put the tutorial `name` into ``home/tutorials/`` unless a file of that name is there, which is left as it is.

    Returns:
        Its path relative to `home`, with ``/``.

    Raises:
        NotFoundError: there is no such tutorial.
        StorageError: the copy cannot be written.
    """
    source = tutorials_folder() / Path(name).name
    if not source.is_file():
        raise NotFoundError("There is no such tutorial.")
    target = home / _FOLDER / source.name
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(exist_ok=True)
        if not target.exists():
            partial.write_bytes(source.read_bytes())
            try:
                os.link(partial, target)  # unlike a rename, never replaces a copy that appeared meanwhile
            except FileExistsError:
                pass
            finally:
                partial.unlink()
    except OSError as error:
        raise StorageError(f"The tutorial could not be copied to your home ({error.strerror}).") from error
    return f"{_FOLDER}/{target.name}"
