"""A real Jupyter server in a process of its own, with its own home, for the viewer's tests."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BASE = "/user/someone/"  # as below a hub: a viewer that assumes "/" fails
_STOP_SECONDS = 20


@dataclass(frozen=True)
class Jupyter:
    """Where it is, how to sign in, and the id of its process where it was started here."""

    url: str
    token: str
    home: Path
    process: int = 0


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def jupyter(module: str, folder: Path, environment: Mapping[str, str], arguments: Sequence[str] = ()) -> Iterator[Jupyter]:
    """Run ``python -m module`` (jupyter_server or jupyterlab) with its home in `folder`, until the block ends. `arguments`: more."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    token = secrets.token_hex(16)
    port = free_port()
    log = folder / "jupyter.log"
    command = [
        *(sys.executable, "-m", module, "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.base_url={BASE}", f"--ServerApp.root_dir={home}"),
        *arguments,
    ]
    if module == "jupyterlab":
        # a test asks nobody on the internet for news
        command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "COHORTLAB_"))}
    # JupyterLab's question whether to fetch news from its makers; a workbench's sessions do not ask it either
    settings = folder / "config" / "labconfig"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "page_config.json").write_text('{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}')
    variables["JUPYTER_CONFIG_PATH"] = str(settings.parent)
    variables |= {"HOME": str(home), "JUPYTER_TOKEN": token, "IPYTHONDIR": str(folder / "ipython"), "PYTHONUNBUFFERED": "1", **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=home, env=variables, stdout=output, stderr=subprocess.PIPE)
        assert process.stderr is not None
        try:
            for line in process.stderr:  # ends with the process
                output.write(line)
                if b"is running at:" in line:
                    break
            else:
                output.flush()
                raise AssertionError(f"Jupyter did not start:\n{log.read_text()[-4000:]}")
            drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=output)
            try:
                yield Jupyter(f"http://127.0.0.1:{port}{BASE}", token, home, process.pid)
            finally:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):  # a server that just starts a kernel waits for that
                    process.wait(_STOP_SECONDS)
                process.kill()
                process.wait()
                drain.wait(_STOP_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stderr.close()
