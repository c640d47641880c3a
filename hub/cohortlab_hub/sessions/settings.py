"""The parts of workbench.yaml that sessions are made from: profiles, GPUs, the queue, Kubernetes."""

import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from cohortlab_hub.settings_parts import File, Identifier, Part

if TYPE_CHECKING:
    from cohortlab_hub.settings import Settings

_QUANTITY = re.compile(r"(?:[1-9]\d*)(?:Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/:-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?")
_DIGEST = "@sha256:"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = ("JUPYTERHUB_", "COHORTLAB_", "JPY_")
_PICTURES = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg", ".webp": "image/webp"}
_LARGEST_PICTURE = 200_000  # bytes: it stands in the page itself


def _quantity(value: str) -> str:
    if not _QUANTITY.fullmatch(value):
        raise PydanticCustomError("quantity", "Write a size like 8Gi (Ki, Mi, Gi, Ti, k, M, G, T).")
    return value


def _image(value: str) -> str:
    if not _IMAGE.fullmatch(value):
        raise PydanticCustomError("image", "Name the image as registry/name@sha256:….")
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value) or value.startswith(_OURS):
        raise PydanticCustomError("variable", "No name for a variable of a profile: letters, digits, _; not JUPYTERHUB_… or COHORTLAB_….")
    return value


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in value:
        raise PydanticCustomError("inside", "Give a folder inside the volume, without a slash first and without `..`.")
    return str(path)


def _absolute(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts:
        raise PydanticCustomError("absolute", "Give an absolute path.")
    return str(path)


def _picture(value: File) -> File:
    if value.suffix.lower() not in _PICTURES or value.stat().st_size > _LARGEST_PICTURE:
        raise PydanticCustomError("picture", "A picture is a PNG, SVG, JPEG or WebP file of at most 200 kB.")
    return value


Quantity = Annotated[str, AfterValidator(_quantity)]
Image = Annotated[str, AfterValidator(_image)]
Variable = Annotated[str, AfterValidator(_variable)]
InnerFolder = Annotated[str, AfterValidator(_inside)]
AbsoluteFolder = Annotated[str, AfterValidator(_absolute)]
Picture = Annotated[File, AfterValidator(_picture)]
Group = Annotated[str, Field(min_length=1, max_length=255)]


class Toleration(Part):
    """A taint of nodes that a session bears, as Kubernetes writes it."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class GpuKind(Part):
    """A kind of GPU. `total`: how many there are; None counts them on the nodes, which the hub must be allowed to list."""

    title: str = ""
    resource: str = Field(default="nvidia.com/gpu", pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    total: int | None = Field(default=None, ge=0)
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []


class GpuRequest(Part):
    """What a profile asks for."""

    kind: Identifier
    count: int = Field(default=1, ge=1, le=64)


class Material(Part):
    """Files that a session reads: a folder of a volume."""

    volume: Identifier
    folder: InnerFolder


class Profile(Part):
    """A kind of session. `groups`: who may use it (full names; empty: everybody).

    `datasets` are those that it offers (None: all); of them a session gets what its user has leases for. `max_hours`
    ends it; within `guaranteed_hours` nobody takes its GPUs; after `idle_minutes` without a running kernel, a terminal's
    program or a person it is stopped (0: never). `extend_hours` is what its user may add at a time.
    """

    title: str = ""
    description: str = ""
    picture: Picture | None = None
    image: Image | None = None
    cpu: float = Field(default=2, gt=0, le=1024)
    cpu_guarantee: float | None = Field(default=None, ge=0)
    memory: Quantity = "4Gi"
    memory_guarantee: Quantity | None = None
    scratch: Quantity = "10Gi"
    gpu: GpuRequest | None = None
    groups: list[Group] = []
    max_hours: float | None = Field(default=None, gt=0)
    guaranteed_hours: float = Field(default=4, gt=0)
    idle_minutes: float = Field(default=60, ge=0)
    extend_hours: float = Field(default=0, ge=0)
    datasets: list[Identifier] | None = None
    material: dict[Identifier, Material] = {}
    environment: dict[Variable, str] = {}
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    priority_class: Identifier | None = None

    @model_validator(mode="after")
    def _guarantees_are_within(self) -> "Profile":
        if self.cpu_guarantee is not None and self.cpu_guarantee > self.cpu:
            raise PydanticCustomError("guarantee", "cpu_guarantee is more than cpu.")
        if self.max_hours is not None and "guaranteed_hours" in self.model_fields_set and self.guaranteed_hours > self.max_hours:
            raise PydanticCustomError("guarantee", "guaranteed_hours is more than max_hours.")
        return self

    def open_to(self, groups: Collection[str]) -> bool:
        """Whether somebody in `groups` may use it."""
        return not self.groups or not set(self.groups).isdisjoint(groups)


class Volume(Part):
    """A PersistentVolumeClaim of the sessions' namespace. `path`: where the hub and its services have it mounted."""

    claim: Identifier
    path: AbsoluteFolder


class Home(Part):
    """People's homes: a claim for each, or with `claim` a folder for each of one shared claim."""

    claim: Identifier | None = None
    size: Quantity = "10Gi"
    storage_class: str | None = None
    access_modes: list[Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]] = ["ReadWriteOnce"]


