"""Arrays from a real kernel to a real Jupyter server: voxel for voxel, for their user only, gone with the kernel and the server."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hub"))

from jupyter_process import jupyter
from person import _execute

SHOW = """
import json, os
import numpy as np
import cohortlab as cl
values = (np.arange(20 * 30 * 40, dtype=np.int16) % 3000).reshape(20, 30, 40)
v = cl.view(values, label_image=(values > 2000).astype(np.uint8), spacing=(3, 1, 1))
print(json.dumps({"series": v.series, "label": v.label, "folder": os.environ["COHORTLAB_ARRAYS"], "state": str(v.get_state())}))
"""
VALUES = (np.arange(20 * 30 * 40, dtype=np.int16) % 3000).reshape(20, 30, 40)


class Kernel:
    """A kernel of the server."""

    def __init__(self, client: httpx.Client, url: str, token: str) -> None:
        self.client, self.url, self.headers = client, url, {"Authorization": f"token {token}"}
        self.id = client.post("api/kernels", json={"name": "python3"}).raise_for_status().json()["id"]

    def run(self, code: str) -> str:
        return asyncio.run(_execute(f"{self.url}api/kernels/{self.id}/channels", self.headers, code, 120))

    def end(self) -> None:
        self.client.delete(f"api/kernels/{self.id}").raise_for_status()


@pytest.fixture
def client(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"token {server.token}"}, timeout=120) as made:
        yield made


def test_an_array_is_served_by_the_server_and_goes_with_its_kernel(server, client):
    kernel = Kernel(client, server.url, server.token)
    shown = json.loads(kernel.run(SHOW))
    assert shown["series"].startswith("_arrays/array-")
    answer = client.get(f"cohortlab/api/series/{shown['series']}/slice", params={"plane": "y", "index": 7}).raise_for_status()
    np.testing.assert_array_equal(np.frombuffer(answer.content, "<i2").reshape(20, 40), VALUES[:, 7])
    label = client.get(f"cohortlab/api/series/{shown['label']}/slice", params={"plane": "z", "index": 3, "on": shown["series"]})
    np.testing.assert_array_equal(np.frombuffer(label.content, "<u2").reshape(30, 40), VALUES[3] > 2000)
    assert len(shown["state"]) < 6000
    folder = Path(shown["folder"])
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_uid == os.geteuid()
        assert path.stat().st_mode & 0o077 == 0
    assert httpx.get(f"{server.url}cohortlab/api/series/{shown['series']}/meta").status_code == 403
    kernel.end()
    gone = client.get(f"cohortlab/api/series/{shown['series']}/meta")
    assert (gone.status_code, gone.json()["code"]) == (404, "array-gone")
    assert gone.json()["hint"]


def test_nothing_is_left_when_the_server_stops(tmp_path, viewer_sample):
    with jupyter("jupyter_server", tmp_path, viewer_sample.environment()) as server:
        headers = {"Authorization": f"token {server.token}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=120) as client:
            folder = Path(json.loads(Kernel(client, server.url, server.token).run(SHOW))["folder"])
        assert any(folder.iterdir())
    assert not folder.exists()
