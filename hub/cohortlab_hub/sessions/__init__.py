"""Sessions: from leases to what a person's own process sees, and the spawners that start it."""
