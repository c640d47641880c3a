"""Attacks from inside a session: everything that is not its own must be out of reach. Each attack runs in a real launcher."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cohortlab_hub.sessions.mounts import plan
from cohortlab_hub.sessions.separation import launcher, needed, separation

SECRET = "not-for-sessions"  # noqa: S105 - a marker
PRELUDE = """
import ctypes, errno, json, os, pathlib, signal, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
state, own = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[1]) / "homes" / "ana"
mine = own / "datasets" / "alpha"
def outcome(call, *arguments):
    try:
        return str(call(*arguments))
    except OSError as error:
        return errno.errorcode[error.errno]
def syscall(result):
    return errno.errorcode[ctypes.get_errno()] if result != 0 else "done"
"""


@pytest.fixture
def state(tmp_path):
    """A state folder with two stores, two homes, keys and records."""
    for name, text in {
        "stores/alpha/1.0.0/dataset.json": "alpha",
        "stores/beta/1.0.0/dataset.json": SECRET,
        "keys/hub.key": SECRET,
        "sites/north/token": SECRET,
        "hub/records.sqlite": SECRET,
        "homes/bob/notes.txt": SECRET,
        "homes/ana/notes.txt": "mine",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


@pytest.fixture(autouse=True)
def _possible():
    found = separation()
    if not found.possible:
        why = f"needs a Linux that lets this user make namespaces: {found.reason}"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)


class _Settings:
    """The part of the settings that `needed` looks at."""

    def __init__(self, state):
        self.state = state


def command(state, code, mounts=("alpha",)):
    table = {name: state / "stores" / name / "1.0.0" for name in mounts}
    hidden = [state, Path.home().resolve()]
    made = plan(state / "homes" / "ana", table, hidden, needed(_Settings(state)))
    return [*launcher(made), sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(state)]


def attack(state, code, **more):
    done = subprocess.run(command(state, code, **more), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_session_sees_its_home_and_its_dataset_and_nothing_else(state):
    seen = attack(
        state,
        """
        print(json.dumps({
            "state": sorted(p.name for p in state.iterdir()),
            "homes": sorted(p.name for p in (state / "homes").iterdir()),
            "datasets": sorted(p.name for p in (own / "datasets").iterdir()),
            "alpha": (mine / "dataset.json").read_text(),
            "notes": (own / "notes.txt").read_text(),
            "cwd": os.getcwd(),
            "tmp": os.listdir("/tmp"),
            "who": os.getuid(),
        }))
        """,
    )
    assert seen["homes"] == ["ana"]
    assert seen["state"] == ["homes"]
    assert seen["datasets"] == ["alpha"]
    assert (seen["alpha"], seen["notes"]) == ("alpha", "mine")
    assert seen["cwd"] == str(state / "homes" / "ana")
    assert seen["who"] != 0
    assert SECRET not in json.dumps(seen)


def test_a_dataset_and_the_folder_of_datasets_cannot_be_written(state):
    seen = attack(
        state,
        """
        print(json.dumps([
            outcome((mine / "dataset.json").write_text, "forged"),
            outcome((mine / "new").write_text, "x"),
            outcome((mine / "dataset.json").unlink),
            outcome((mine / "dataset.json").chmod, 0o777),
            outcome(os.utime, mine / "dataset.json"),
            outcome(os.link, mine / "dataset.json", own / "hard"),
            outcome((own / "datasets" / "more").mkdir),
            outcome((own / "datasets").rename, own / "moved"),
            outcome(mine.rmdir),
            outcome((own / "fine").write_text, "x"),
        ]))
        """,
    )
    assert seen[:5] == ["EROFS"] * 5
    assert seen[5] in {"EXDEV", "EROFS"}
    assert seen[6] == "EROFS"
    assert seen[7] == "EBUSY"
    assert seen[8] in {"EROFS", "EBUSY"}
    assert seen[9] == "1"
    assert (state / "stores/alpha/1.0.0/dataset.json").read_text() == "alpha"


def test_other_stores_homes_keys_tokens_and_records_cannot_be_read(state):
    seen = attack(
        state,
        """
        names = ["stores/beta/1.0.0/dataset.json", "stores/alpha/1.0.0/dataset.json", "keys/hub.key", "sites/north/token",
                 "hub/records.sqlite", "homes/bob/notes.txt"]
        ways = [state / n for n in names] + [mine / ".." / ".." / ".." / ".." / n for n in names] + [mine / "../../beta/1.0.0/dataset.json"]
        ways += [pathlib.Path(f"/proc/{p}/root{state}/{n}") for p in (1, os.getppid()) for n in names]
        (own / "link").symlink_to(state / "keys" / "hub.key")
        ways += [own / "link"]
        print(json.dumps([outcome(w.read_text) for w in ways]))
        """,
    )
    assert set(seen) <= {"ENOENT", "EACCES", "EPERM"}, seen


def test_the_operators_home_is_not_there(state):
    home = Path.home()
    marker = home / f".cohortlab-test-{os.getpid()}"
    marker.write_text(SECRET)
    try:
        seen = attack(state, f"print(json.dumps(outcome(pathlib.Path({str(marker)!r}).read_text)))")
    finally:
        marker.unlink()
    assert seen == "ENOENT"


def test_no_way_back_by_mounts_namespaces_or_rights(state):
    seen = attack(
        state,
        """
        MS_REMOUNT, MS_BIND, MNT_DETACH, CLONE_NEWUSER, CLONE_NEWNS = 32, 4096, 2, 0x10000000, 0x20000
        b = lambda p: str(p).encode()
        caps = [line.split()[1] for line in open("/proc/self/status") if line.startswith("Cap")]
        new = [line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")]
        print(json.dumps({
            "umount state": syscall(libc.umount2(b(state), MNT_DETACH)),
            "umount dataset": syscall(libc.umount2(b(mine), 0)),
            "remount dataset": syscall(libc.mount(b"none", b(mine), None, MS_REMOUNT | MS_BIND, None)),
            "mount": syscall(libc.mount(b"tmpfs", b(own), b"tmpfs", 0, None)),
            "user namespace": outcome(os.unshare, CLONE_NEWUSER | CLONE_NEWNS),
            "mount namespace": outcome(os.unshare, CLONE_NEWNS),
            "chroot": outcome(os.chroot, "/tmp"),
            "setuid": outcome(os.setuid, 0),
            "mknod": outcome(os.mknod, own / "disk", 0o60600, os.makedev(8, 0)),
            "join": outcome(os.setns, os.open("/proc/1/ns/mnt", os.O_RDONLY)) if os.access("/proc/1/ns/mnt", os.R_OK) else "EACCES",
            "caps": caps, "no new privileges": new,
        }))
        """,
    )
    caps, privileges = seen.pop("caps"), seen.pop("no new privileges")
    assert set(caps) == {"0" * 16}
    assert privileges == ["1"]
    refusals = {"EPERM", "EINVAL", "EACCES", "ENOSPC"}
    assert set(seen.values()) <= refusals, seen


def test_processes_outside_cannot_be_seen_read_or_ended(state):
    outside = subprocess.Popen(["sleep", "60"], env={"TOKEN": SECRET, "PATH": os.environ["PATH"]})
    try:
        seen = attack(
            state,
            f"""
            pid = {outside.pid}
            print(json.dumps({{
                "environment": outcome(pathlib.Path(f"/proc/{{pid}}/environ").read_text),
                "end": outcome(os.kill, pid, signal.SIGKILL),
                "trace": syscall(libc.ptrace(16, pid, None, None)),
                "all": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
                "end all": outcome(os.kill, -1, 0),
            }}))
            """,
        )
        assert outside.poll() is None
    finally:
        outside.kill()
        outside.wait()
    assert seen["environment"] == "ENOENT"
    assert seen["end"] == seen["trace"] == "ESRCH"
    assert len(seen["all"]) == 2  # the session's first process and this one


def test_the_system_and_the_workbenchs_own_code_are_read_only(state):
    seen = attack(
        state,
        """
        import cohortlab_hub
        code = pathlib.Path(cohortlab_hub.__file__)
        print(json.dumps([
            outcome((code.parent / "planted.py").write_text, "x"),
            outcome(pathlib.Path(sys.prefix, "planted").write_text, "x"),
            outcome(pathlib.Path("/etc/planted").write_text, "x"),
            outcome(pathlib.Path("/tmp/fine").write_text, "x"),
        ]))
        """,
    )
    assert seen[:3] == ["EROFS"] * 3
    assert seen[3] == "1"
    assert not Path("/tmp/fine").exists()  # noqa: S108 - a session's /tmp is its own


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_when_the_launcher_ends_all_of_the_session_ends(state, number):
    code = """
    import time
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    print("started", flush=True)
    time.sleep(600)
    """
    session = subprocess.Popen(command(state, code), stdout=subprocess.PIPE, text=True)
    assert session.stdout is not None
    with session.stdout:
        assert session.stdout.readline() == "started\n"
        session.send_signal(number)
        assert session.wait(timeout=20) != 0
        # every process of the session holds this pipe: its end is read when the last of them is gone
        deadline = time.monotonic() + 20
        assert session.stdout.read() == ""
        assert time.monotonic() < deadline


def test_exit_codes_are_the_commands(state):
    done = subprocess.run(command(state, "sys.exit(7)"), timeout=60, check=False)
    assert done.returncode == 7


def test_a_home_in_which_datasets_is_a_link_gets_a_folder(state):
    (state / "homes/ana/datasets").symlink_to(state / "homes/bob")
    seen = attack(state, 'print(json.dumps(sorted(p.name for p in (own / "datasets").iterdir())))')
    assert seen == ["alpha"]
    assert (state / "homes/bob/notes.txt").read_text() == SECRET
