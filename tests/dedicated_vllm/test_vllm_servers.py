"""Servers as they may be: not started for adapters, of another base, several behind one address, SGLang."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.vllm_server import KEY, VllmCluster, vllm_cluster
from vllm_ground import NAME, Ground

from takeover.errors import AuthError, NotReady, Refused, VendorError
from takeover.providers._http import Patience
from takeover.providers._vllm_options import cluster_of, parse_options
from takeover.providers._vllm_replicas import find_fleet

START = "Start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment, --enable-lora and --max-lora-rank {}"


@dataclass(frozen=True)
class Case:
    """A server that cannot serve the adapter of rank 4, and what is said about it; nothing is left."""

    id: str
    change: Callable[[VllmCluster], object]
    said: tuple[str, ...]
    rank: int = 4


def of(name: str, value: object) -> Callable[[VllmCluster], object]:
    return lambda cluster: setattr(cluster, name, value)


CASES = [
    Case(
        "one that takes no adapters at run time",
        of("runtime_updates", False),
        ("takes no adapter at run time", "HTTP 404", START.format(8)),
    ),
    Case(
        "one without LoRA",
        of("lora_enabled", False),
        ("takes no adapter at run time", "LoRA is not enabled", START.format(8)),
    ),
    Case(
        "one for smaller ranks",
        of("largest_rank", 8),
        (
            "takes no adapter of rank 48",
            "LoRA rank 48 is greater than max_lora_rank 8",
            START.format(64) + "; or train",
        ),
        rank=48,
    ),
    Case(
        "one that does not see the folder",
        of("sees_files", False),
        ("does not see the files of", "No adapter found for", "takeover:dedicated-vllm.sharedPath"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_a_server_that_cannot_serve_it_is_recognised_and_the_way_out_named(two: Ground, case: Case) -> None:
    case.change(two.cluster)
    with pytest.raises(Refused) as caught:
        await two.deploy(two.model("a", rank=case.rank))
    text = str(caught.value)
    assert [words for words in case.said if words not in text] == []
    assert (two.cluster.names(), two.files()) == ([[], []], [])
    assert await two.provider().find(NAME) is None


BASE = "hub:acme/base@" + "1" * 40


@dataclass(frozen=True)
class Base:
    id: str
    bases: dict[str, str]
    options: dict[str, str]
    said: str


OTHER_BASES = [
    Base("another Hub model", {"llama": "acme/llama"}, {}, "it serves acme/llama, llama: the answers would be noise"),
    Base("a name that it does not have", {"base": "/models/b"}, {"baseModel": "other"}, "serves no other"),
]
SAME_BASES = [
    Base("its Hub name as the root", {"served": "acme/base"}, {}, BASE),
    Base("its Hub name as the name", {"acme/base": "/models/x"}, {}, BASE),
    Base("a folder, which tells nothing", {"served": "/models/x"}, {}, ""),
    Base("another name that the settings have", {"llama-awq": "acme/llama-awq"}, {"baseModel": "llama-awq"}, BASE),
]


@pytest.mark.parametrize("case", OTHER_BASES, ids=lambda case: case.id)
async def test_a_server_of_another_base_is_refused(ground: Ground, case: Base) -> None:
    ground.cluster.bases = case.bases
    ground.options |= case.options
    model = ground.model("a").model_copy(update={"base": BASE})
    with pytest.raises(Refused, match="baseModel") as caught:
        await ground.deploy(model, base=BASE)
    assert case.said in str(caught.value)
    assert ground.cluster.names() == [[]]


@pytest.mark.parametrize("case", SAME_BASES, ids=lambda case: case.id)
async def test_a_base_is_told_as_far_as_the_server_tells_it(ground: Ground, case: Base) -> None:
    ground.cluster.bases = case.bases
    ground.options |= case.options
    endpoint = await ground.deploy(ground.model("a").model_copy(update={"base": BASE}), base=BASE)
    told = await ground.provider().describe(endpoint)
    assert told is not None
    assert (told.base or "", told.healthy) == (case.said, True)


async def test_a_server_that_comes_back_with_another_base_is_unhealthy(ground: Ground) -> None:
    ground.cluster.bases = {"served": "acme/base"}
    endpoint = await ground.deploy(ground.model("a").model_copy(update={"base": BASE}), base=BASE)
    ground.cluster.bases = {"served": "acme/llama"}
    told = await ground.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, told.base, told.reason) == (False, None, f"{ground.cluster.url} serves another base")


async def test_fewer_replicas_than_are_asked_for_are_refused(two: Ground) -> None:
    with pytest.raises(Refused, match="minReplicas is 3, but 2 can be reached"):
        await two.deploy(two.model("a"), min_replicas=3)


async def test_several_servers_behind_one_address_are_noticed_and_refused_with_the_ways_out(two: Ground) -> None:
    del two.options["replicaUrls"]
    with pytest.raises(Refused) as caught:
        await two.deploy(two.model("a"))
    text = str(caught.value)
    assert f"{two.cluster.url} is several servers behind one address" in text
    assert "takeover:dedicated-vllm.replicaUrls" in text
    assert "resolve: dns" in text
    assert "resolve: balancer" in text
    two.options |= {"resolve": "balancer"}
    await two.deploy(two.model("a"))
    await two.provider().destroy(two.endpoint())
    assert (two.cluster.names(), two.files()) == ([[], []], [])


@pytest.fixture(params=[5, 6], ids=["an odd number of answers", "an even number of answers"])
def balanced(two: Ground, request: pytest.FixtureRequest) -> Ground:
    """The two replicas, reached through the balancer only; asked and told by turns, one would never be told."""
    del two.options["replicaUrls"]
    two.options |= {"resolve": "balancer", "agreements": request.param, "drainSeconds": 0}
    return two


async def test_behind_a_balancer_every_replica_gets_the_adapter_and_loses_the_old_one(balanced: Ground) -> None:
    old, new = balanced.model("a"), balanced.model("b")
    await balanced.deploy(old)
    assert balanced.cluster.names() == [[old.served_name]] * 2
    endpoint = await balanced.deploy(new)
    assert balanced.cluster.names() == [[new.served_name]] * 2
    told = await balanced.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, told.digests, told.replicas) == (True, (new.digest,), None)
    assert (await balanced.provider().get_metrics(endpoint)).model_dump(exclude_none=True) == {}
    await balanced.provider().destroy(endpoint)
    assert balanced.cluster.names() == [[], []]


async def test_behind_a_balancer_a_restarted_replica_is_noticed_and_mended(balanced: Ground) -> None:
    model = balanced.model("a")
    endpoint = await balanced.deploy(model)
    balanced.cluster.replicas[1].restart()
    told = await balanced.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, told.reason) == (
        False,
        f"{balanced.cluster.url} has lost {model.served_name} on some of the servers behind it",
    )
    await balanced.deploy(model)
    assert balanced.cluster.names() == [[model.served_name]] * 2


async def test_each_address_of_the_host_is_a_replica_with_resolve_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(_loop: object, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        assert (host, port) == ("vllm.inner", 8000)
        addresses = ["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1"]
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", getaddrinfo)
    cluster = cluster_of({"VLLM_CLUSTER_URL": "http://vllm.inner:8000/v1"})
    fleet = await find_fleet(cluster, parse_options({"resolve": "dns"}), Patience())
    assert [server.root for server in fleet.servers] == [
        "http://10.0.0.1:8000",
        "http://10.0.0.2:8000",
        "http://[fd00::1]:8000",
    ]


async def test_resolve_dns_with_https_is_refused() -> None:
    cluster = cluster_of({"VLLM_CLUSTER_URL": "https://vllm.example"})
    with pytest.raises(Refused, match="A certificate names a host"):
        await find_fleet(cluster, parse_options({"resolve": "dns"}), Patience())


async def test_a_host_that_has_no_address_is_unhealthy_and_not_an_exception(ground: Ground) -> None:
    endpoint = await ground.deploy(ground.model("a"))
    ground.monkeypatch.setenv("VLLM_CLUSTER_URL", "http://nowhere.invalid:8000")
    ground.options |= {"resolve": "dns"}
    told = await ground.provider().knowing((ground.model("a"),), ground.spec()).describe(endpoint)
    assert told is not None
    assert told.healthy is False


@pytest.fixture
def sglang(tmp_path: Path, adapters: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    monkeypatch.setenv("VLLM_ADMIN_API_KEY", "an-admin-s-key")
    with vllm_cluster(engine="sglang", admin_key="an-admin-s-key") as cluster:
        yield Ground(cluster, tmp_path, adapters, monkeypatch, {"engine": "sglang"})


async def test_sglang_is_asked_on_its_own_routes_with_the_admin_s_key_and_by_its_own_name(sglang: Ground) -> None:
    model = sglang.model("a")
    [named] = sglang.provider().named((model,), sglang.options)
    assert named.served_name == f"lora:{model.served_name}"
    endpoint = await sglang.deploy(named)
    assert sglang.cluster.names() == [[model.served_name]]
    assert endpoint.models == (named.served_name,)
    assert endpoint.api_key is not None
    assert endpoint.api_key.get_secret_value() == KEY
    answer = await sglang.provider().inference(endpoint, "hello")
    assert answer.startswith(f"{model.served_name} at 0")
    assert (await sglang.provider().get_metrics(endpoint)).requests == 2
    told = await sglang.provider().describe(endpoint)
    assert told is not None
    assert (told.healthy, told.models, told.digests) == (True, (named.served_name,), (model.digest,))
    await sglang.provider().destroy(endpoint)
    assert (sglang.cluster.names(), sglang.files()) == ([[]], [])


async def test_sglang_that_was_not_started_for_adapters_is_recognised(sglang: Ground) -> None:
    sglang.cluster.lora_enabled = False
    with pytest.raises(Refused, match="--enable-lora, --max-lora-rank 8 and --lora-target-modules"):
        await sglang.deploy(sglang.model("a"))


async def test_a_key_that_may_not_load_names_both_variables(sglang: Ground) -> None:
    sglang.monkeypatch.delenv("VLLM_ADMIN_API_KEY")
    with pytest.raises(AuthError, match="VLLM_ADMIN_API_KEY, where loading needs another one"):
        await sglang.deploy(sglang.model("a"))


async def test_a_server_that_asks_for_no_key_is_sent_none(ground: Ground) -> None:
    ground.cluster.key = None
    ground.monkeypatch.delenv("VLLM_API_KEY")
    endpoint = await ground.deploy(ground.model("a"))
    assert endpoint.api_key is None


async def test_nobody_there_is_not_ready(ground: Ground) -> None:
    ground.monkeypatch.setenv("VLLM_CLUSTER_URL", "http://127.0.0.1:1")
    with pytest.raises(NotReady, match="does not answer"):
        await ground.deploy(ground.model("a"))
    assert ground.files() == []


async def test_a_server_on_another_machine_needs_a_folder_that_both_see(ground: Ground) -> None:
    ground.monkeypatch.setenv("VLLM_CLUSTER_URL", "https://vllm.example")
    with pytest.raises(Refused) as caught:
        await ground.deploy(ground.model("a"))
    assert caught.value.where == "takeover:dedicated-vllm.sharedPath"
    assert "Nothing was created" in str(caught.value)
    assert list(ground.folder.glob("home/*")) == []


async def test_the_server_is_told_the_folder_as_it_sees_it(ground: Ground) -> None:
    mounted = ground.folder / "mnt"
    ground.options |= {"sharedPath": str(mounted), "sharedPathThere": "/adapters/"}
    ground.cluster.reads_paths = False
    model = ground.model("a")
    endpoint = await ground.deploy(model)
    assert ground.cluster.loaded() == [{model.served_name: f"/adapters/{model.served_name}"}]
    assert (mounted / model.served_name / "adapter_model.safetensors").is_file()
    await ground.provider().destroy(endpoint)
    assert [path.name for path in mounted.rglob("*") if path.is_file()] == ["servers.lock"]


async def test_an_adapter_that_was_changed_since_it_was_opened_is_refused_before_any_server_is_told(
    ground: Ground,
) -> None:
    model = ground.model("a")
    path = ground.folder / "changed"
    shutil.copytree(model.path, path)
    (path / "adapter_config.json").write_text("{}")
    with pytest.raises(Refused):
        await ground.deploy(model.model_copy(update={"path": str(path)}))
    assert ground.cluster.requests == []


async def test_a_cluster_that_moves_is_said_to_keep_what_it_has(ground: Ground) -> None:
    model = ground.model("a")
    await ground.deploy(model)
    before = ground.cluster.url
    with vllm_cluster() as other:
        ground.monkeypatch.setenv("VLLM_CLUSTER_URL", other.url)
        await ground.deploy(model)
        assert other.names() == ground.cluster.names() == [[model.served_name]]
    assert f"{before} goes on serving {model.served_name}: unload it there once nobody asks it any more" in ground.said


async def test_a_copy_that_is_not_what_was_copied_is_noticed_before_any_server_is_told(ground: Ground) -> None:
    def damage(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:-1] + b"x")

    ground.monkeypatch.setattr("takeover.providers._vllm_files.shutil.copyfile", damage)
    with pytest.raises(Refused):
        await ground.deploy(ground.model("a"))
    assert [path for _, _, path in ground.cluster.requests if "load" in path] == []
    assert await ground.provider().find(NAME) is None


async def test_a_server_that_tells_another_digest_than_was_deployed_is_not_believed(two: Ground) -> None:
    old, new = two.model("a"), two.model("b")
    await two.deploy(old)
    two.cluster.tells_digest = old.digest
    with pytest.raises(VendorError, match=f"It tells {old.digest}, and {new.digest} was deployed"):
        await two.deploy(new)
    assert two.cluster.names() == [[old.served_name]] * 2
