"""The pieces that every part of workbench.yaml's model is made of: the base class, paths, names, keys. It imports no room."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo
from pydantic_core import PydanticCustomError

from cohortlab.errors import CohortlabError
from cohortlab.keys import PublicKey

_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ACCOUNT = re.compile(r"[a-z0-9](?:[a-z0-9._@-]{0,126}[a-z0-9])?")


def _from_file(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path.cwd())
    return Path(folder, path.expanduser()).resolve()


def _existing_folder(path: Path) -> Path:
    if not path.is_dir():
        raise PydanticCustomError("no_folder", "There is no folder at this path.")
    return path


def _existing_store(path: Path, info: ValidationInfo) -> Path:
    """In a cluster a store may be filled after the start; the catalogue keeps one that is gone apart, like any that is not right."""
    return path if (info.context or {}).get("cluster") else _existing_folder(path)


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise PydanticCustomError("no_file", "There is no file at this path.")
    return path


def _identifier(value: str) -> str:
    if not _ID.fullmatch(value):
        raise PydanticCustomError("identifier", "Use 1 to 63 lowercase letters, digits and hyphens, no hyphen first or last.")
    return value


def _account(value: str) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise PydanticCustomError(
            "account", "Use 1 to 128 lowercase letters, digits, dots, hyphens, underscores and @, a letter or digit first and last."
        )
    return value


def _public_key(value: str) -> str:
    try:
        return PublicKey(value).text
    except CohortlabError as error:
        raise PydanticCustomError("public_key", "{reason}", {"reason": str(error)}) from None


FilePath = Annotated[Path, AfterValidator(_from_file)]
Folder = Annotated[FilePath, AfterValidator(_existing_folder)]
StoreFolder = Annotated[FilePath, AfterValidator(_existing_store)]
File = Annotated[FilePath, AfterValidator(_existing_file)]
Identifier = Annotated[str, AfterValidator(_identifier)]
AccountName = Annotated[str, AfterValidator(_account)]
TrustedKey = Annotated[str, AfterValidator(_public_key)]


class Part(BaseModel):
    """A part of the file. A key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
