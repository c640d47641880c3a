"""Cohortlab in a session, at ingest and at a site: open, view and compute on mounted datasets."""
