"""Cohortlab's control plane: who may do what, where it runs, what was done."""
