"""Works of the set-up run side by side, each in its own order; when one fails or an end is asked for, none of the others stays."""

import os

import pytest

from cohortlab.errors import RefusedError
from cohortlab_hub.supervisor import Child, Interrupted, Signals, run_to_end


@pytest.fixture
def start(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    def child(script):
        return Child("test", ["sh", "-c", script], os.environ, tmp_path / "log" / f"{abs(hash(script))}.log", tmp_path)

    return child


def work(start, ended, *scripts):
    for script in scripts:
        child = start(script)
        ended.append(child)
        yield child
        if child.code != 0:
            raise RefusedError(f"{script} failed")


def test_two_at_once_can_wait_for_each_other(start, tmp_path):
    children = []
    works = [work(start, children, "cat pipe > got", "mv got then"), work(start, children, "echo word > pipe"), work(start, children)]
    with Signals() as signals:
        run_to_end(works, signals, at_once=2)
    assert [child.code for child in children] == [0, 0, 0]
    assert (tmp_path / "then").read_text() == "word\n"


def test_when_one_fails_the_others_are_ended_and_the_rest_is_not_begun(start):
    children = []
    works = [work(start, children, "exec cat pipe", "true"), work(start, children, "false"), work(start, children, "true")]
    with Signals() as signals, pytest.raises(RefusedError, match="false failed"):
        run_to_end(works, signals, at_once=2)
    interrupted, failed = children
    assert interrupted.code
    assert failed.code == 1


def test_when_an_end_is_asked_for_all_are_ended(start):
    children = []
    works = [work(start, children, "exec cat pipe"), work(start, children, f"kill -TERM {os.getpid()}; exec cat pipe")]
    with Signals() as signals, pytest.raises(Interrupted):
        run_to_end(works, signals, at_once=2)
    assert len(children) == 2
    assert all(child.code for child in children)
