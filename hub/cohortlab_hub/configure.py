"""All of the JupyterHub configuration: `configure(c, settings)`, called from the hub's config file. There is no other."""

import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from cohortlab.errors import InvalidInputError, NotFoundError
from cohortlab_hub import cluster
from cohortlab_hub.identity import configure as identity
from cohortlab_hub.operations.metrics import SERVICE as METRICS
from cohortlab_hub.sessions import configure as sessions
from cohortlab_hub.sessions.isolate import ended_with_parent
from cohortlab_hub.sessions.separation import separation
from cohortlab_hub.settings import Settings

SERVICE = "cohortlab"
PASSWORD_VARIABLE = "COHORTLAB_DEMO_PASSWORD"  # noqa: S105 - the name of a variable
WORKBENCH_VARIABLE = "COHORTLAB_WORKBENCH"
PORTS_VARIABLE = "COHORTLAB_PORTS"
_ACCESS = f"access:services!service={SERVICE}"
_PORTS = 4  # public, proxy API, hub, service


def configure(c: Any, settings: Settings, environment: dict[str, str] | None = None) -> None:
    """Fill in JupyterHub's config object `c`.

    Of the environment it takes what is no setting: the ports that `cohortlab up` found free (``COHORTLAB_PORTS``:
    public, proxy API, hub, service), the demo's password, and the path of workbench.yaml for the service. Raises
    `InvalidInputError` when the demo's login would be reachable from other machines and `NotFoundError` without a proxy.
    """
    from cohortlab_hub.operations import hub_logs  # noqa: PLC0415 - of JupyterHub and tornado, which the service need not load

    hub_logs.lines(c)
    env = os.environ if environment is None else environment
    ports = [int(port) for port in env.get(PORTS_VARIABLE, f"{settings.listen.port},8001,8081,8082").split(",")]
    if len(ports) != _PORTS:
        raise InvalidInputError(f"{PORTS_VARIABLE} needs {_PORTS} ports.")
    public, proxy_api, hub, service = ports
    address = f"http://{_host(settings)}:{public}{settings.listen.base_path}"
    state = settings.state / "hub"

    c.JupyterHub.bind_url = address
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{hub}"
    c.JupyterHub.db_url = f"sqlite:///{state / 'jupyterhub.sqlite'}"
    c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")
    c.JupyterHub.load_groups = identity.groups(settings)
    c.JupyterHub.template_paths = [str(files("cohortlab_hub") / "templates")]
    c.JupyterHub.template_vars = {
        "workbench_title": settings.title,
        "demo_login": settings.login.kind == "demo",
        "not_separated": lambda _user: separation().reason,
    }
    c.JupyterHub.default_url = f"{settings.listen.base_path}hub/spawn"
    c.JupyterHub.shutdown_on_logout = False
    c.JupyterHub.services = [
        {
            "name": SERVICE,
            "url": f"http://127.0.0.1:{service}",
            "command": [sys.executable, "-m", "cohortlab_hub.serve"],
            "environment": {WORKBENCH_VARIABLE: env.get(WORKBENCH_VARIABLE, ""), "PYTHONPATH": env.get("PYTHONPATH", "")},
            "display": False,
        },
        *([{"name": METRICS, "api_token": settings.metrics.secret}] if settings.metrics and settings.metrics.secret else []),
        *({"name": name, "api_token": site.token.read_text().strip()} for name, site in sorted(settings.sites.items())),
    ]
    c.JupyterHub.load_roles = [
        {"name": "server", "scopes": ["users:activity!user", "access:servers!server", _ACCESS]},
        {"name": "user", "scopes": ["self", _ACCESS]},
        identity.service_role(SERVICE),
        *([{"name": METRICS, "scopes": ["read:metrics"], "services": [METRICS]}] if settings.metrics and settings.metrics.secret else []),
        *([{"name": "cohortlab-sites", "scopes": [_ACCESS], "services": sorted(settings.sites)}] if settings.sites else []),
    ]

    if not cluster.in_cluster(env):
        c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{proxy_api}"
        c.ConfigurableHTTPProxy.auth_token = secrets.token_hex(32)
        c.ConfigurableHTTPProxy.pid_file = str(state / "proxy.pid")
        c.ConfigurableHTTPProxy.command = [*ended_with_parent(), proxy_command()]

    identity.login(c, settings, env, _demo_password(settings, env))
    sessions.configure(c, settings, f"{address}services/{SERVICE}/", hub)
    from cohortlab_hub.pages.configure import configure as pages  # noqa: PLC0415 - handlers of the hub, which the service and the command do not need

    pages(c, settings)
    if cluster.in_cluster(env):
        cluster.place(c, settings, env)
        c.JupyterHub.services[0] = cluster.service(settings, env, c.JupyterHub.services[0])
    hub_logs.requests(c)


def _demo_password(settings: Settings, env: Mapping[str, str]) -> str | None:
    if settings.login.kind == "demo" and cluster.in_cluster(env):
        return cluster.demo_password(env)
    return env.get(PASSWORD_VARIABLE)


def _host(settings: Settings) -> str:
    host = settings.listen.host
    return f"[{host}]" if ":" in host else host


def proxy_command() -> str:
    """Path of configurable-http-proxy, from this Python's environment or PATH. Raises `NotFoundError`."""
    beside = Path(sys.prefix) / "bin" / "configurable-http-proxy"
    found = str(beside) if beside.exists() else shutil.which("configurable-http-proxy")
    if found is None:
        raise NotFoundError(
            "configurable-http-proxy is not here.", hint="`make setup` installs it, or `npm install -g configurable-http-proxy`."
        )
    return found
