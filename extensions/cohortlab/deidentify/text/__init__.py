"""Burned-in text: what writing on pixels refuses, what regions are blanked. The gate calls `check_series`; no recognised text comes out.

`triage` decides by headers what is looked at, `views` makes pictures that writing stands out in, `reader` finds and reads it, `tokens`
knows the marks that belong on an image, `mask` blanks the places that a device is known to write in.
"""

from cohortlab.deidentify.text.check import check_series, check_text, masked
from cohortlab.deidentify.text.mask import NO_RULES, Rules, load_rules
from cohortlab.deidentify.text.triage import look, sample
from cohortlab.deidentify.text.verdict import CLEANED, WHAT_TO_DO, Box, Found, Length, TextReason, TextVerdict

__all__ = [
    "CLEANED", "NO_RULES", "WHAT_TO_DO", "Box", "Found", "Length", "Rules", "TextReason", "TextVerdict", "check_series", "check_text",
    "load_rules", "look", "masked", "sample",
]  # fmt: skip
