"""Where the engine comes from: versions, the cache, PATH, and what is said when there is none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from takeover.engine import _install, binary
from takeover.engine.binary import GO_MOD, MINIMUM, Engine, EngineMissing, WayFailed, parse_version, pinned_version


@dataclass(frozen=True)
class Printed:
    id: str
    text: str
    version: tuple[int, int, int] | None


PRINTED = (
    Printed("a release as `pulumi version` prints it", "v3.274.1\n", (3, 274, 1)),
    Printed("a version without its v", "3.272.0", (3, 272, 0)),
    Printed("a development build counts as its release", "v3.275.0-alpha.x1f3a", (3, 275, 0)),
    Printed("a warning above it", "warning: a new version is there\nv3.280.0", (3, 280, 0)),
    Printed("the empty version of a build without -X", "\n", None),
    Printed("two numbers are no version", "v3.2", None),
)


@pytest.mark.parametrize("case", PRINTED, ids=lambda case: case.id)
def test_version_is_read_from_what_the_engine_prints(case: Printed) -> None:
    assert parse_version(case.text) == case.version


@dataclass(frozen=True)
class GoPrinted:
    id: str
    text: str
    version: tuple[int, int]


GO_PRINTED = (
    GoPrinted("a release with a patch", "go version go1.26.8 linux/amd64", (1, 26)),
    GoPrinted("a release without one", "go version go1.27 darwin/arm64", (1, 27)),
    GoPrinted("something else called go", "the board game", (0, 0)),
)


@pytest.mark.parametrize("case", GO_PRINTED, ids=lambda case: case.id)
def test_version_of_go_is_read(case: GoPrinted) -> None:
    assert _install.go_version(case.text) == case.version


def test_go_mod_pins_an_engine_that_this_sdk_can_drive() -> None:
    pinned = pinned_version(GO_MOD.read_text())
    assert pinned is not None
    assert pinned >= MINIMUM


def test_go_mod_without_the_engine_pins_nothing() -> None:
    assert pinned_version("module takeover/engine\n\ngo 1.26\n") is None


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and a PATH without pulumi or go."""
    monkeypatch.setenv("TAKEOVER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "cache" / "engine"


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_newest_engine_of_the_cache_is_used(cache: Path) -> None:
    executable(cache / "v3.9.0" / "pulumi")
    executable(cache / "v3.280.0" / "pulumi")
    newest = executable(cache / "v3.1000.0" / "bin" / "pulumi")
    (cache / ".building-x" / "v4.0.0").mkdir(parents=True)
    assert binary.find() == Engine(newest, (3, 1000, 0), "cache")


def test_an_engine_on_path_comes_first(cache: Path, tmp_path: Path) -> None:
    executable(cache / "v3.1000.0" / "pulumi")
    path = executable(tmp_path / "bin" / "pulumi", "#!/bin/sh\necho v3.300.2\n")
    assert binary.find() == Engine(path, (3, 300, 2), "PATH")


def test_an_engine_on_path_is_asked_for_its_version_once(cache: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    path = executable(tmp_path / "bin" / "pulumi", f"#!/bin/sh\necho >>{asked}\necho v3.300.2\n")
    assert [binary.find(), binary.find()] == [Engine(path, (3, 300, 2), "PATH")] * 2
    assert asked.read_text() == "\n"
    executable(path, f"#!/bin/sh\necho >>{asked}\necho v3.301.0 # newer\n")
    assert binary.find() == Engine(path, (3, 301, 0), "PATH")
    assert asked.read_text() == "\n\n"


@dataclass(frozen=True)
class Unfit:
    id: str
    script: str
    reason: str


UNFIT = (
    Unfit("an old one is named with what is needed", "echo v3.100.0", "is v3.100.0, v3.272.0 or later is needed"),
    Unfit("one that fails is named", "exit 3", "does not run (CalledProcessError)"),
    Unfit("one without a version is named", "echo", "is of no version, v3.272.0 or later is needed"),
)


@pytest.mark.parametrize("case", UNFIT, ids=lambda case: case.id)
def test_an_unfit_engine_on_path_is_passed_over(case: Unfit, cache: Path, tmp_path: Path) -> None:
    path = executable(tmp_path / "bin" / "pulumi", f"#!/bin/sh\n{case.script}\n")
    reasons: list[str] = []
    assert binary.find(reasons) is None
    assert reasons == [f"PATH: {path} {case.reason}", f"cache: no v3.272.0 or later in {cache}"]


def test_ways_are_tried_in_order_until_one_brings_an_engine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_cache: Path, _say: binary.Say) -> None:
        raise WayFailed("the first way: no network")

    def works(folder: Path, say: binary.Say) -> None:
        say("building")
        executable(folder / "v3.274.1" / "pulumi")

    def never(_cache: Path, _say: binary.Say) -> None:
        pytest.fail("the way before it brought an engine")

    monkeypatch.setattr(_install, "WAYS", (fails, works, never))
    heard: list[str] = []
    assert binary.find_or_install(heard.append) == cache / "v3.274.1" / "pulumi"
    assert heard == ["the first way: no network", "building"]


def test_no_way_left_is_one_refusal_with_every_reason(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_install, "WAYS", (_install.by_go,))
    with pytest.raises(EngineMissing) as caught:
        binary.find_or_install()
    assert str(caught.value) == (
        "no Pulumi engine can be had on this machine\n"
        "  PATH: there is no pulumi on it\n"
        f"  cache: no v3.272.0 or later in {cache}\n"
        "  go build: there is no go on PATH\n"
        "  Install Pulumi (https://www.pulumi.com/docs/install/) or Go and type `takeover engine install`, or go on "
        "without state, preview and refresh: takeover deploy --provider local --adapter DIR --outputs FILE."
    )
    assert caught.value.exit_code == 2


def test_of_two_setups_at_once_one_waits_and_takes_what_the_other_got(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_install, "WAYS", (lambda *_: pytest.fail("the other one got an engine"),))
    waits = Event()
    with ThreadPoolExecutor(1) as pool:
        with _install.one_at_a_time(cache, lambda _: None):
            second = pool.submit(binary.find_or_install, lambda _: waits.set())
            assert waits.wait(10)
            path = executable(cache / "v3.274.1" / "pulumi")
        assert second.result(10) == path


@dataclass(frozen=True)
class OldGo:
    id: str
    script: str
    reason: str


OLD_GO = (
    OldGo("too old to fetch a toolchain", "echo go version go1.19.8 linux/amd64", "Go 1.21 or later is needed"),
    OldGo("broken", "exit 1", "does not run (CalledProcessError)"),
)


@pytest.mark.parametrize("case", OLD_GO, ids=lambda case: case.id)
def test_an_unfit_go_is_a_way_that_failed(case: OldGo, cache: Path, tmp_path: Path) -> None:
    executable(tmp_path / "bin" / "go", f"#!/bin/sh\n{case.script}\n")
    with pytest.raises(WayFailed, match=case.reason.replace("(", r"\(").replace(")", r"\)")):
        _install.by_go(cache, lambda _: None)


def test_a_build_that_fails_leaves_nothing_in_the_cache(cache: Path, tmp_path: Path) -> None:
    script = (
        "#!/bin/sh\n[ $1 = version ] && echo go version go1.26.8 x && exit\necho first >&2; echo no space >&2; exit 1\n"
    )
    executable(tmp_path / "bin" / "go", script)
    cache.mkdir(parents=True)
    with pytest.raises(WayFailed) as caught:
        _install.by_go(cache, lambda _: None)
    assert str(caught.value) == "go build: no space"
    assert list(cache.iterdir()) == []


def test_a_build_that_works_is_in_the_cache_under_its_version(cache: Path, tmp_path: Path) -> None:
    # $8 is what follows -o: build -buildvcs=false -ldflags ... -o TARGET PACKAGE
    script = '#!/bin/sh\n[ $1 = version ] && echo go version go1.26.8 x && exit\necho "$4" >"$6"\n/bin/chmod +x "$6"\n'
    executable(tmp_path / "bin" / "go", script)
    cache.mkdir(parents=True)
    _install.by_go(cache, lambda _: None)
    engine = binary.find()
    pinned = pinned_version(GO_MOD.read_text())
    assert engine is not None
    assert engine.version == pinned
    assert f"version.Version=v{'.'.join(map(str, pinned or ()))}" in engine.path.read_text()


def test_a_slow_command_is_ended_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_install, "_EVERY_S", 0.05)
    heard: list[str] = []
    with pytest.raises(WayFailed) as caught:
        _install._run("slow", ["/bin/sh", "-c", "echo half way; sleep 60"], heard.append, limit_s=0.1)
    assert str(caught.value) == "slow: half way"
    assert heard[0] == "slow: 0 s so far"
