"""Starts a session's process so that it sees its own home and its datasets, and nothing else of the workbench.

Run as a file, ``python -I isolate.py PLAN -- COMMAND …``, with the standard library only. `PLAN` is JSON: see `Plan`. With ``-`` in its
place the command sees all, and only ends with the process that started it.

How, on Linux: the launcher enters a new user, mount, PID and IPC namespace (as root where user namespaces are forbidden:
without the first). In it the state folder, the operator's home and ``/tmp`` are covered by empty file systems; the
person's home is bound back, each dataset is bound read-only at ``datasets/<id>``; then every mount but home and ``/tmp``
is made read-only with mount_setattr(2), a fresh ``/proc`` shows only the session's processes, further user namespaces
are forbidden, all capabilities (bounding set too) are dropped and no_new_privs is set. Mounts made here end with the
session. Three processes: the launcher, which the hub knows and which passes signals on; the namespace's PID 1, which
reaps; the command. When one of the first two dies the kernel ends everything in the session. Exit code 70 with the reason
on stderr says that the system does not allow it.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

# linux/mount.h, linux/prctl.h, linux/fcntl.h
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _ATTR_RDONLY, _ATTR_NOSUID = 442, -100, 0x8000, 1, 2
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = (
    1,
    24,
    28,
    38,
    47,
    4,
)
_SECBIT_NOROOT_LOCKED = 0b11
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_INSIDE_ID = 1000  # who root is inside, so that programs do not take the session for root's
PRIVATE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - each session gets its own, empty one
_FAILED = 70  # EX_SOFTWARE: the session could not be separated


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session sees. `mounts`: dataset id -> folder of its store. `hidden`: files and folders to cover; `kept`: to leave visible.

    Of two paths where one lies in the other, the inner one decides: a kept folder in a hidden one is visible, read-only.
    """

    home: str
    mounts: dict[str, str]
    hidden: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def to_json(self) -> str:
        """For the command line. It holds paths only."""
        return json.dumps(asdict(self))


class _Attributes(ctypes.Structure):
    """struct mount_attr of mount_setattr(2)."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns"))


class _Kernel:
    """The system calls that Python does not have. Each raises `OSError`."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def _check(self, result: int, what: str) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")

    def mount(self, source: str, target: str, kind: str, flags: int, data: str = "") -> None:
        result = self._libc.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode())
        self._check(result, f"mount at {target}")

    def attributes(self, target: str, *, add: int = 0, remove: int = 0, recursive: bool = False) -> None:
        change = _Attributes(set=add, clear=remove)
        flags = _AT_RECURSIVE if recursive else 0
        size = ctypes.c_size_t(ctypes.sizeof(change))
        call = ctypes.c_long(_SYS_MOUNT_SETATTR)
        result = self._libc.syscall(call, ctypes.c_int(_AT_FDCWD), os.fsencode(target), ctypes.c_uint(flags), ctypes.byref(change), size)
        self._check(result, f"mount_setattr at {target}")

    def prctl(self, option: int, value: int, *, optional: bool = False) -> None:
        zero = ctypes.c_ulong(0)
        result = self._libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero)
        if not optional:
            self._check(result, f"prctl {option}")

    def drop_capabilities(self) -> None:
        """Empty permitted, effective, inheritable, ambient and bounding set, and keep it so across exec."""
        for capability in range(_LAST_CAPABILITY + 1):
            self.prctl(_PR_CAPBSET_DROP, capability, optional=True)  # a kernel knows fewer than 64
        self.prctl(_PR_SET_SECUREBITS, _SECBIT_NOROOT_LOCKED)
        self.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        self._check(self._libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
        self.prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(number: signal.Signals) -> None:
    """Ask the kernel to send this process `number` when its parent ends. Nothing where there is no prctl (macOS)."""
    if sys.platform == "linux":
        _Kernel().prctl(_PR_SET_PDEATHSIG, number)


def ended_with_parent() -> list[str]:
    """What to put before a command so that it ends with the process that starts it (Linux; elsewhere nothing).

    This file, since importing its package takes a second of processor time.
    """
    return [sys.executable, "-I", __file__, "-", "--"] if sys.platform == "linux" else []


def _enter() -> None:
    """Into new namespaces; the user namespace maps only the caller. Root without user namespaces does without."""
    uid, gid = os.geteuid(), os.getegid()
    apart = os.CLONE_NEWNS | os.CLONE_NEWPID | os.CLONE_NEWIPC
    try:
        os.unshare(os.CLONE_NEWUSER | apart)
    except OSError:
        if uid != 0:
            raise
        os.unshare(apart)
        return
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid or _INSIDE_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid or _INSIDE_ID} {gid} 1")


