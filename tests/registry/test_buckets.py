"""Buckets and folders as registries: the same verification, a version that exists whole or not at all.

S3 is moto's server, Google Cloud Storage a fake of our own, both on the loopback and with s3fs and gcsfs as they are
shipped; a folder is the real disk.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec.config
import pytest
from fakes.artifacts import facts, lora_config, lora_shapes, make_adapter
from fakes.gcs import FakeGcs

from takeover.adapter import Adapter, write_adapter
from takeover.errors import AuthError, Refusals, Refused, TakeoverError, VendorError
from takeover.registry import Address, buckets, parse_address, pull, push, resolve, versions
from takeover.registry.cache import adapters_dir

KEY = "AKIAPLANTEDPLANTED"
SECRET = "planted/secret/planted/secret/planted/se"


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """moto's server with the bucket `acme`; each test has a folder of its own in it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys).create_bucket(Bucket="acme")
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Address:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": s3_server,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return parse_address(f"s3://acme/{tmp_path.name}/tone")


@pytest.fixture(scope="module")
def gcs_server() -> Iterator[FakeGcs]:
    with FakeGcs("acme") as made:
        yield made


@pytest.fixture
def gs(gcs_server: FakeGcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server.url)
    # Else it asks Google, over gRPC, what kind of bucket each one is.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    # And here it would ask the machine that it runs on for credentials.
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    yield parse_address(f"gs://acme/{tmp_path.name}/tone")
    assert gcs_server.complaints == []


@pytest.fixture
def folder(tmp_path: Path) -> Address:
    return parse_address(f"file://{tmp_path}/published/tone")


@pytest.fixture(params=["s3", "gs", "folder"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Address:
    """Each kind in turn, and a cache apart."""
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path / "cache"))
    found: Address = request.getfixturevalue(request.param)
    return found


def files_of(address: Address) -> dict[str, bytes]:
    """What lies in a place, by name below it."""
    files, root = buckets._files(address.kind), buckets._root(address)
    start = files._strip_protocol(root).rstrip("/") + "/"
    return {str(path).removeprefix(start): files.cat_file(path) for path in files.find(root)}


def test_a_version_is_a_folder_named_by_its_digest(place: Address, adapter: Adapter) -> None:
    pushed = push(adapter.path, place)
    assert (pushed.created, pushed.address, pushed.digest) == (True, place.at(adapter.digest), adapter.digest)
    value = adapter.digest.removeprefix("sha256:")
    sent = {path.relative_to(adapter.path).as_posix(): path.read_bytes() for path in adapter.path.rglob("*.*")}
    assert files_of(place) == {f"{value}/{name}": data for name, data in sent.items()}


