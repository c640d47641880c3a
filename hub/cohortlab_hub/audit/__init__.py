"""Who did what to what under which grant: events in a hash chain that is only ever appended to."""

from cohortlab_hub.audit.chain import AuditRecord, events, record, verify

__all__ = ["AuditRecord", "events", "record", "verify"]
