import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import typer
from typer.testing import CliRunner

from cohortlab import cli
from cohortlab.errors import RefusedError


def test_a_part_whose_packages_are_absent_says_what_to_install():
    app = typer.Typer()

    @app.command()
    def other() -> None: ...

    cli._add(app, EntryPoint("far", "a_package_that_is_nowhere:thing", cli.GROUP))
    result = CliRunner().invoke(app, ["far", "--flag", "x"])
    assert result.exit_code == 1
    assert "a_package_that_is_nowhere" in result.stderr


def test_a_known_error_is_two_lines_and_exit_code_1(monkeypatch, capsys):
    def build(_command):
        def fail() -> None:
            raise RefusedError("The gate refused it.", hint="Add --deidentify.")

        return fail

    monkeypatch.setattr(cli, "build", build)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.splitlines() == ["cohortlab: The gate refused it.", "  Add --deidentify."]


def test_wrong_usage_is_exit_code_2():
    result = subprocess.run(
        [sys.executable, "-c", "from cohortlab.cli import main; main()", "no-such-command"], capture_output=True, check=False
    )
    assert result.returncode == 2


def test_the_data_plane_never_imports_the_hub():
    probe = "import sys, cohortlab.errors, cohortlab.keys, cohortlab.cli; sys.exit(any(m.startswith('cohortlab_hub') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
