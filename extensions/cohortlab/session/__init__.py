"""The session itself: tells JupyterHub when work goes on in it, and its user when it is going to be stopped."""

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cohortlab.session"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    from cohortlab.session.server import load  # noqa: PLC0415 - a kernel that imports cohortlab needs no server

    load(serverapp)
