"""The instances that a series was made from, as their headers: what writing a DICOM SEG or SR that refers to them needs."""

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset

from cohortlab.errors import IntegrityError
from cohortlab.store.read import SeriesRef


def originals(series: SeriesRef) -> list[Dataset]:
    """The (pseudonymous) instances of a series without their pixels, each once, in the array's order.

    highdicom takes them as the source images of a segmentation or the evidence of a report. Their `file_meta` names the transfer
    syntax that their pixels had. Raises `IntegrityError` when the header sidecar is not as it was signed, or holds no headers.
    """
    found = []
    for row in series.headers():
        if row["header"] is None:
            continue
        try:
            dataset: Dataset = Dataset.from_json(row["header"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IntegrityError(f"A header of series {series.id} cannot be read ({type(error).__name__}).") from None
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.MediaStorageSOPClassUID = row["sop_class_uid"]
        dataset.file_meta.MediaStorageSOPInstanceUID = row["sop_instance_uid"]
        dataset.file_meta.TransferSyntaxUID = row["transfer_syntax_uid"]
        found.append(dataset)
    return found
