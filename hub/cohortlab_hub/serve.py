"""``python -m cohortlab_hub.serve``: the hub's service, as JupyterHub starts it, on the address that JupyterHub gives."""

import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from cohortlab.errors import CohortlabError
from cohortlab_hub.app import create_app
from cohortlab_hub.cluster import BIND_VARIABLE
from cohortlab_hub.configure import WORKBENCH_VARIABLE
from cohortlab_hub.operations import logs
from cohortlab_hub.sessions.isolate import die_with_parent
from cohortlab_hub.settings_file import load


def main() -> int:
    """Serve until told to stop. Exit code 1 with a sentence for a known error."""
    die_with_parent(signal.SIGTERM)
    logs.of_service()
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    try:
        app = create_app(load(Path(os.environ[WORKBENCH_VARIABLE])))
    except CohortlabError as error:
        sys.stderr.write(f"cohortlab: {error}\n")
        return 1
    # Each request has its line by `operations.observed`. Long polls end with the server.
    uvicorn.run(
        app,
        host=os.environ.get(BIND_VARIABLE) or url.hostname or "127.0.0.1",
        port=url.port or 8082,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=2,
        # The proxy keeps its connections. One that is closed here, just as the proxy uses it again, would be a 503 in somebody's
        # browser: they stay open as long as JupyterHub's own (Tornado's `idle_connection_timeout`).
        timeout_keep_alive=3600,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
