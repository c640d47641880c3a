"""The revisions: NNNN_what.py, each on the one before."""