class Shared(Part):
    """Folders that the members of a group share, one a group, on a claim that they may write."""

    claim: Identifier
    groups: list[Group] = Field(min_length=1)


class Kubernetes(Part):
    """Sessions as pods. `hub_url` and `service_url` are addresses as a pod of the cluster reaches them."""

    namespace: Identifier
    hub_url: str = Field(pattern=r"^https?://[^\s]+$")
    service_url: str = Field(pattern=r"^https?://[^\s]+/$")
    proxy_api_url: str = Field(default="http://proxy-api:8001", pattern=r"^https?://[^\s]+$")
    services_url: str = Field(default="http://services:8082", pattern=r"^https?://[^\s]+$")
    volumes: dict[Identifier, Volume] = {}
    home: Home = Home()
    shared: Shared | None = None
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    pull_secrets: list[Identifier] = []
    images_by_tag: bool = Field(default=False, description="Allow images without a digest, for a trial: a tag may name another tomorrow.")
    command: list[str] = ["jupyterhub-singleuser"]
    port: int = Field(default=8888, ge=1024, le=65535)
    uid: int = Field(default=1000, ge=1)
    gid: int = Field(default=1000, ge=1)
    groups: list[int] = Field(default=[], description="Supplemental groups, such as the one that may read the stores.")
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    scheduler: str | None = None
    runtime_class: str | None = None
    user_namespaces: bool = Field(default=False, description="Pods in user namespaces of their own (hostUsers: false).")
    start_minutes: float = Field(default=10, gt=0, description="Longest time from the pod's creation to an answer, waiting aside.")
    starts_at_once: int = Field(default=64, ge=1, description="Pods that are being created at the same time.")


class Queue(Part):
    """The GPU queue. `shares`: weight of a project (1 where it is not named). `warning_minutes`: before GPUs are taken back."""

    shares: dict[Identifier, Annotated[float, Field(gt=0)]] = {}
    warning_minutes: float = Field(default=15, ge=0)
    booking_groups: list[Group] = Field(default=["trainers"], description="Who may book for any project; members may for their own.")
    keep_place_minutes: float = Field(default=10, ge=0, description="For how long a place in the queue outlives a restart of the hub.")


class Sessions(Part):
    """All sessions. `isolate`: ``auto`` separates those of this machine where the system can; ``required`` starts none otherwise."""

    isolate: Literal["auto", "required"] = "auto"
    warning_minutes: float = Field(default=10, ge=0, description="How long before a stop its user is told.")


def wrong_names(settings: "Settings") -> list[tuple[str, str]]:
    """What profiles and Kubernetes name that is nowhere else in the file: (path, sentence)."""
    problems: list[tuple[str, str]] = []
    volumes = settings.kubernetes.volumes if settings.kubernetes else {}
    for name, profile in settings.profiles.items():
        here = f"profiles.{name}"
        if profile.gpu is not None and profile.gpu.kind not in settings.gpus:
            problems.append((f"{here}.gpu.kind", f"There is no kind {profile.gpu.kind} under gpus."))
        elif profile.gpu is not None and settings.kubernetes is None:
            problems.append((f"{here}.gpu", "GPUs are shared out on Kubernetes only: sessions of this machine see what the machine has."))
        problems += [
            (f"{here}.datasets.{number}", f"There is no dataset {dataset}.")
            for number, dataset in enumerate(profile.datasets or [])
            if dataset not in settings.datasets
        ]
        problems += [
            (f"{here}.material.{label}.volume", f"There is no volume {material.volume} under kubernetes.volumes.")
            for label, material in profile.material.items()
            if material.volume not in volumes
        ]
        if settings.kubernetes is not None and profile.image is None:
            problems.append((f"{here}.image", "On Kubernetes each profile needs an image."))
        elif settings.kubernetes is not None and _DIGEST not in str(profile.image) and not settings.kubernetes.images_by_tag:
            told = "Name the image by its digest, registry/name@sha256:…, so that what was checked is what runs."
            problems.append((f"{here}.image", told))
    if settings.kubernetes is None:
        return problems
    if not settings.profiles:
        problems.append(("profiles", "On Kubernetes there must be a profile, which names the sessions' image."))
    problems += [
        (f"datasets.{name}.store", "It lies in no volume of kubernetes.volumes, so that no session could mount it.")
        for name, dataset in settings.datasets.items()
        if dataset.store is not None and not any(dataset.store.is_relative_to(volume.path) for volume in volumes.values())
    ]
    return problems
