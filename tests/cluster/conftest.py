"""The workbench that all tests of this folder use, people who sign in to it, and tables that are printed at the end."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import kube  # noqa: E402 - found by the line above
from bench import Bench, install, reopen  # noqa: E402 - as above
from visitor import Visitor  # noqa: E402 - as above

TABLES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLES] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1200))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for table in config.stash[TABLES]:
        terminalreporter.write_line("")
        terminalreporter.write(table)


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Prints a table at the end of the run: a title, a head, rows."""

    def keep(title: str, *rows: tuple[object, ...]) -> None:
        widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        request.config.stash[TABLES].append("\n".join([title, lines[0], *lines[1:], ""]))

    return keep


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The installed workbench. While writing tests, COHORTLAB_CLUSTER_REUSE names a folder that keeps it from run to run."""
    kube.there()
    kept = os.environ.get("COHORTLAB_CLUSTER_REUSE")
    if kept is None:
        return install(tmp_path_factory.mktemp("cluster"))
    folder = Path(kept)
    folder.mkdir(parents=True, exist_ok=True)
    return reopen(folder) if (folder / "values.yaml").exists() else install(folder)


@pytest.fixture
def person(bench: Bench) -> Iterator[Callable[[str], Visitor]]:
    """Signs people in. Their sessions end with the test."""
    people: list[Visitor] = []

    def sign_in(name: str) -> Visitor:
        people.append(Visitor(bench, name))
        assert people[-1].signed_in, people[-1].answer.text
        return people[-1]

    yield sign_in
    for one in people:
        one.stop()
        one.http.close()
