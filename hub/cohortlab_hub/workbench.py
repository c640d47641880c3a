"""`cohortlab up`: starts a workbench in the foreground, says where it is, and ends all of it when asked to."""

import errno
import fcntl
import http.client
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from cohortlab.errors import RefusedError, StorageError, UnavailableError
from cohortlab_hub import ports, records
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.configure import PASSWORD_VARIABLE, PORTS_VARIABLE, SERVICE, WORKBENCH_VARIABLE, proxy_command
from cohortlab_hub.sessions.separation import separation
from cohortlab_hub.settings import Settings
from cohortlab_hub.supervisor import Child, Signals, stopping

Say = Callable[[str], None]
_READY_SECONDS = 120.0
_OTHER_PORTS = 3  # proxy API, hub, service
_LEAST_FREE = 64 << 20  # bytes; below that the hub's own databases are in danger


def command(*arguments: str) -> list[str]:
    """The `cohortlab` command with this very Python, wherever its script is installed."""
    return [sys.executable, "-c", "from cohortlab.cli import main; main()", *arguments]


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Make the state folder, for its owner only, and hold it. Raises `RefusedError` when another `up` does."""
    with storage(state):
        (state / "hub").mkdir(parents=True, exist_ok=True, mode=0o700)
        state.chmod(0o700)
        descriptor = os.open(state / "hub" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(
                f"A workbench is already running with the state folder {state}.", hint="Stop that one, or give another --state."
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def storage(place: Path) -> Iterator[None]:
    """Turn what a disk refuses into `StorageError` with a sentence on what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageError(
                f"The disk of {place} is full.", hint="Make room, or give --state a folder on another disk; then run it again."
            ) from None
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
            raise StorageError(f"{place} cannot be written: {error.strerror}.", hint="Give --state a folder of your own.") from None
        raise


def check_room(place: Path) -> None:
    """Raise `StorageError` when the disk of `place` is (almost) full."""
    status = os.statvfs(place)
    if status.f_bavail * status.f_frsize < _LEAST_FREE:
        raise StorageError(
            f"The disk of {place} is full: less than {_LEAST_FREE >> 20} MB are free.",
            hint="Make room, or give --state a folder on another disk; then run it again.",
        )


def run(settings: Settings, file: Path, port: int, signals: Signals, say: Say) -> None:
    """Start the workbench of `file` and return when it was asked to end and has ended.

    Raises `UnavailableError` when it does not start or ends by itself, with the end of the log, and `StorageError`.
    """
    proxy_command()
    with storage(settings.state):
        check_room(settings.state)
        (settings.state / "logs").mkdir(exist_ok=True)
        records.migrate(settings.database_url)
    for entry in Catalogue(settings).entries():
        if entry.problem:
            say(f"  {entry.id} is not served: {entry.problem}")
    if not separation().possible:
        say(f"  Sessions on this machine are not separated from each other: {separation().reason}")

    chosen = ports.choose(settings.listen.host, port, _OTHER_PORTS)
    password = secrets.token_urlsafe(12)
    environment = os.environ | {
        WORKBENCH_VARIABLE: str(file),
        PORTS_VARIABLE: ",".join(map(str, chosen)),
        PASSWORD_VARIABLE: password,
        "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)]),
    }
    children: list[Child] = []
    with stopping(children, signals), storage(settings.state):
        folder = settings.state / "hub"
        config = Path(__file__).with_name("jupyterhub_config.py")
        hub = Child(
            "hub",
            [sys.executable, "-m", "cohortlab.starts", "jupyterhub", "-f", str(config)],
            environment,
            settings.state / "logs" / "hub.log",
            folder,
        )
        children.append(hub)
        _wait_ready(hub, settings, chosen[0], signals)
        del environment[PASSWORD_VARIABLE]
        for name, site in sorted(settings.sites.items()):
            if site.config is not None:
                log = settings.state / "logs" / f"site-{name}.log"
                children.append(Child(name, command("site", "run", "--config", str(site.config)), environment, log, site.config.parent))
        _greet(settings, chosen[0], password, say)
        _watch(children, signals, say)
        say("Stopping ...")
    say("Stopped.")


def _wait_ready(hub: Child, settings: Settings, port: int, signals: Signals) -> None:
    """Return when the service answers through proxy and hub."""
    for _ in range(int(_READY_SECONDS / 0.2)):
        signals.check()
        if hub.code is not None:
            raise UnavailableError(f"JupyterHub did not start. The end of {hub.log}:\n{hub.last_words()}")
        base = settings.listen.base_path
        if all(_answers(settings.listen.host, port, base + path) for path in ("hub/health", f"services/{SERVICE}/health")):
            return
        signals.wait(0.2)
    raise UnavailableError(f"JupyterHub did not start within {_READY_SECONDS:.0f} s. The end of {hub.log}:\n{hub.last_words()}")


def _answers(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _greet(settings: Settings, port: int, password: str, say: Say) -> None:
    host = f"[{settings.listen.host}]" if ":" in settings.listen.host else settings.listen.host
    say("")
    say(f"{settings.title} is ready:  http://{host}:{port}{settings.listen.base_path}")
    if settings.accounts:
        say(f"  accounts  {', '.join(settings.accounts)}")
        say(f"  password  {password}   (for all of them, until this workbench stops)")
    say("For research, not for diagnosis. Ctrl-C stops everything.")


def _watch(children: list[Child], signals: Signals, say: Say) -> None:
    """Return when an end was asked for. A site that ends is told of; without the hub it is over."""
    told: set[str] = set()
    while not signals.asked:
        for child in children:
            if child.code is None or child.name in told:
                continue
            if child.name == "hub":
                raise UnavailableError(f"JupyterHub has ended. The end of {child.log}:\n{child.last_words()}")
            told.add(child.name)
            say(f"The site {child.name} has ended; its jobs will be lost. See {child.log}")
        signals.wait()
