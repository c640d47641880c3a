"""The Dockerfiles: what they share is the same in each, and what each promises stands in it. Building them is the cluster tests' matter."""

import re

import pytest
from chart_values import CHART

ROOT = CHART.parents[1]
FILES = {name: (ROOT / "images" / name / "Dockerfile").read_text() for name in ("hub", "session", "site", "proxy")}
WITH_WHEEL = ("hub", "session", "site")


def stage(text, begin, end):
    """The lines from the one that begins so to before the one that begins so."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(begin))
    last = next(number for number, line in enumerate(lines) if number > first and line.startswith(end))
    return lines[first:last]


def test_the_stages_that_stand_in_several_are_the_same():
    """So that a builder makes them once, and a change to one is a change to all."""
    stages = {
        tuple(stage(FILES[name], "# The wheel with its browser code", "RUN --mount=type=cache,target=/var/cache/uv python3"))
        for name in WITH_WHEEL
    }
    assert len(stages) == 1
    packages = [
        stage(FILES[name], "RUN --mount=type=cache,target=/var/cache/uv python3", "COPY --from=wheel")[:3] for name in ("hub", "session")
    ]
    assert packages[0] == packages[1]


@pytest.mark.parametrize("name", FILES)
def test_each_image_runs_as_nobody_special_from_images_that_can_be_chosen(name):
    text = FILES[name]
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["1000:1000"]
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - stages <= {"${PYTHON_IMAGE}", "${NODE_IMAGE}"}
    assert all(not given.endswith(":latest") and ":" in given for given in re.findall(r"^ARG \w+_IMAGE=(\S+)$", text, re.MULTILINE))
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in text
    assert "sbom.cdx.json" in text
    assert not re.search(r"\b(curl|wget|apt-get|sudo)\b", text)


@pytest.mark.parametrize("name", FILES)
def test_what_is_copied_is_there_and_not_ignored(name):
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules  # all is ignored but for what is named
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", FILES[name], re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert f"!{source.split('/')[0]}" in rules, source
            assert source not in rules, source


def test_the_ports_of_the_hub_are_those_that_the_chart_opens():
    assert re.search(r"^EXPOSE (.+)$", FILES["hub"], re.MULTILINE)[1].split() == ["8081", "8082", "8083"]
