"""Sample images: generated CT-like and MR-like volumes with a lesion and its segmentation, and where the real mammograms lie."""

from cohortlab.samples.cohort import Patient, write_cohort, write_ct, write_mr
from cohortlab.samples.mammography import mammograms

__all__ = ["Patient", "mammograms", "write_cohort", "write_ct", "write_mr"]
