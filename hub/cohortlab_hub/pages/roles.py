"""Which pages somebody has beside their own: pure."""

from collections.abc import Collection
from typing import Literal

from cohortlab_hub.settings import Settings

Role = Literal["steward", "operator", "gpus"]


def roles(settings: Settings, groups: Collection[str]) -> frozenset[Role]:
    """What somebody in `groups` is: a data steward, an operator; and whether there are GPUs to look at."""
    found: set[Role] = set()
    if not set(groups).isdisjoint(settings.steward_groups):
        found.add("steward")
    if not set(groups).isdisjoint(settings.operator_groups):
        found.add("operator")
    if settings.gpus:
        found.add("gpus")
    return frozenset(found)
