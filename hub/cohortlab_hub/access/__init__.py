"""Grants -> decisions with written reasons -> leases; revocation."""

from cohortlab_hub.access.grants import GrantRecord, NewGrant, add, grants_of, listed, revoke
from cohortlab_hub.access.rules import Decision, Grant, Lease, Person, Terms, decide, leases

__all__ = [
    "Decision",
    "Grant",
    "GrantRecord",
    "Lease",
    "NewGrant",
    "Person",
    "Terms",
    "add",
    "decide",
    "grants_of",
    "leases",
    "listed",
    "revoke",
]
