"""JupyterHub's config file: only the call of `cohortlab_hub.configure` with the workbench named in COHORTLAB_WORKBENCH."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cohortlab_hub import configure
from cohortlab_hub.cluster import in_cluster
from cohortlab_hub.configure import PASSWORD_VARIABLE, WORKBENCH_VARIABLE
from cohortlab_hub.records.migrate import migrate
from cohortlab_hub.sessions.isolate import die_with_parent
from cohortlab_hub.settings_file import load

if TYPE_CHECKING:
    c: Any

die_with_parent(signal.SIGTERM)
settings = load(Path(os.environ[WORKBENCH_VARIABLE]))
if in_cluster(os.environ):  # elsewhere `cohortlab up` has done it
    (settings.state / "hub").mkdir(parents=True, exist_ok=True, mode=0o700)
    migrate(settings.database_url)
configure(c, settings)  # noqa: F821 - traitlets puts c here
os.environ.pop(PASSWORD_VARIABLE, None)  # the hub's own subprocesses need not know it
