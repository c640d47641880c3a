"""Helpers of this folder are modules beside the tests; what a failed test leaves running is stopped."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _nothing_left_running():
    from running import Running  # noqa: PLC0415 - found by the line above

    before = list(Running.alive)
    yield
    for left in [running for running in Running.alive if running not in before]:
        left.stop()
