"""A session as a pod: a pure function from (person, profile, mounts, settings) to Kubernetes' own object, as a dict.

Every pod meets Pod Security ``restricted`` and has a read-only root file system. What can be written: the home, ``/tmp``,
``/scratch``, ``/dev/shm`` and the shared folders of the person's groups. ``/datasets`` is made by the container runtime in
the read-only root for the mounts inside it (a volume there could not be both read-only and have mount points made in
it); without a dataset it is an empty read-only volume. A dataset is one subPath of a claim that is itself mounted
read-only, so that nothing beside it is in the pod.

Names come from `kubespawner.slugs`; where those hold 8 digits of a SHA-256, ours hold 24, since a name is somebody's choice.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cohortlab_hub.sessions.settings import GpuKind, Kubernetes, Profile, Toleration

HOME, DATASETS, SCRATCH, SHARED, MATERIAL = "/home/session", "/datasets", "/scratch", "/shared", "/material"
COMPONENT = "singleuser-server"
GPU_LABEL, PROFILE_LABEL = "cohortlab/gpu", "cohortlab/profile"
PERSON, SERVER = "hub.jupyter.org/username", "hub.jupyter.org/servername"
CONTAINER, PORT = "notebook", "notebook-port"
_SLUG, _MORE_DIGITS = 32, 16
_DIGITS = 8  # of the hash in kubespawner's slugs

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mount:
    """A dataset in a session: the folder `folder` of the volume claim `claim`."""

    dataset: str
    claim: str
    folder: str


@dataclass(frozen=True, slots=True)
class Session:
    """Whose session it is. `server` is JupyterHub's name of it, empty for the default one."""

    person: str
    groups: frozenset[str] = frozenset()
    server: str = ""


def unique(*names: str) -> str:
    """A slug of 1 to 48 characters of ``a-z 0-9 -`` that no other names have."""
    from kubespawner import slugs  # noqa: PLC0415 - with all of Kubernetes' client, which a workbench of one machine does without

    short: str = slugs.safe_slug(names[0], max_length=_SLUG) if len(names) == 1 else slugs.multi_slug(list(names), max_length=_SLUG)
    if len(names) == 1 and short == names[0]:
        return short
    digest = hashlib.sha256(b"\xff".join(name.encode() for name in names)).hexdigest()
    return short + digest[_DIGITS : _DIGITS + _MORE_DIGITS]


def _label(name: str) -> str:
    """A label's value for it."""
    from kubespawner import slugs  # noqa: PLC0415 - as above

    value: str = slugs.safe_slug(name, is_valid=slugs.is_valid_label)
    return value


def pod_name(session: Session) -> str:
    """Name of the session's pod."""
    return f"session-{unique(session.person, session.server) if session.server else unique(session.person)}"


def home_claim(person: str) -> str:
    """Name of the claim that is `person`'s home."""
    return f"home-{unique(person)}"


def mounts(stores: Mapping[str, Path], kubernetes: Kubernetes) -> list[Mount]:
    """Where each dataset of the mount table `stores` (id -> folder as the hub sees it) lies, by id.

    Raises `ValueError` for an id that is no single step of a path, or a store that is in no volume.
    """
    made = []
    for dataset, store in sorted(stores.items()):
        if dataset != Path(dataset).name or dataset in {"", ".", ".."}:
            raise ValueError(f"Not a mount: {dataset!r}.")
        inside = [volume for volume in kubernetes.volumes.values() if store.is_relative_to(volume.path) and store != Path(volume.path)]
        if not inside:
            raise ValueError(f"The store of {dataset} is in no volume.")
        volume = max(inside, key=lambda volume: len(volume.path))
        made.append(Mount(dataset, volume.claim, store.relative_to(volume.path).as_posix()))
    return made


