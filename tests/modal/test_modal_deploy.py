"""The real `modal` command against the fake: what a deploy makes, what a redeploy changes, what a stop leaves."""

from __future__ import annotations

from modal_life import FULL, NAME, SECRETS, Life, settings_for

from takeover.modal_contract import APP_CLASS, AdapterRef, adapter_folder, parse_container_settings
from takeover.providers._modal_record import decode

# One life for all of them, in one process.


def test_what_a_deploy_says_of_its_function_is_what_the_settings_say(life: Life) -> None:
    definition = life.moments["changed"].definition
    wanted = {
        "function_name": f"{APP_CLASS}.*",
        "module_name": "modal_app",
        "is_class": True,
        "resources": {"gpu_config": {"gpu_type": "H100", "count": 1}},
        "autoscaler_settings": {
            "min_containers": 1,
            "max_containers": 4,
            "buffer_containers": 2,
            "scaledown_window": 90,
        },
        "max_concurrent_inputs": 16,
        "scheduler_placement": {"regions": ["eu", "us-east"]},
        "startup_timeout_secs": 900,
        "timeout_secs": 300,
        "checkpointing_enabled": True,
        "experimental_options": {"enable_gpu_snapshot": "True"},
    }
    assert {name: definition[name] for name in wanted} == wanted
    web = definition["method_definitions"]["web"]["webhook_config"]
    assert web == {"type": "WEBHOOK_TYPE_ASGI_APP", "async_mode": "WEBHOOK_ASYNC_MODE_AUTO"}


def test_a_function_scales_to_zero_in_no_region_unless_the_settings_say_otherwise(life: Life) -> None:
    definition = life.moments["new"].definition
    assert definition["autoscaler_settings"] == {
        "min_containers": 0,
        "max_containers": 1,
        "buffer_containers": 0,
        "scaledown_window": 300,
    }
    assert "scheduler_placement" not in definition


def test_two_volumes_are_mounted_and_secrets_are_named(life: Life) -> None:
    moment = life.moments["changed"]
    mounts = moment.definition["volume_mounts"]
    mounted = {mount["mount_path"]: moment.state.volumes[mount["volume_id"]].name for mount in mounts}
    assert mounted == {"/store": NAME, "/bases": "takeover-bases"}
    # The one without a name holds the settings.
    names = [moment.state.secrets[secret_id].name for secret_id in moment.definition["secret_ids"]]
    assert sorted(names) == ["", "huggingface"]


def test_a_container_is_told_its_settings_and_no_credential(life: Life) -> None:
    environment = life.moments["new"].environment
    # Where an adapter lay on the machine that deployed it is nothing that a container needs to know.
    adapters = (AdapterRef(name="tone", digest=life.first.digest),)
    told = parse_container_settings(environment)
    assert told == settings_for(life.first, adapters=adapters, key_mark=told.key_mark)
    assert {name for name in environment if not name.startswith("TAKEOVER_MODAL_")} == set()


def test_no_secret_is_printed(life: Life) -> None:
    keys = [moment.state.blobs[moment.files(NAME)["key"]].decode() for moment in life.moments.values()]
    printed = "".join(moment.printed for moment in life.moments.values())
    assert [secret for secret in (*SECRETS, *keys) if secret in printed] == []


def test_the_volume_gets_the_adapter_below_its_digest_and_a_key(life: Life) -> None:
    moment = life.moments["new"]
    sent = {
        name.rpartition("/")[2] for name in moment.files(NAME) if name.startswith(adapter_folder(life.first.digest))
    }
    assert sent >= {"manifest.json", "adapter_config.json", "adapter_model.safetensors"}
    assert len(moment.state.blobs[moment.files(NAME)["key"]]) >= 32


def test_the_same_deploy_again_sends_nothing_and_changes_nothing(life: Life) -> None:
    before, after = life.moments["new"], life.moments["again"]
    assert "no changes detected" in after.printed
    assert (after.files(NAME), after.app.version) == (before.files(NAME), 1)
    assert {"VolumePutFiles", "MountPutFile"} & set(after.calls) == set()


def test_a_new_digest_is_another_version_of_the_same_app_and_serves_the_old_one_too(life: Life) -> None:
    before, after = life.moments["again"], life.moments["changed"]
    assert (list(after.state.apps), after.app.functions) == (list(before.state.apps), before.app.functions)
    assert after.app.version == 2
    told = parse_container_settings(after.environment)
    assert [adapter.digest for adapter in told.served] == [life.second.digest, life.first.digest]
    assert after.files(NAME)["key"] == before.files(NAME)["key"]


def test_the_tags_say_what_is_served(life: Life) -> None:
    record = decode(life.moments["changed"].app.tags)
    assert record is not None
    roles = [[adapter.digest for adapter in role] for role in (record.adapters, record.kept)]
    assert roles == [[life.second.digest], [life.first.digest]]
    limits = (record.min_containers, record.max_containers)
    assert limits == (FULL["min_containers"], FULL["max_containers"])
    assert record.labels == {"managed-by": "takeover", "stack": "staging"}


def test_the_volumes_are_filled_once_for_each_content_and_again_when_one_was_lost(life: Life) -> None:
    assert [life.moments[name].builds() for name in ("new", "again", "changed", "refilled")] == [1, 1, 2, 3]


def test_the_real_stop_ends_the_app_and_its_function(life: Life) -> None:
    moment = life.moments["stopped"]
    assert moment.state.deployed(NAME) is None
    assert "AppStop" in moment.calls
