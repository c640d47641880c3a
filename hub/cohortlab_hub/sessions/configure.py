"""JupyterHub's configuration of sessions: which spawner, and how."""

from typing import Any

from cohortlab_hub.settings import Settings


def configure(c: Any, settings: Settings, service_url: str, hub_port: int) -> None:
    """Sessions as pods where `settings` has Kubernetes, else as processes of this machine.

    `service_url`: the service as a browser, and a session of this machine, reaches it. `hub_port`: where the hub listens.
    """
    from cohortlab_hub.sessions.handlers import handlers  # noqa: PLC0415 - the service and the command need no handlers of the hub

    c.JupyterHub.extra_handlers = handlers(settings)
    if settings.kubernetes is not None:
        _kubernetes(c, settings, hub_port)
    else:
        _local(c, settings, service_url)


def _local(c: Any, settings: Settings, service_url: str) -> None:
    from cohortlab_hub.sessions.pages import options_form, options_from_form  # noqa: PLC0415 - the handlers' rooms are the hub's alone
    from cohortlab_hub.sessions.profiled import apply_options  # noqa: PLC0415 - as above

    c.JupyterHub.cleanup_servers = True  # a local session ends with its hub
    c.JupyterHub.spawner_class = "cohortlab_hub.sessions.local.LocalSpawner"
    c.LocalSpawner.settings = settings
    c.LocalSpawner.service_url = service_url
    c.LocalSpawner.options_form = options_form
    c.LocalSpawner.options_from_form = options_from_form
    c.LocalSpawner.apply_user_options = apply_options
    c.LocalSpawner.default_url = "/lab"
    c.LocalSpawner.notebook_dir = ""
    c.LocalSpawner.env_keep = ["PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH"]
    c.LocalSpawner.poll_interval = 10  # a revocation ends a session well within a minute
    c.LocalSpawner.start_timeout = 60
    c.LocalSpawner.http_timeout = 60
    c.LocalSpawner.interrupt_timeout = 5
    c.LocalSpawner.term_timeout = 5


def _kubernetes(c: Any, settings: Settings, hub_port: int) -> None:
    from cohortlab_hub.sessions.kubernetes import KubernetesSpawner  # noqa: PLC0415 - a local hub needs no cluster's client
    from cohortlab_hub.sessions.pages import at_once, options_form, options_from_form  # noqa: PLC0415 - as above
    from cohortlab_hub.sessions.profiled import apply_options  # noqa: PLC0415 - as above

    kubernetes = settings.kubernetes
    if kubernetes is None:
        raise ValueError("There is no Kubernetes in these settings.")
    c.JupyterHub.spawner_class = KubernetesSpawner
    c.JupyterHub.cleanup_servers = False  # sessions outlive the hub
    c.JupyterHub.hub_bind_url = f"http://0.0.0.0:{hub_port}"
    c.JupyterHub.concurrent_spawn_limit = 0  # who waits for a GPU is pending, and must not keep others from starting; see starts_at_once
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 3}  # long enough that a refusal is the answer to the request itself
    # A session that was starting when its hub died waits for the hub to listen: waiting for it first would block everybody.
    c.JupyterHub.init_spawners_timeout = 10
    c.JupyterHub.template_vars = {**c.JupyterHub.template_vars, "profiles_at_once": at_once(settings)}
    spawner = c.KubernetesSpawner
    spawner.settings = settings
    spawner.hub_connect_url = kubernetes.hub_url
    spawner.options_form = options_form
    spawner.options_from_form = options_from_form
    spawner.apply_user_options = apply_options
    spawner.default_url = "/lab"
    spawner.start_timeout = round(kubernetes.start_minutes * 60) + 60  # the spawner itself ends a start earlier, and says why
    spawner.http_timeout = 60
    spawner.poll_interval = 30
    spawner.delete_grace_period = 20
    spawner.args = [
        # JupyterLab would ask other hosts for news, updates and extensions.
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        "--ServerApp.jpserver_extensions=cohortlab.viewer=True",
        "--ServerApp.jpserver_extensions=cohortlab.session=True",
    ]
