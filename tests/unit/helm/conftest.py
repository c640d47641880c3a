"""Renders the chart with real helm."""

import subprocess

import pytest
import yaml
from chart_values import CHART, MATRIX

import helm_tool


@pytest.fixture
def helm(tmp_path):
    def helm(values, *arguments, verb="template", program=None):
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        release = ["release"] if verb == "template" else []
        command = [program or helm_tool.find(), verb, *release, str(CHART), "--namespace", "imaging", "--values", str(file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return helm


@pytest.fixture
def render(helm):
    def render(values):
        done = helm(values)
        assert done.returncode == 0, done.stderr
        return [found for found in yaml.safe_load_all(done.stdout) if found]

    return render


@pytest.fixture(scope="session")
def objects(tmp_path_factory):
    """The objects of a case of the matrix, rendered once."""
    folder, made = tmp_path_factory.mktemp("rendered"), {}

    def objects(case):
        if case not in made:
            file = folder / f"{case}.yaml"
            file.write_text(yaml.safe_dump(MATRIX[case]))
            command = [helm_tool.find(), "template", "release", str(CHART), "--namespace", "imaging", "--values", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            made[case] = [found for found in yaml.safe_load_all(done.stdout) if found]
        return made[case]

    return objects


@pytest.fixture
def refusal(helm):
    def refusal(values):
        done = helm(values)
        assert done.returncode != 0
        return done.stderr

    return refusal
