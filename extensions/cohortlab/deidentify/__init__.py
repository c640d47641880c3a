"""De-identification: the profile removes, the independent verifier refuses, the gate is the only writer of a store."""

from cohortlab.deidentify.gate import ingest
from cohortlab.deidentify.profile import Profile
from cohortlab.deidentify.pseudonyms import Pseudonyms
from cohortlab.deidentify.report import Finding, Options, Outcome, Reason, Report
from cohortlab.deidentify.verifier import verify

__all__ = ["Finding", "Options", "Outcome", "Profile", "Pseudonyms", "Reason", "Report", "ingest", "verify"]
