"""Stores over HTTP and S3: real servers on loopback, with latency, and with every fault that a network has."""

import hashlib
import json
import pickle
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import dask
import numpy as np
import pytest
import zarr
from moto.server import ThreadedMotoServer
from store_helpers import write

import cohortlab as cl
from cohortlab.errors import IntegrityError, InvalidInputError, NotFoundError, RefusedError, StorageError, UnavailableError
from cohortlab.keys import create_key
from cohortlab.store import Store, remote
from cohortlab.store.session import find
from dicom_samples import instance
from http_files import serve

SECRET = "wJalrXUtnFEMI-not-a-real-secret"  # noqa: S105 - it opens nothing


@pytest.fixture(scope="module")
def folder(tmp_path_factory, key):
    """A store of one series of 40 slices of 200 x 190 noise, which does not compress away."""
    noise = np.random.default_rng(7)
    made = [instance(n + 1, position=(0, 0, n), pixels=noise.integers(0, 4000, (200, 190), dtype=np.uint16)) for n in range(40)]
    root = tmp_path_factory.mktemp("remote")
    write(root, "one", made, key)
    return root


@pytest.fixture(scope="module")
def local(folder, key):
    return Store.open(folder / "one" / "1.0.0", [key.public])


@pytest.fixture
def web(folder, key, monkeypatch):
    monkeypatch.setenv("COHORTLAB_TRUSTED_KEYS", key.public.text)
    with serve(folder) as files:
        yield files


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(moto, folder, key, monkeypatch):
    """The environment of an account that may read the bucket; the address of the store in it."""
    for name, value in (
        ("AWS_ENDPOINT_URL", moto),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("COHORTLAB_TRUSTED_KEYS", key.public.text),
    ):
        monkeypatch.setenv(name, value)
    remote._client.cache_clear()
    client = boto3.client("s3", endpoint_url=moto, region_name="us-east-1")
    client.create_bucket(Bucket="imaging")
    for file in folder.rglob("*"):
        if file.is_file():
            client.upload_file(str(file), "imaging", file.relative_to(folder).as_posix())
    yield "s3://imaging/one/1.0.0"
    remote._client.cache_clear()


def same(address, local):
    store = cl.open(address)
    assert store.id == "one"
    ref, mine = store[0], local[0]
    image = ref.open()
    assert image.dims == ("z", "y", "x")
    assert (image.values == mine.open().values).all()
    assert (image[7].values == mine.array()[7]).all()
    assert (ref.array()[3:20, 10:150, 17] == mine.array()[3:20, 10:150, 17]).all()
    assert (ref.open(1).values == mine.open(1).values).all()
    assert ref.headers() == mine.headers()
    assert np.array_equal(ref.affine(), mine.affine())
    assert (cl.open(f"{address}/{ref.name}").values == image.values).all()
    assert find(image).id == ref.id


def test_http_reads_the_same_as_the_disk(web, local):
    same(f"{web.address}/one/1.0.0", local)
    assert {method for method, _, _ in web.requests} == {"GET"}


def test_s3_reads_the_same_as_the_disk(s3, local):
    same(s3, local)


def test_a_part_is_read_with_few_requests_at_once_and_without_the_rest(web, local):
    web.latency = 0.02
    store = Store.open(f"{web.address}/one/1.0.0/", [*_trusted()])
    array = store[0].array()
    web.requests.clear()
    assert (array[7] == local[0].array()[7]).all()
    asked = [r for r in web.requests if "/c/" in r[1]]
    assert all(part for _, _, part in asked)
    size = (local[0].path / "scale0/image/c/0/0/0").stat().st_size
    read = sum(int(part.split("-")[1]) - int(part.split("=")[1].split("-")[0]) for _, _, part in asked)
    assert read < 0.6 * size
    web.requests.clear()
    assert (array[8] == local[0].array()[8]).all()
    assert len([r for r in web.requests if "/c/" in r[1]]) < len(asked)  # the shard's index is known by now


def _trusted():
    from cohortlab.store.session import session_keys  # noqa: PLC0415 - reads the environment of the test

    return session_keys()


def test_many_shards_are_asked_for_at_once(tmp_path):
    """Sixty planes, each with files of its own: zarr's own limit would be ten at once."""
    array = zarr.create_array(tmp_path / "many", shape=(60, 8, 8), chunks=(1, 8, 8), dtype="u2", fill_value=0)
    array[...] = np.arange(60 * 64, dtype="u2").reshape(60, 8, 8)
    signed = {
        p.relative_to(tmp_path).as_posix(): (p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest())
        for p in tmp_path.rglob("*")
        if p.is_file()
    }
    with serve(tmp_path, 0.1) as web:
        opened = remote.RemotePlace(web.address).array("many", (tmp_path / "many" / "zarr.json").read_bytes(), signed, plain=False)
        assert (opened[:] == array[:]).all()
        assert 20 < web.most_in_flight <= remote.IN_FLIGHT
    assert zarr.config.get("async.concurrency") == 10
    assert "zarrs" not in zarr.config.get("codec_pipeline.path")


def test_dask_has_a_chunk_for_each_shard_and_reads_in_other_processes_without_credentials_in_its_pickle(s3, local):
    ref = cl.open(s3)[0]
    for word in ("shard", "auto"):
        lazy = ref.open(chunks=word)
        assert lazy.chunks == ((40,), (200,), (190,))
    assert ref.open().chunks is None
    assert local[0].open(chunks="shard").chunks == lazy.chunks
    packed = pickle.dumps(ref.array())
    assert SECRET.encode() not in packed
    assert b"AKIAEXAMPLE" not in packed
    assert (pickle.loads(packed)[5] == local[0].array()[5]).all()  # noqa: S301 - our own
    with dask.config.set(scheduler="processes", num_workers=1):
        assert int(lazy.sum()) == int(local[0].array()[:].sum())


