"""The errors of Cohortlab.

Every error derives from `CohortlabError` and from the builtin that a caller would expect, says in one sentence what
went wrong and in `hint` what the reader can do. A message never holds a value from a DICOM header, a secret or a pixel:
paths, tag names, ids and reason codes only.
"""


class CohortlabError(Exception):
    """Base of all errors. `hint` says what to do; `code` is a stable word for machines, e.g. ``unknown-dataset``."""

    code = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class NotFoundError(CohortlabError, LookupError):
    """Something named does not exist, or the asker may not know that it does."""

    code = "not-found"


class InvalidInputError(CohortlabError, ValueError):
    """A file or a request from outside does not have the form it must have."""

    code = "invalid-input"


class RefusedError(CohortlabError, PermissionError):
    """A rule forbids it: a grant, a policy, the gate."""

    code = "refused"


class IntegrityError(CohortlabError, ValueError):
    """A store, a ticket or a record is not what its signature or digest says."""

    code = "integrity"


class StorageError(CohortlabError, OSError):
    """A disk or bucket could not be read or written."""

    code = "storage"


class UnavailableError(CohortlabError, ConnectionError):
    """A part that is needed does not answer."""

    code = "unavailable"