def test_pushed_twice_it_is_written_once(place: Address, adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    push(adapter.path, place)
    monkeypatch.setattr(buckets, "_put", never)
    assert push(adapter.path, place).created is False


def never(*_: object) -> None:
    raise AssertionError("nothing should be written")


def test_what_was_pushed_is_pulled_verified_and_kept(place: Address, adapter: Adapter) -> None:
    pushed = push(adapter.path, place)
    pulled = pull(pushed.address, digest=adapter.digest)
    assert (pulled.manifest, pulled.path) == (adapter.manifest, adapters_dir() / adapter.digest.removeprefix("sha256:"))
    assert pull(place, digest=adapter.digest) == pulled


def test_a_large_adapter_goes_up_and_comes_down_in_pieces(place: Address, tmp_path: Path) -> None:
    """Above 5 MB gcsfs uploads in another way; above 8 MB this reads in several pieces."""
    large = make_large_adapter(tmp_path / "large")
    assert large.path.joinpath("adapter_model.safetensors").stat().st_size > 8_500_000
    assert pull(push(large.path, place).address).manifest == large.manifest


def make_large_adapter(out: Path) -> Adapter:
    """An adapter of rank 1200 with weights of nought, which are quickly made."""
    modules = ("q_proj", "k_proj", "v_proj", "o_proj")
    header: dict[str, Any] = {}
    at = 0
    for name, (high, wide) in lora_shapes(1200, modules).items():
        header[name] = {"dtype": "F32", "shape": [high, wide], "data_offsets": [at, at + 4 * high * wide]}
        at += 4 * high * wide
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    trainer = out.with_name("trainer")
    trainer.mkdir()
    (trainer / "weights.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))
    (trainer / "config.json").write_text(json.dumps(lora_config(1200, modules)))
    return write_adapter(
        weights=trainer / "weights.safetensors", config=trainer / "config.json", out=out, facts=facts()
    )


def test_versions_are_listed_newest_first(place: Address, adapter: Adapter, tmp_path: Path) -> None:
    newer = make_adapter(tmp_path / "newer", seed=1, created="2026-11-25T00:00:00Z", evaluation={"margin": 1.5})
    for each in (newer, adapter):
        push(each.path, place)
    assert [version.to_json() for version in versions(place)] == [
        {
            "address": str(place.at(each.digest)),
            "commit": None,
            "digest": each.digest,
            "name": "support-tone",
            "tags": [],
            "created": each.manifest.created,
            "published": None,
            "evaluation": dict(each.manifest.evaluation),
        }
        for each in (newer, adapter)
    ]


def test_the_only_version_is_what_a_place_without_a_digest_means(
    place: Address, adapter: Adapter, tmp_path: Path
) -> None:
    push(adapter.path, place)
    assert resolve(place) == place.at(adapter.digest)
    push(make_adapter(tmp_path / "other", seed=1).path, place)
    with pytest.raises(Refused, match="names no version, and there are several"):
        resolve(place)


def test_a_version_without_its_manifest_does_not_exist_and_is_pushed_again(
    place: Address, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(buckets, "_write_manifest", never)
        with pytest.raises((AssertionError, VendorError)):
            push(adapter.path, place)
    said: list[str] = []
    assert (versions(place, say=said.append), said) == (
        [],
        [f"{place.at(adapter.digest)} was not published to its end"],
    )
    with pytest.raises(Refused, match="there is no such version"):
        pull(place.at(adapter.digest))
    assert push(adapter.path, place).created is True
    assert pull(place.at(adapter.digest)).digest == adapter.digest


def test_what_is_read_back_must_be_what_was_sent(
    place: Address, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = buckets._put

    def lossy(files: Any, source: Path, target: str, kind: Any) -> None:
        put(files, source, target, kind)
        if target.endswith(".safetensors"):
            files.pipe_file(target, b"other bytes")

    monkeypatch.setattr(buckets, "_put", lossy)
    with pytest.raises(VendorError, match=r"does not hold what was sent: adapter_model\.safetensors"):
        push(adapter.path, place)
    assert not any(name.endswith("manifest.json") for name in files_of(place))


def test_what_was_damaged_there_is_refused_by_name_and_nothing_stays(place: Address, adapter: Adapter) -> None:
    address = push(adapter.path, place).address
    weights = f"{buckets._folder(address)}/adapter_model.safetensors"
    files = buckets._files(address.kind)
    files.pipe_file(weights, files.cat_file(weights)[:-1] + b"\xff")
    with pytest.raises(Refusals) as refused:
        pull(address)
    assert [mistake.where for mistake in refused.value.mistakes] == [f"{address}/adapter_model.safetensors"]
    assert [path for path in adapters_dir().rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_another_adapter_in_the_digests_folder_is_refused(place: Address, adapter: Adapter, tmp_path: Path) -> None:
    push(adapter.path, place)
    other = push(make_adapter(tmp_path / "other", seed=1).path, place)
    files = buckets._files(place.kind)
    for name in ("adapter_config.json", "adapter_model.safetensors", "manifest.json"):
        mine = files.cat_file(f"{buckets._folder(place.at(adapter.digest))}/{name}")
        files.pipe_file(f"{buckets._folder(other.address)}/{name}", mine)
    with pytest.raises(Refused, match=f"holds {adapter.digest}, but {other.digest} was asked for"):
        pull(other.address)
    assert push(tmp_path / "other", place).created is True
    assert pull(other.address).digest == other.digest


def test_a_pull_that_was_cut_off_goes_on(place: Address, adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    address = push(adapter.path, place).address
    monkeypatch.setattr(buckets, "_CHUNK", 4096)
    chunks, asked = buckets._chunks, []

    def cut(files: Any, path: str, start: int, size: int) -> Iterator[bytes]:
        found = chunks(files, path, start, size)
        if path.endswith(".safetensors"):
            asked.append(start)
            yield next(found)
            raise ConnectionError
        yield from found

    with monkeypatch.context() as broken:
        broken.setattr(buckets, "_chunks", cut)
        for _ in range(2):
            with pytest.raises(VendorError, match="could not be reached"):
                pull(address)
    assert (asked, pull(address).digest) == ([0, 4096], adapter.digest)


def test_more_than_there_is_was_not_got_from_there(
    place: Address, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = push(adapter.path, place).address
    with monkeypatch.context() as broken:
        broken.setattr(buckets, "_chunks", lambda *_: iter([b"x" * 1_000_000]))
        with pytest.raises(Refused):
            pull(address)
    (incoming,) = [path for path in (adapters_dir() / "incoming").iterdir() if path.suffix == ".lock"]
    folder = incoming.with_suffix("")
    folder.mkdir()
    (folder / "adapter_model.safetensors.part").write_bytes(b"x" * 1_000_000)
    assert pull(address).digest == adapter.digest


def test_two_digests_for_one_address_are_refused(place: Address) -> None:
    with pytest.raises(Refused, match="Name one digest"):
        pull(place.at("sha256:" + "1" * 64), digest="sha256:" + "2" * 64)


@pytest.mark.parametrize(("private", "tag", "option"), [(True, None, "--private"), (False, "v1", "--tag")])
def test_what_is_the_hubs_alone_is_refused(
    place: Address, adapter: Adapter, private: bool, tag: str | None, option: str
) -> None:
    with pytest.raises(Refused) as refused:
        push(adapter.path, place, private=private, tag=tag)
    assert str(refused.value) == (
        f"{place}: {option} is for the Hub\n"
        "  Who may read there is the place's own setting, and versions are named by their digest.\n"
        f"  Push without {option}."
    )
    assert files_of(place) == {} or pytest.fail("something was written")


# What only one of them can be.


@dataclass(frozen=True)
class Case:
    id: str
    change: Callable[[pytest.MonkeyPatch], None]
    address: str
    want: type[TakeoverError]
    words: str


def without_keys(patch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.delenv(name)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    patch.setenv("AWS_CONFIG_FILE", "/nowhere")


def without_package(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(sys.modules, "s3fs", None)


def without_server(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    patch.setenv("AWS_MAX_ATTEMPTS", "1")


CASES = [
    Case(
        "no credentials",
        without_keys,
        "s3://acme/tone",
        AuthError,
        "{place}: there are no credentials for s3://\n  Nothing was created.\n"
        "  Give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's own role.",
    ),
    Case(
        "no package",
        without_package,
        "s3://acme/tone",
        Refused,
        "the package for s3:// is not installed\n  Python could not import s3fs.\n"
        "  Install it: `uv pip install s3fs`, or `pip install s3fs`.",
    ),
    Case(
        "no such bucket",
        lambda _: None,
        "s3://nobodys/tone",
        Refused,
        "there is nothing at {place}\n  Check the bucket's and the folder's name; or push first.",
    ),
    Case(
        "no such bucket at Google",
        lambda _: None,
        "gs://nobodys/tone",
        Refused,
        "there is nothing at {place}\n  Check the bucket's and the folder's name; or push first.",
    ),
    Case(
        "nobody answers",
        without_server,
        "s3://acme/tone",
        VendorError,
        "{place} could not be reached\n  The client said: EndpointConnectionError.\n"
        "  Check the network, then run the same command again.",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_bucket_that_cannot_be_used_is_refused_without_its_keys(
    s3: Address,
    gs: Address,
    adapter: Adapter,
    case: Case,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    request.addfinalizer(s3fs.S3FileSystem.clear_instance_cache)
    case.change(monkeypatch)
    address = parse_address(case.address)
    with pytest.raises(TakeoverError) as refused:
        push(adapter.path, address)
    place = str(address.at(adapter.digest))
    assert (type(refused.value), str(refused.value)) == (case.want, case.words.replace("{place}", place))
    shown = "".join([str(refused.value), repr(refused.value), *capfd.readouterr()])
    assert [secret for secret in (KEY, SECRET) if secret in shown] == []


def test_a_folder_of_versions_is_the_same_from_everywhere(
    tmp_path: Path, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    pushed = push(adapter.path, parse_address("published/tone"))
    assert str(pushed.address) == f"published/tone@{adapter.digest}"
    assert pull(pushed.address) == pull(parse_address(f"file://{tmp_path}/published/tone@{adapter.digest}"))