@pytest.mark.parametrize("where", ["dataset.json", "zarr.json", "/c/"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (404, (NotFoundError, StorageError)),
        (403, RefusedError),
        (401, RefusedError),
        (400, UnavailableError),
        ("short", (IntegrityError, UnavailableError)),
        ("cut", UnavailableError),
    ],
)
def test_what_a_server_refuses_or_breaks_is_a_typed_error_that_repeats_nothing(web, where, fault, error):
    web.fault, web.where = fault, where
    with pytest.raises(error) as caught:
        cl.open(f"{web.address}/one/1.0.0")[0].open().values  # noqa: B018 - reads
    assert "what a server may repeat" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_fails_once_is_asked_again(web, local):
    store = cl.open(f"{web.address}/one/1.0.0")
    image = store[0].open()
    web.fault, web.where, web.latency = 503, "/c/", 0.05
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: image.values)
        assert web.faulted.wait(30)
        web.fault = None
        assert (reading.result() == local[0].array()[:]).all()


def test_a_server_that_vanishes_in_the_middle(folder, key):
    with serve(folder) as web:
        ref = Store.open(f"{web.address}/one/1.0.0", [key.public])[0]
        array = ref.array()
        assert array[0].any()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        array[39]
    with pytest.raises(UnavailableError):
        Store.open(f"{web.address}/one/1.0.0", [key.public])


def test_nobody_listens(key):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UnavailableError):
        Store.open(f"http://127.0.0.1:{port}/one/1.0.0", [key.public])


def test_a_signature_counts_there_as_here(web, tmp_path, monkeypatch):
    monkeypatch.setenv("COHORTLAB_TRUSTED_KEYS", create_key(tmp_path / "other.key").public.text)
    with pytest.raises(IntegrityError, match="not trusted"):
        cl.open(f"{web.address}/one/1.0.0")


@pytest.mark.parametrize("name", ["zarr.json", "scale0/zarr.json", "scale0/image/zarr.json"])
def test_metadata_that_was_changed_on_the_server_is_noticed(folder, tmp_path, key, name):
    shutil.copytree(folder, tmp_path / "copy")
    file = next((tmp_path / "copy").rglob("*.zarr")) / name
    file.chmod(0o644)
    text = file.read_text()
    file.write_text(text.replace("int16", "int32") if "int16" in text else text.replace("mm", "cm"))
    assert file.read_text() != text
    with serve(tmp_path / "copy") as web:
        ref = Store.open(f"{web.address}/one/1.0.0", [key.public])[0]
        with pytest.raises(IntegrityError):
            ref.array() if "image" in name else ref.open()


def test_a_changed_shard_is_noticed_when_it_is_read_whole(folder, tmp_path, key):
    shutil.copytree(folder, tmp_path / "copy")
    file = next((tmp_path / "copy").rglob("scale0/image/c/0/0/0"))
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    with serve(tmp_path / "copy") as web, pytest.raises(IntegrityError, match="not what was signed"):
        Store.open(f"{web.address}/one/1.0.0", [key.public])[0].array()[:]


def test_s3_without_a_right_to_read(s3, moto, monkeypatch):
    with pytest.raises(NotFoundError):
        cl.open("s3://imaging/two/1.0.0")
    boto3.client("s3", endpoint_url=moto, region_name="us-east-1").put_bucket_policy(
        Bucket="imaging",
        Policy=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]}
        ),
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    remote._client.cache_clear()
    with pytest.raises(RefusedError, match="AWS_ACCESS_KEY_ID") as caught:
        cl.open(s3)
    assert SECRET not in str(caught.value)
    boto3.client("s3", endpoint_url=moto, region_name="us-east-1").delete_bucket_policy(Bucket="imaging")


@pytest.mark.parametrize(
    "address",
    [
        "https://user:password@host/x",
        "https://host/x?X-Amz-Signature=abc",
        "https://host/x#y",
        "http://images.example.org/x",
        "ftp://host/x",
        "https:///x",
        "https://host/a/../b",
        "https://host/%2e%2e/b",
        "https://host:port/x",
        "s3://Bucket_/x",
        "https://[::1/x",
    ],
)
def test_an_address_that_cannot_be_used_is_not_repeated(address, key):
    with pytest.raises(InvalidInputError) as caught:
        Store.open(address, [key.public])
    assert address not in str(caught.value)
    assert "password" not in str(caught.value).replace("no user, password", "")


def test_a_remote_store_has_no_path_and_is_never_written(web):
    store = cl.open(f"{web.address}/one/1.0.0")
    with pytest.raises(StorageError, match="not on this machine"):
        store[0].path  # noqa: B018 - a property
    with pytest.raises((StorageError, ValueError)):
        store[0].array()[0] = 1
    assert {method for method, _, _ in web.requests} == {"GET"}


def test_a_shard_that_is_gone_is_no_empty_picture(folder, tmp_path, key):
    for way in ("disk", "http"):
        root = tmp_path / way
        shutil.copytree(folder, root)
        next(root.rglob("scale0/image/c/0/0/0")).unlink()
        if way == "disk":
            with pytest.raises(StorageError, match="missing"):
                Store.open(root / "one" / "1.0.0", [key.public])[0].array()
            continue
        with serve(root) as web, pytest.raises(StorageError, match="gone"):
            Store.open(f"{web.address}/one/1.0.0", [key.public])[0].array()[0]


def test_a_path_and_an_address_are_told_apart(tmp_path):
    with pytest.raises(NotFoundError):
        Store.open(Path(tmp_path), [])
