"""The image store: layout, signed manifest, geometry, writing, reading, verification, and `open` in a session."""

from cohortlab.store.contracts import AccessCondition, Manifest, ManifestFields, SeriesAttributes

__all__ = ["AccessCondition", "Manifest", "ManifestFields", "SeriesAttributes"]
