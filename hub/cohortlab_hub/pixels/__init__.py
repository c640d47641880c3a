"""Images for people without a session: the pixel gateway's routes at the hub, each request decided by the person's grants."""

from cohortlab_hub.pixels.room import Room, running
from cohortlab_hub.pixels.rules import needed, permitted, visible

__all__ = ["Room", "needed", "permitted", "running", "visible"]
