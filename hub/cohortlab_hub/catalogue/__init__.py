"""What there is to find: the datasets of the workbench, each as its signed manifest or the settings describe it."""

from cohortlab_hub.catalogue.entries import Catalogue, Entry

__all__ = ["Catalogue", "Entry"]
