"""`cohortlab up` while it makes the demo: interrupted, killed, no room."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from running import MAIN, Running, processes


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_interrupted_set_up_leaves_no_process_and_no_half_store(tmp_path, number, code):
    running = Running(["--state", str(tmp_path / "state"), "--port", "0"])
    running.until(r"\[1/\d\] synthetic-lesions")
    assert running.stop(number) == code
    if number != signal.SIGKILL:
        assert "interrupted" in "".join(running.said)
    deadline = time.monotonic() + 30
    while (left := processes(running.mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    assert list(tmp_path.glob("state/stores/*/*/dataset.json")) == []
    again = Running(["--state", str(tmp_path / "state"), "--port", "0"])
    again.until(r"\[1/\d\] synthetic-lesions")  # the lock and the ports are free
    again.stop(signal.SIGINT)


@pytest.mark.parametrize("megabytes", [4, 80])
def test_a_full_disk_is_one_clear_message(tmp_path, megabytes):
    """4 MB: nothing begins. 80 MB: it begins and the disk fills up meanwhile."""
    if os.geteuid() != 0 and shutil.which("unshare") is None:
        why = "needs unshare(1) of util-linux to mount a small disk"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    fill = "" if megabytes < 64 else f"head -c {(megabytes - 66) * 2**20} /dev/zero > {tmp_path}/ballast && "
    script = f'mount -t tmpfs -o size={megabytes}m none {tmp_path} && {fill}exec "$@"'
    arguments = [*MAIN, "up", "--state", str(tmp_path / "state"), "--port", "0"]
    done = subprocess.run([*namespace, "sh", "-c", script, "sh", *arguments], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "full" in done.stderr or "No space" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert processes(str(tmp_path / "state")) == []
