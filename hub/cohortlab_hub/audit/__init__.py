"""Who did what to what under which grant: events in a hash chain that is only ever appended to."""

from cohortlab_hub.audit.chain import AuditRecord, Tally, events, record, tally, verify

__all__ = ["AuditRecord", "Tally", "events", "record", "tally", "verify"]