def _cover(kernel: _Kernel, path: str, data: str) -> None:
    if Path(path).is_dir():
        kernel.mount("tmpfs", path, "tmpfs", _MS_NOSUID | _MS_NODEV, data)
    elif Path(path).exists():
        kernel.mount("/dev/null", path, "", _MS_BIND)


def _arrange(kernel: _Kernel, plan: Plan) -> None:
    """All mounts of the session, made as PID 1 of its namespace."""
    kernel.mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    # Opened before anything is covered; a bind mount from the descriptor reaches what is hidden by then.
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = {path: os.open(path, flags) for path in [plan.home, *plan.kept, *plan.mounts.values()]}
    private = [path for path in PRIVATE if Path(path).is_dir()]
    # Outer paths first, so that an inner one has the last word.
    order = sorted({*plan.hidden, *plan.kept, *private}, key=lambda path: (len(Path(path).parts), path))
    for path in order:
        if path in opened:
            Path(path).mkdir(parents=True, exist_ok=True)
            kernel.mount(f"/proc/self/fd/{opened[path]}", path, "", _MS_BIND)
        else:
            _cover(kernel, path, "mode=1777" if path in private else "mode=0755")
    Path(plan.home).mkdir(parents=True, exist_ok=True)
    kernel.mount(f"/proc/self/fd/{opened[plan.home]}", plan.home, "", _MS_BIND)

    datasets = f"{plan.home}/datasets"
    if Path(datasets).is_symlink() or not Path(datasets).is_dir():
        Path(datasets).unlink(missing_ok=True)
        Path(datasets).mkdir()
    kernel.mount("tmpfs", datasets, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=1m")
    for name, source in plan.mounts.items():
        Path(datasets, name).mkdir()
        kernel.mount(f"/proc/self/fd/{opened[source]}", f"{datasets}/{name}", "", _MS_BIND)
    kernel.mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    for descriptor in set(opened.values()):
        os.close(descriptor)

    kernel.attributes("/", add=_ATTR_RDONLY | _ATTR_NOSUID, recursive=True)
    for path in [plan.home, *private]:
        kernel.attributes(path, remove=_ATTR_RDONLY)
    os.chdir(plan.home)


def _pass_on(child: int) -> None:
    """Let the signals that ask for an end reach `child`."""

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)


def _wait(child: int) -> int:
    """Reap until `child` has ended; its exit code, 128 + n for a signal."""
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _first(plan: Plan, command: Sequence[str]) -> int:
    """PID 1 of the session: arranges, drops every right, starts the command, reaps."""
    kernel = _Kernel()
    kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        _arrange(kernel, plan)
        kernel.drop_capabilities()
    except OSError as error:
        sys.stderr.write(f"cohortlab: the session cannot be separated from others: {error.strerror}\n")
        return _FAILED
    child = os.fork()
    if child == 0:
        try:
            os.execvp(command[0], list(command))  # noqa: S606 - no shell is wanted
        except OSError as error:
            sys.stderr.write(f"cohortlab: {command[0]}: {error.strerror}\n")
            os._exit(127)
    _pass_on(child)
    return _wait(child)


def run(plan: Plan, command: Sequence[str]) -> int:
    """Run `command` as `plan` says; its exit code, or 70 when the session could not be separated."""
    die_with_parent(signal.SIGTERM)
    try:
        _enter()
    except OSError as error:
        sys.stderr.write(f"cohortlab: the session cannot be separated from others: new namespaces: {error.strerror}\n")
        return _FAILED
    child = os.fork()
    if child == 0:
        os._exit(_first(plan, command))
    _pass_on(child)
    return _wait(child)


def main(arguments: Sequence[str]) -> int:
    """See the module's own words."""
    if arguments[0] == "-":
        die_with_parent(signal.SIGTERM)  # kept across exec
        os.execvp(arguments[2], list(arguments[2:]))  # noqa: S606 - no shell is wanted
    plan = json.loads(arguments[0])
    return run(Plan(plan["home"], plan["mounts"], tuple(plan["hidden"]), tuple(plan["kept"])), arguments[2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
