"""Profiles, GPUs and Kubernetes in workbench.yaml: what is right, and each error with its path."""

import pytest
import yaml

from cohortlab.keys import create_key
from cohortlab_hub.catalogue import Catalogue
from cohortlab_hub.sessions.pages import picture
from cohortlab_hub.settings_file import SettingsError, load

IMAGE = "registry.example.org/session@sha256:" + "a" * 64


@pytest.fixture
def document(tmp_path):
    key = create_key(tmp_path / "key")
    (tmp_path / "stores" / "scans").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "brain.svg").write_text("<svg/>")
    (tmp_path / "brain.txt").write_text("x")
    return {
        "login": {"kind": "demo", "accounts": {"ana": {}}},
        "trusted_keys": [key.public.text],
        "datasets": {"scans": {"store": "stores/scans"}},
        "gpus": {"a100": {"total": 2}},
        "profiles": {
            "small": {"image": IMAGE, "picture": "brain.svg"},
            "gpu": {"image": IMAGE, "gpu": {"kind": "a100"}, "datasets": ["scans"], "environment": {"THREADS": "4"}},
        },
        "kubernetes": {
            "namespace": "sessions",
            "hub_url": "http://hub:8081",
            "service_url": "http://proxy/services/cohortlab/",
            "volumes": {"stores": {"claim": "stores", "path": str(tmp_path / "stores")}},
        },
    }


def read(folder, document):
    file = folder / "workbench.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return load(file)


def put(document, path, value):
    *outer, last = path.split(".")
    for step in outer:
        document = document.setdefault(step, {})
    document[last] = value


def test_a_right_file(tmp_path, document):
    settings = read(tmp_path, document)
    assert list(settings.profiles) == ["small", "gpu"]
    assert settings.profiles["gpu"].gpu.count == 1
    assert settings.gpus["a100"].resource == "nvidia.com/gpu"
    assert picture(settings.profiles["small"]) == "data:image/svg+xml;base64,PHN2Zy8+"
    assert picture(settings.profiles["gpu"]) == ""


def test_in_a_cluster_a_store_may_be_filled_after_the_start(tmp_path, document):
    document["datasets"]["later"] = {"store": str(tmp_path / "stores" / "later" / "1.0.0")}
    entries = {entry.id: entry for entry in Catalogue(read(tmp_path, document)).entries()}
    assert "dataset.json" in entries["later"].problem
    assert entries["later"].store == tmp_path / "stores" / "later" / "1.0.0"


WRONG = [  # (path in the file, what is put there, path of the error, words of it)
    ("profiles.small.image", "registry.example.org/session:latest", "profiles.small.image", "by its digest"),
    ("profiles.small.image", None, "profiles.small.image", "each profile needs an image"),
    ("profiles.gpu.gpu.kind", "h100", "profiles.gpu.gpu.kind", "no kind h100"),
    ("kubernetes", None, "profiles.gpu.gpu", "shared out on Kubernetes only"),
    ("profiles.gpu.gpu.count", 0, "profiles.gpu.gpu.count", "greater than or equal to 1"),
    ("profiles.gpu.datasets", ["films"], "profiles.gpu.datasets.0", "no dataset films"),
    ("profiles.small.memory", "8 GB", "profiles.small.memory", "like 8Gi"),
    ("profiles.small.cpu_guarantee", 4, "profiles.small", "more than cpu"),
    ("profiles.small.max_hours", 0, "profiles.small.max_hours", "greater than 0"),
    ("profiles.small.environment", {"JUPYTERHUB_API_TOKEN": "x"}, "profiles.small.environment.JUPYTERHUB_API_TOKEN", "not JUPYTERHUB_"),
    ("profiles.small.environment", {"A-B": "x"}, "profiles.small.environment.A-B", "No name for a variable"),
    ("profiles.small.picture", "brain.txt", "profiles.small.picture", "PNG, SVG"),
    ("profiles.small.material", {"intro": {"volume": "courses", "folder": "x"}}, "profiles.small.material.intro.volume", "no volume"),
    (
        "profiles.small.material",
        {"intro": {"volume": "stores", "folder": "../x"}},
        "profiles.small.material.intro.folder",
        "without `..`",
    ),
    ("profiles", {}, "profiles", "there must be a profile"),
    ("datasets.scans.store", "elsewhere", "datasets.scans.store", "no volume"),
    ("kubernetes.volumes.stores.path", "stores", "kubernetes.volumes.stores.path", "absolute path"),
    ("kubernetes.uid", 0, "kubernetes.uid", "greater than or equal to 1"),
    ("queue.shares", {"lung": 0}, "queue.shares.lung", "greater than 0"),
    ("gpus.a100.resource", "gpu", "gpus.a100.resource", "pattern"),
    ("profiles.small.gpus", 1, "profiles.small.gpus", "Do you mean `gpu`?"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[0])
def test_errors_have_their_path(tmp_path, document, case):
    path, value, where, says = case
    put(document, path, value)
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, document)
    assert says in dict(caught.value.problems)[where]
