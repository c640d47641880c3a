"""Helpers of this folder, and those of the hub's tests, are modules beside the tests; the fixtures are in `signing_in`."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "hub")]

from signing_in import member, place  # noqa: E402 - found by the line above

__all__ = ["member", "place"]
