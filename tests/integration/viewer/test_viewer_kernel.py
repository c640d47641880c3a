"""A widget's messages in a real kernel, without any server of ours: an image of an array, and the bundle itself."""

import gzip
import os

import numpy as np
import pytest
from jupyter_client.manager import KernelManager
from sample_store import DATASET

CODE = """
import numpy as np, cohortlab as cl
values = (np.arange(20 * 30 * 40, dtype=np.int16) % 3000).reshape(20, 30, 40)
v = cl.view(values)
print(v.model_id, v.series)
"""
VALUES = (np.arange(20 * 30 * 40, dtype=np.int16) % 3000).reshape(20, 30, 40)


@pytest.fixture(scope="module")
def kernel(viewer_sample):
    """A kernel as an editor starts it, and what talks to it."""
    manager = KernelManager(kernel_name="python3")
    known = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "COHORTLAB_"))}
    manager.start_kernel(env=known | viewer_sample.environment())
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)
        manager.cleanup_resources()


def run(client, code):
    """Run code; what it printed."""
    printed = []

    def heard(message):
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=120, output_hook=heard)
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(printed)


def send(client, comm, content):
    """A custom message to a widget."""
    data = {"method": "custom", "content": content}
    message = client.session.msg("comm_msg", {"comm_id": comm, "data": data})
    client.shell_channel.send(message)


def answered(client, comm, number):
    """The widget's answer to request `number`, put together from its parts."""
    parts = {}
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["msg_type"] != "comm_msg" or message["content"]["comm_id"] != comm:
            continue
        content = message["content"]["data"].get("content", {})
        if content.get("id") != number:
            continue
        parts[content["part"]] = bytes(message["buffers"][0])
        if len(parts) == content["parts"]:
            body = b"".join(parts[part] for part in sorted(parts))
            return content, gzip.decompress(body) if content["encoding"] == "gzip" else body


def test_an_array_and_a_stored_series_come_by_message(kernel, viewer_sample):
    comm, series = run(kernel, CODE).split()
    send(kernel, comm, {"kind": "get", "id": 1, "path": f"series/{series}/slice", "query": {"plane": "y", "index": 7}})
    content, body = answered(kernel, comm, 1)
    assert content["status"] == 200
    np.testing.assert_array_equal(np.frombuffer(body, "<i2").reshape(20, 40), VALUES[:, 7])
    send(kernel, comm, {"kind": "get", "id": 2, "path": f"series/{DATASET}/{viewer_sample.ct}/thumbnail"})
    content, body = answered(kernel, comm, 2)
    assert content["headers"]["Content-Type"] == "image/webp"


def test_many_questions_at_once_are_all_answered(kernel):
    comm, series = run(kernel, CODE).split()
    for index in range(20):
        send(kernel, comm, {"kind": "get", "id": index, "path": f"series/{series}/slice", "query": {"plane": "z", "index": index}})
    found = {}
    while len(found) < 20:
        message = kernel.get_iopub_msg(timeout=120)
        if message["msg_type"] == "comm_msg" and "id" in message["content"]["data"].get("content", {}):
            content = message["content"]["data"]["content"]
            body = bytes(message["buffers"][0])
            found[content["id"]] = body if content["encoding"] == "" else gzip.decompress(body)
    for index, body in found.items():
        np.testing.assert_array_equal(np.frombuffer(body, "<i2").reshape(30, 40), VALUES[index])


def test_the_bundle_comes_by_message(kernel):
    comm, _ = run(kernel, CODE).split()
    name = run(kernel, "from cohortlab.viewer.assets import bundles; print(bundles()['viewer'])").strip()
    send(kernel, comm, {"kind": "get", "id": 3, "path": f"static/{name}"})
    content, body = answered(kernel, comm, 3)
    assert content["status"] == 200
    assert b"export" in body


def test_a_stroke_of_the_brush_arrives(kernel):
    comm, _ = run(kernel, CODE).split()
    mask = np.zeros((30, 40), bool)
    mask[3:9, 5:20] = True
    data = {"method": "custom", "content": {"kind": "brush", "segment": 2, "index": 4, "frame": 0, "shape": [30, 40]}}
    message = kernel.session.msg("comm_msg", {"comm_id": comm, "data": data})
    kernel.session.send(kernel.shell_channel.socket, message, buffers=[np.packbits(mask).tobytes()])
    assert run(kernel, "print(int((v.segmentation == 2).sum()), int((v.segmentation[4, 3:9, 5:20] == 2).sum()))").split() == ["90", "90"]
