"""A module is run as `python -m` runs it, and IRIs are checked by the same library, loaded when one is checked."""

import json
import subprocess
import sys

MODULE = """
import json, sys
from jsonschema import FormatChecker
before = "rfc3987_syntax.syntax_helpers" in sys.modules
checked = [FormatChecker().conforms(text, "iri") for text in ("https://example.org/ä", "no iri", "https://example.org/")]
print(json.dumps([__name__, sys.argv[1:], before, checked, "rfc3987_syntax.syntax_helpers" in sys.modules]))
"""


def test_a_module_runs_as_it_would_and_the_parser_of_iris_is_made_at_its_first_use(tmp_path):
    (tmp_path / "asked.py").write_text(MODULE)
    command = [sys.executable, "-m", "cohortlab.starts", "asked", "--one", "two"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == ["__main__", ["--one", "two"], False, [True, False, True], True]
