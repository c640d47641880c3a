"""Mutated files against gate and reader, mutated stores against everything that reads one. The scripts beside this run many more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RUNS = [("fuzz_gate.py", 100_100, 100), ("fuzz_store.py", 0, 60)]  # bombs, segmentations and every mutation are among them


@pytest.mark.parametrize(("script", "first", "cases"), RUNS, ids=[f"{name.removesuffix('.py')}-{first}" for name, first, _ in RUNS])
def test_no_input_gets_an_untyped_error_much_memory_or_much_time(script, first, cases):
    arguments = [sys.executable, HERE / script, "--first", str(first), "--cases", str(cases), "--json"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=900)
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    assert said["findings"] == []
    assert said["cases"] == cases
    assert len(said["ends"]) > 3, "the mutations reach more than one check"
