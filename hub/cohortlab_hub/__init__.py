"""Cohortlab's control plane: who may do what, where it runs, what was done."""

from cohortlab_hub.configure import configure

__all__ = ["configure"]
