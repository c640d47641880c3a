"""What people read, in their language: catalogues, which language a request is in, templates."""

from cohortlab_hub.texts.catalogue import catalogue, languages
from cohortlab_hub.texts.language import COOKIE, of_request, preferred
from cohortlab_hub.texts.said import said

__all__ = ["COOKIE", "catalogue", "languages", "of_request", "preferred", "said"]
