"""JupyterHub's config for `starts.py`: the same hub with kubespawner as it comes, or with ours; it notes its event loop's stalls.

Environment: BENCH (plain or ours), BENCH_PORTS (public, proxy API, hub), BENCH_PODS (port of the pods), BENCH_TOKEN, BENCH_FOLDER.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from kubespawner import KubeSpawner
from traitlets.config import Config

from cohortlab_hub.sessions import configure as sessions
from cohortlab_hub.sessions.kubernetes import KubernetesSpawner
from cohortlab_hub.settings_file import load

folder = Path(os.environ["BENCH_FOLDER"])
public, proxy_api, hub = os.environ["BENCH_PORTS"].split(",")
STEP, STALL = 0.01, 0.1


class Noted:
    """Notes how long the event loop did not get round to a task that wants to run every 10 ms."""

    monitor: asyncio.Task[None] | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        if Noted.monitor is None:
            Noted.monitor = asyncio.ensure_future(self.watch())

    @staticmethod
    async def watch() -> None:
        """Write what was noted each second."""
        longest, stalled, written = 0.0, 0.0, time.monotonic()
        while True:
            before = time.monotonic()
            await asyncio.sleep(STEP)
            late = time.monotonic() - before - STEP
            longest, stalled = max(longest, late), stalled + (late if late > STALL else 0)
            if time.monotonic() - written > 1:
                written = time.monotonic()
                text = json.dumps({"longest": longest, "stalled": stalled, "cpu": time.process_time()})
                (folder / "stalls.json").write_text(text)


class Plain(Noted, KubeSpawner):
    """kubespawner as it comes."""


class Ours(Noted, KubernetesSpawner):
    """Ours."""


c: Config = get_config()  # type: ignore[name-defined]  # noqa: F821 - traitlets puts it here
c.JupyterHub.bind_url = f"http://127.0.0.1:{public}/"
c.JupyterHub.db_url = f"sqlite:///{folder / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(folder / "cookie_secret")
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{proxy_api}"
c.ConfigurableHTTPProxy.auth_token = "0" * 64
c.ConfigurableHTTPProxy.pid_file = str(folder / "proxy.pid")
c.ConfigurableHTTPProxy.command = [str(Path(sys.prefix) / "bin" / "configurable-http-proxy")]
c.JupyterHub.services = [{"name": "bench", "api_token": os.environ["BENCH_TOKEN"]}]
c.JupyterHub.load_roles = [{"name": "bench", "services": ["bench"], "scopes": ["admin:users", "admin:servers"]}]
c.JupyterHub.authenticator_class = "null"
c.Authenticator.allow_all = True
c.JupyterHub.template_vars = {}
if os.environ["BENCH"] == "ours":
    sessions.configure(c, load(folder / "workbench.yaml"), "http://127.0.0.1/services/cohortlab/", int(hub))
    c.JupyterHub.spawner_class = Ours
    for name, value in c.KubernetesSpawner.items():
        c.Ours[name] = value
else:
    c.JupyterHub.spawner_class = Plain
    c.Plain.namespace = "sessions"
    c.Plain.image = "registry.example.org/session@sha256:" + "0" * 64
    c.Plain.cmd = ["jupyterhub-singleuser"]
    c.Plain.port = int(os.environ["BENCH_PODS"])
    c.Plain.storage_pvc_ensure = True
    c.Plain.volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "claim-{user_server}"}}]
    c.Plain.volume_mounts = [{"name": "home", "mountPath": "/home/jovyan"}]
    c.Plain.start_timeout = 600
    c.Plain.http_timeout = 60
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 3}
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{hub}"
c.JupyterHub.log_level = "WARN"
