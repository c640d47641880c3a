# Plain calls of the system, on purpose:
# ruff: noqa: PTH108, PTH112, PTH123, PTH208, PTH211, S108, S310, T201, F821
# What an attacker tries who has a session. This file is run in that session's kernel: it uses the standard library only, takes its
# targets from the dictionary TARGETS that is put before it, and prints a list of [attack, what happened, failed].
import concurrent.futures
import ctypes
import errno
import json
import os
import socket
import urllib.error
import urllib.request

PATIENCE = 4  # seconds of a connection that is dropped in silence
rows = []
clear = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def attack(name, act, *arguments):
    """`act` does the harm; an error that the system raises is a failure of the attack."""
    try:
        won = act(*arguments)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        rows.append([name, f"{type(reason).__name__}: {getattr(reason, 'strerror', None) or reason}", True])
    else:
        rows.append([name, f"SUCCEEDED: {won}", False])


def connect(host, port):
    socket.create_connection((host, port), timeout=PATIENCE).close()
    return "connected"


def over_http(name, method, url, body=None, token=None):
    headers = {"Authorization": f"token {token or os.environ['JUPYTERHUB_API_TOKEN']}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, method=method, headers=headers, data=None if body is None else json.dumps(body).encode())
    try:
        with clear.open(request, timeout=20) as answer:
            landed, status = answer.geturl(), answer.status
            refused = "/hub/login" in landed or "/oauth2/authorize" in landed
            rows.append([name, f"{status} at {landed.split('?')[0]}", refused])
    except urllib.error.HTTPError as error:
        rows.append([name, f"{error.code} {error.reason}", error.code in {401, 403, 404, 405}])


def resolve(name):
    return socket.getaddrinfo(name, 443)[0][4][0]


def write(path):
    with open(path, "w") as file:
        file.write("x")
    return path


def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return name


def raw(family, kind, protocol):
    with socket.socket(family, kind, protocol) as made:
        return made


def present(path):
    found = os.listdir(path) if os.path.isdir(path) else [path] if os.path.lexists(path) else []
    if not found:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return found


with concurrent.futures.ThreadPoolExecutor(16) as pool:
    list(pool.map(lambda one: attack(f"{one[0]} ({one[1]}:{one[2]})", connect, one[1], one[2]), TARGETS["connections"]))
for one in TARGETS["names"]:
    attack(f"DNS name outside the cluster ({one})", resolve, one)

hub, service, user = os.environ["JUPYTERHUB_API_URL"], os.environ["COHORTLAB_SERVICE_URL"] + "api/v1", os.environ["JUPYTERHUB_USER"]
proxy = os.environ["COHORTLAB_SERVICE_URL"].split("/services/")[0]
other, hidden = TARGETS["other"], TARGETS["hidden"]
over_http("hub API: list people", "GET", f"{hub}/users")
over_http("hub API: another person", "GET", f"{hub}/users/{other}")
over_http("hub API: a token with all my rights", "POST", f"{hub}/users/{user}/tokens", {})
over_http("hub API: start a session for another", "POST", f"{hub}/users/{other}/server", {"profile": "small"})
over_http("hub API: stop another's session", "DELETE", f"{hub}/users/{other}/server")
over_http("hub API: make myself an administrator", "PATCH", f"{hub}/users/{user}", {"admin": True})
over_http("hub API: join the stewards", "POST", f"{hub}/groups/%2Fstewards/users", {"users": [user]})
over_http("hub API: routes of the proxy", "GET", f"{hub}/proxy")
over_http("hub API: stop the hub", "POST", f"{hub}/shutdown", {})
over_http("hub API: metrics", "GET", hub.removesuffix("/api") + "/metrics")
over_http("another's session through the proxy", "GET", f"{proxy}/user/{other}/api/contents")
over_http("another's kernels through the proxy", "POST", f"{proxy}/user/{other}/api/kernels", {})
over_http(
    "service: grant myself a dataset", "POST", f"{service}/grants", {"datasets": [hidden], "person": user, "reason": "because I want it"}
)
over_http("service: read the audit", "GET", f"{service}/audit")
over_http("service: images of a dataset that I may not see", "GET", f"{service}/{TARGETS['image']}")
over_http("service: metrics", "GET", f"{proxy}/services/cohortlab/metrics")

mine = "/datasets/" + TARGETS["mine"]
attack("write into a dataset", write, mine + "/mine.txt")
attack("write over a manifest", write, mine + "/dataset.json")
attack("remove a manifest", os.unlink, mine + "/dataset.json")
attack("make a dataset", os.mkdir, "/datasets/made")
attack("rename a dataset", os.rename, mine, "/datasets/renamed")
attack("open a dataset's files to writing", os.chmod, mine, 0o777)
remount, bind = 0x20, 0x1000
attack("remount a dataset for writing", call, "mount", None, mine.encode(), None, remount | bind, None)
attack("mount something over a dataset", call, "mount", b"tmpfs", mine.encode(), b"tmpfs", 0, None)
attack("unmount a dataset", call, "umount2", mine.encode(), 2)
attack("a user namespace of my own", call, "unshare", 0x10000000)
attack("a mount namespace of my own", call, "unshare", 0x00020000)
attack("the node's namespaces", call, "chroot", b"/proc/1/root")
attack("another dataset by name", present, f"/datasets/{hidden}")
attack("another dataset by ..", present, f"{mine}/../{hidden}")
attack("the volume by ..", present, f"{mine}/../../stores")
attack("another version's folder by ..", present, f"{mine}/../1.0.0")
if os.path.lexists("peek"):
    os.unlink("peek")
os.symlink(f"/datasets/{TARGETS['mine']}/../../../{hidden}", "peek")
attack("another dataset by a symbolic link", lambda: os.listdir("peek"))
os.unlink("peek")
attack("the store's whole claim", present, "/stores")
attack("a service account's token", present, "/var/run/secrets/kubernetes.io")
attack("the workbench's secrets", present, "/etc/cohortlab")
attack("raw IP socket", raw, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
attack("packet socket", raw, socket.AF_PACKET, socket.SOCK_RAW, 0x0300)
attack("change the program files", write, "/opt/cohortlab/bin/python-mine")
attack("become root", os.setuid, 0)
attack("a device", os.mknod, "/tmp/kmsg", 0o020666, os.makedev(1, 11))
attack("the kernel's memory", open, "/proc/kcore", "rb")
attack("the kernel's log", open, "/dev/kmsg", "rb")
attack("a kernel setting", write, "/proc/sys/kernel/core_pattern")
attack("the node's magic keys", write, "/proc/sysrq-trigger")
print(json.dumps(rows))