def home(person: str, kubernetes: Kubernetes) -> Manifest:
    """The claim of `person`'s home. It outlives every session."""
    claim: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": home_claim(person),
            "labels": {
                **kubernetes.labels,
                "app.kubernetes.io/name": "cohortlab",
                "app.kubernetes.io/component": "home",
                PERSON: _label(person),
            },
            "annotations": {PERSON: person},
        },
        "spec": {"accessModes": list(kubernetes.home.access_modes), "resources": {"requests": {"storage": kubernetes.home.size}}},
    }
    if kubernetes.home.storage_class is not None:
        claim["spec"]["storageClassName"] = kubernetes.home.storage_class
    return claim


def pod(
    session: Session,
    profile: tuple[str, Profile],
    datasets: Iterable[Mount],
    kubernetes: Kubernetes,
    gpus: Mapping[str, GpuKind],
    *,
    environment: Mapping[str, str],
    arguments: Iterable[str] = (),
) -> Manifest:
    """The pod of `session` with `profile` (its name, and itself), `datasets` and JupyterHub's `environment` for it."""
    name, wanted = profile
    kind = gpus[wanted.gpu.kind] if wanted.gpu else None
    volumes = _Volumes()
    spec: Manifest = {
        "restartPolicy": "OnFailure",  # a crash in a running session starts it again in place: /scratch is kept
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": kubernetes.uid,
            "runAsGroup": kubernetes.gid,
            "fsGroup": kubernetes.gid,
            "fsGroupChangePolicy": "OnRootMismatch",
            **({"supplementalGroups": list(kubernetes.groups)} if kubernetes.groups else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": wanted.image,
                "imagePullPolicy": kubernetes.pull_policy,
                "command": [*kubernetes.command, *arguments],
                "workingDir": HOME,
                "ports": [{"name": PORT, "containerPort": kubernetes.port}],
                "env": [{"name": key, "value": value} for key, value in sorted(_environment(environment, wanted).items())],
                "resources": _resources(wanted, kind),
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "privileged": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": _mounts(session, wanted, datasets, kubernetes, volumes),
            }
        ],
        "volumes": volumes.made,
    }
    selector = {**kubernetes.node_selector, **(kind.node_selector if kind else {}), **wanted.node_selector}
    tolerations = [*kubernetes.tolerations, *(kind.tolerations if kind else []), *wanted.tolerations]
    optional = {
        "nodeSelector": selector,
        "tolerations": [_toleration(one) for one in tolerations],
        "imagePullSecrets": [{"name": secret} for secret in kubernetes.pull_secrets],
        "priorityClassName": wanted.priority_class,
        "schedulerName": kubernetes.scheduler,
        "runtimeClassName": kubernetes.runtime_class,
    }
    spec |= {key: value for key, value in optional.items() if value}
    if kubernetes.user_namespaces:
        spec["hostUsers"] = False
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(session),
            "labels": _labels(session, name, wanted, kubernetes),
            "annotations": {**kubernetes.annotations, PERSON: session.person, **({SERVER: session.server} if session.server else {})},
        },
        "spec": spec,
    }


class _Volumes:
    """The pod's volumes: a claim that is read stands once, however many folders of it are mounted."""

    def __init__(self) -> None:
        self.made: list[Manifest] = []

    def add(self, name: str, **source: Any) -> str:
        self.made.append({"name": name, **source})
        return name

    def read(self, claim: str) -> str:
        name = f"read-{unique(claim)}"
        if not any(volume["name"] == name for volume in self.made):
            self.add(name, persistentVolumeClaim={"claimName": claim, "readOnly": True})
        return name


