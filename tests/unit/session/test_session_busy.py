"""Whether work goes on in a session."""

import asyncio
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cohortlab.session.busy import Process, processes, running, working
from cohortlab.session.server import Activity


def process(number, seconds=0.0, started=100):
    return Process(number, 1, started, seconds)


@pytest.mark.parametrize(
    ("before", "after", "busy"),
    [
        ([process(7, 1.0)], [process(7, 1.0)], []),  # a shell, an editor: waits
        ([process(7, 1.0)], [process(7, 1.3)], []),  # looked at the clock
        ([process(7, 1.0)], [process(7, 1.6)], [7]),  # works
        ([], [process(7, 5.0)], [7]),  # began since, and worked
        ([], [process(7, 0.1)], []),  # began since
        ([process(7, 90.0)], [process(7, 5.0, started=200)], [7]),  # another one of the same id
        ([process(7, 90.0)], [process(7, 0.1, started=200)], []),
        ([process(3, 1.0)], [process(3, 30.0)], []),  # the server itself
        ([process(7, 1.0), process(8, 1.0)], [process(8, 30.0)], [8]),
    ],
)
def test_working(before, after, busy):
    snapshots = ({one.id: one for one in many} for many in (before, after))
    assert working(*snapshots, 30.0, but=[3]) == busy


@pytest.mark.parametrize(
    ("states", "expected"), [([], False), (["idle"], False), (["idle", "busy"], True), (["starting"], False), (["dead"], False)]
)
def test_running(states, expected):
    assert running(states) is expected


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, which Linux has")
def test_a_real_process_that_computes_is_seen_and_one_that_waits_is_not():
    code = (
        "import sys\nwhile True:\n  line = sys.stdin.readline()\n  if not line: break\n  sum(range(20_000_000)); print('done', flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        before = processes()
        assert {os.getpid(), child.pid} <= set(before)
        idle = processes()
        assert child.pid not in working(before, idle, 1.0, but=[])
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.stdout.readline() == "done\n"
        assert child.pid in working(idle, processes(), 1.0, but=[])
        child.stdin.close()


def test_without_proc_nothing_is_known(tmp_path):
    assert processes(tmp_path / "none") == {}
    (tmp_path / "self").mkdir()
    (tmp_path / "1").mkdir()  # has no stat: ended meanwhile
    assert processes(tmp_path) == {}


class Kernels:
    """A kernel manager with kernels in these states."""

    def __init__(self, *states):
        self.states = states

    def list_kernels(self):
        return [{"execution_state": state} for state in self.states]

    def list_kernel_ids(self):
        return []


@pytest.mark.parametrize(("states", "told"), [(["idle"], False), (["idle", "busy"], True)])
def test_a_kernel_that_runs_something_is_activity(states, told, monkeypatch):
    monkeypatch.setattr("cohortlab.session.busy.processes", dict)  # this machine's others are not the session's
    app = SimpleNamespace(kernel_manager=Kernels(*states), web_app=SimpleNamespace(settings={"last_activity_times": {}}))
    asyncio.run(Activity(app).look())
    times = app.web_app.settings["last_activity_times"]
    assert bool(times) is told
    assert all(moment.tzinfo is not None for moment in times.values())
