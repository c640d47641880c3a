"""The demo: a workbench on this machine with accounts, a sample cohort and three simulated hospitals."""

from cohortlab_hub.demo.content import PORT
from cohortlab_hub.demo.prepare import prepare

__all__ = ["PORT", "prepare"]