def _mounts(session: Session, profile: Profile, datasets: Iterable[Mount], kubernetes: Kubernetes, volumes: _Volumes) -> list[Manifest]:
    made: list[Manifest] = []
    if kubernetes.home.claim is None:
        volumes.add("home", persistentVolumeClaim={"claimName": home_claim(session.person)})
        made.append({"name": "home", "mountPath": HOME})
    else:
        volumes.add("home", persistentVolumeClaim={"claimName": kubernetes.home.claim})
        made.append({"name": "home", "mountPath": HOME, "subPath": unique(session.person)})
    for name, path, source in (
        ("tmp", "/tmp", {"sizeLimit": profile.scratch}),  # noqa: S108 - the session's own
        ("scratch", SCRATCH, {"sizeLimit": profile.scratch}),
        ("shm", "/dev/shm", {"medium": "Memory", "sizeLimit": profile.memory}),  # noqa: S108 - counts as the session's memory
    ):
        made.append({"name": volumes.add(name, emptyDir=source), "mountPath": path})
    folders = [
        {"name": volumes.read(mount.claim), "mountPath": f"{DATASETS}/{mount.dataset}", "subPath": mount.folder, "readOnly": True}
        for mount in sorted(datasets, key=lambda mount: mount.dataset)
    ]
    made += folders or [{"name": volumes.add("no-datasets", emptyDir={"sizeLimit": "1Mi"}), "mountPath": DATASETS, "readOnly": True}]
    for label, material in sorted(profile.material.items()):
        claim = kubernetes.volumes[material.volume].claim
        folder = str(PurePosixPath(material.folder))
        made.append({"name": volumes.read(claim), "mountPath": f"{MATERIAL}/{label}", "subPath": folder, "readOnly": True})
    if kubernetes.shared is not None:
        mine = sorted(session.groups & set(kubernetes.shared.groups))
        if mine:
            volumes.add("shared", persistentVolumeClaim={"claimName": kubernetes.shared.claim})
        made += [{"name": "shared", "mountPath": f"{SHARED}/{unique(group)}", "subPath": unique(group)} for group in mine]
    return made


def _environment(environment: Mapping[str, str], profile: Profile) -> dict[str, str]:
    """The profile's variables never replace JupyterHub's or the workbench's."""
    own = {
        "HOME": HOME,
        "COHORTLAB_DATASETS": DATASETS,
        "JUPYTER_RUNTIME_DIR": "/tmp/jupyter",  # noqa: S108 - sockets do not belong on a network's home
        "MEM_LIMIT": str(size(profile.memory)),
        "CPU_LIMIT": f"{profile.cpu:g}",
    }
    if profile.gpu is None:
        own["NVIDIA_VISIBLE_DEVICES"] = "void"  # on a node with GPUs, NVIDIA's runtime would show all of them
    return {**profile.environment, **environment, **own}


def _resources(profile: Profile, kind: GpuKind | None) -> Manifest:
    limits: Manifest = {"cpu": f"{profile.cpu:g}", "memory": profile.memory}
    requests: Manifest = {}
    if profile.cpu_guarantee is not None:
        requests["cpu"] = f"{profile.cpu_guarantee:g}"
    if profile.memory_guarantee is not None:
        requests["memory"] = profile.memory_guarantee
    if kind is not None and profile.gpu is not None:
        limits[kind.resource] = str(profile.gpu.count)
    return {"limits": limits, **({"requests": requests} if requests else {})}


def _labels(session: Session, name: str, profile: Profile, kubernetes: Kubernetes) -> dict[str, str]:
    return {
        **kubernetes.labels,
        "app.kubernetes.io/name": "cohortlab",
        "app.kubernetes.io/component": COMPONENT,
        "component": COMPONENT,  # by which kubespawner finds its pods
        PERSON: _label(session.person),
        SERVER: _label(session.server),
        "hub.jupyter.org/network-access-hub": "true",
        "hub.jupyter.org/network-access-proxy-http": "true",
        PROFILE_LABEL: name,
        **({GPU_LABEL: profile.gpu.kind} if profile.gpu else {}),
    }


def _toleration(one: Toleration) -> Manifest:
    return one.model_dump(exclude_none=True)


_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_UNITS |= {f"{letter}i": 1 << (10 * power) for power, letter in enumerate("KMGTP", 1)}


def size(quantity: str) -> int:
    """Bytes of a Kubernetes quantity such as ``8Gi``."""
    digits = quantity.rstrip("KMGTPki")
    return int(digits) * _UNITS[quantity[len(digits) :]]
