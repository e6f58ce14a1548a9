"""The calls of Modal's control plane that the client makes for us, over `State`. Everything else is a violation.

Modal publishes no description of these calls: `modal_proto` has the fields, the client's source (modal 1.6.4) which are
sent and how answers are used. Limits and refusals: modal.com/docs/guide/gpu.md (GPU names, counts), and "GPU memory
snapshots are not supported for Functions with more than one GPU" as users quote it (2026-09).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from fakes.modal_state import App, Function, Secret, State, Volume
from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2 as api

BUILDER = "2025.06"
GPUS = {"T4": 8, "L4": 8, "A10": 4, "L40S": 8, "A100-40GB": 8, "A100-80GB": 8, "RTX-PRO-6000": 8, "H100": 8, "H200": 8}
REGIONS = {"us", "eu", "ap", "us-east", "us-west", "eu-west", "uk", "ca", "jp"}
SUCCESS = api.GenericResult.GENERIC_STATUS_SUCCESS
MOST_SECONDS = 24 * 3600


def refuse(status: Status, message: str) -> GRPCError:
    return GRPCError(status, message)


class Calls:
    """One method for each call, its name in snake_case; `web_root` is where the containers answer."""

    def __init__(self, state: State, web_root: str) -> None:
        self.state = state
        self.web_root = web_root
        # What a test may set: the words with which the next build fails, and GPUs that this workspace has not.
        self.build_fails: list[str] = []
        self.without_gpus: set[str] = set()

    # The app.

    def client_hello(self, _request: Empty) -> Any:
        return api.ClientHelloResponse(image_builder_version=BUILDER)

    def environment_get_or_create(self, request: Any) -> Any:
        settings = api.EnvironmentSettings(image_builder_version=BUILDER, webhook_suffix="")
        name = request.deployment_name or "main"
        return api.EnvironmentGetOrCreateResponse(
            environment_id="en-1", metadata=api.EnvironmentMetadata(name=name, settings=settings)
        )

    def app_get_by_deployment_name(self, request: Any) -> Any:
        app, before = self.state.deployed(request.name), self.state.stopped(request.name)
        return api.AppGetByDeploymentNameResponse(
            app_id=app.id if app else "",
            previous_app_id=before.id if before else "",
            environment_name="main",
            lifecycle=lifecycle(app or before),
        )

    def app_get_or_create(self, request: Any) -> Any:
        app = self.state.deployed(request.app_name)
        if request.object_creation_type != api.OBJECT_CREATION_TYPE_UNSPECIFIED:
            raise refuse(Status.INVALID_ARGUMENT, "this fake creates no app without functions")
        if app is None:
            raise refuse(Status.NOT_FOUND, f"App '{request.app_name}' not found in environment 'main'")
        return api.AppGetOrCreateResponse(app_id=app.id, handle_metadata=app_metadata(app))

    def app_get_layout(self, request: Any) -> Any:
        app = self._app(request.app_id)
        return api.AppGetLayoutResponse(
            app_layout=api.AppLayout(function_ids=app.functions, class_ids=app.classes, objects=[])
        )

    def app_create(self, request: Any) -> Any:
        app = App(self.state.new_id("ap"), request.description, dict(request.tags))
        self.state.apps[app.id] = app
        return api.AppCreateResponse(app_id=app.id, app_page_url=f"https://modal.com/apps/{app.id}")

    def app_heartbeat(self, request: Any) -> Any:
        self._app(request.app_id)
        return Empty()

    def app_client_disconnect(self, request: Any) -> Any:
        app = self._app(request.app_id)
        if app.state == api.APP_STATE_INITIALIZING:
            app.state = api.APP_STATE_STOPPED
        return Empty()

    def app_publish(self, request: Any) -> Any:
        app = self._app(request.app_id)
        other = self.state.deployed(request.name)
        if other is not None and other is not app:
            raise refuse(Status.ALREADY_EXISTS, f"another App named '{request.name}' was deployed meanwhile")
        if request.app_state != api.APP_STATE_DEPLOYED:
            raise refuse(Status.INVALID_ARGUMENT, "this fake only deploys")
        for function_id in request.function_ids.values():
            self._function(function_id)
        before = [self.state.functions[each].published for each in request.function_ids.values()]
        now = [self.state.functions[each].definition for each in request.function_ids.values()]
        changed = before != now or app.tags != dict(request.tags) or app.state != api.APP_STATE_DEPLOYED
        app.name, app.tags, app.state = request.name, dict(request.tags), api.APP_STATE_DEPLOYED
        app.functions, app.classes = dict(request.function_ids), dict(request.class_ids)
        for function_id in request.function_ids.values():
            function = self.state.functions[function_id]
            function.published, function.override = function.definition, None
        app.version += int(changed)
        return api.AppPublishResponse(
            url=f"https://modal.com/apps/acme/main/deployed/{app.name}", deployed_at=time.time() if changed else 0
        )

    def app_stop(self, request: Any) -> Any:
        self._app(request.app_id).state = api.APP_STATE_STOPPED
        return Empty()

    def app_get_tags(self, request: Any) -> Any:
        return api.AppGetTagsResponse(tags=self._app(request.app_id).tags)

    def app_get_info(self, request: Any) -> Any:
        return api.AppGetInfoResponse(info=app_metadata(self._app(request.app_id)))

    def app_get_lifecycle(self, request: Any) -> Any:
        return api.AppGetLifecycleResponse(lifecycle=lifecycle(self._app(request.app_id)))

    def app_list(self, request: Any) -> Any:
        apps = [
            api.AppListResponse.AppListItem(
                app_id=app.id, description=app.name, name=app.name, state=app.state, created_at=time.time()
            )
            for app in self.state.apps.values()
        ]
        return api.AppListResponse(apps=apps)

    def app_fetch_logs(self, request: Any) -> Any:
        lines = self._app(request.app_id).logs[-(request.limit or 100) :]
        now = time.time()
        items = [
            api.TaskLogs(data=f"{line}\n", timestamp=now, file_descriptor=api.FILE_DESCRIPTOR_STDERR) for line in lines
        ]
        return api.AppFetchLogsResponse(batches=[api.TaskLogsBatch(items=items, task_id="ta-1")] if items else [])

    # Files.

    def mount_get_or_create(self, request: Any) -> Any:
        if request.deployment_name:  # the client's own code, published by Modal
            return api.MountGetOrCreateResponse(mount_id="mo-client", handle_metadata=api.MountHandleMetadata())
        files = {file.filename: file.sha256_hex for file in request.files}
        missing = [name for name, digest in files.items() if digest not in self.state.blobs]
        if missing:
            raise refuse(Status.FAILED_PRECONDITION, f"files were never sent: {missing}")
        # By content, so that an image over the same files is the same image.
        mount_id = f"mo-{hash_of(sorted(files.items()))}"
        self.state.mounts[mount_id] = files
        return api.MountGetOrCreateResponse(mount_id=mount_id, handle_metadata=api.MountHandleMetadata())

    def mount_batched_check_existence(self, request: Any) -> Any:
        missing = [digest for digest in request.sha256_hex_hashes if digest not in self.state.blobs]
        return api.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    def mount_put_file(self, request: Any) -> Any:
        if request.data_blob_id:
            raise refuse(Status.INVALID_ARGUMENT, "this fake takes no large files")
        is_empty = sha256(b"").hexdigest() == request.sha256_hex
        if request.data or is_empty:
            if sha256(request.data).hexdigest() != request.sha256_hex:
                raise refuse(Status.INVALID_ARGUMENT, "the data are not what their hash says")
            self.state.blobs[request.sha256_hex] = bytes(request.data)
        return api.MountPutFileResponse(exists=request.sha256_hex in self.state.blobs)

    def volume_get_or_create(self, request: Any) -> Any:
        volume = self.state.volume(request.deployment_name)
        if volume is None:
            if request.object_creation_type != api.OBJECT_CREATION_TYPE_CREATE_IF_MISSING:
                raise refuse(Status.NOT_FOUND, f"Volume '{request.deployment_name}' not found in environment 'main'")
            volume = Volume(self.state.new_id("vo"), request.deployment_name)
            self.state.volumes[volume.id] = volume
        version = api.VOLUME_FS_VERSION_V1
        return api.VolumeGetOrCreateResponse(
            volume_id=volume.id,
            version=version,
            metadata=api.VolumeMetadata(version=version, name=volume.name),
        )

    def volume_list_files(self, request: Any) -> Iterator[Any]:
        volume = self._volume(request.volume_id)
        prefix = request.path.strip("/")
        entries = [
            api.FileEntry(path=path, type=api.FileEntry.FILE, size=len(self.state.blobs[digest]))
            for path, digest in sorted(volume.files.items())
            if path.startswith(prefix) and (request.recursive or "/" not in path[len(prefix) :].strip("/"))
        ]
        yield api.VolumeListFilesResponse(entries=entries)

    def volume_put_files(self, request: Any) -> Any:
        volume = self._volume(request.volume_id)
        files = {file.filename.lstrip("/"): file.sha256_hex for file in request.files}
        taken = sorted(set(files) & set(volume.files))
        if taken and request.disallow_overwrite_existing_files:
            raise refuse(Status.ALREADY_EXISTS, f"{taken[0]}: already exists")
        if missing := [name for name, digest in files.items() if digest not in self.state.blobs]:
            raise refuse(Status.FAILED_PRECONDITION, f"files were never sent: {missing}")
        volume.files |= files
        return Empty()

    def volume_get_file2(self, request: Any) -> Any:
        volume = self._volume(request.volume_id)
        digest = volume.files.get(request.path.lstrip("/"))
        if digest is None:
            raise refuse(Status.NOT_FOUND, f"{request.path}: no such file")
        size = len(self.state.blobs[digest])
        return api.VolumeGetFile2Response(get_urls=[f"{self.web_root}/_blocks/{digest}"], size=size, start=0, len=size)

    def volume_delete(self, request: Any) -> Any:
        self._volume(request.volume_id)
        del self.state.volumes[request.volume_id]
        return Empty()

    def secret_get_or_create(self, request: Any) -> Any:
        anonymous = request.object_creation_type == api.OBJECT_CREATION_TYPE_ANONYMOUS_OWNED_BY_APP
        secret = None if anonymous else self.state.secret(request.deployment_name)
        if secret is None and not anonymous:
            raise refuse(Status.NOT_FOUND, f"Secret '{request.deployment_name}' not found in environment 'main'")
        if secret is None:
            values = dict(request.env_dict)
            secret = Secret(f"st-{hash_of(sorted(values.items()))}", "", values)
            self.state.secrets[secret.id] = secret
        metadata = api.SecretMetadata(name=secret.name, keys=sorted(secret.values))
        return api.SecretGetOrCreateResponse(secret_id=secret.id, metadata=metadata)

    # Images.

    def image_get_or_create(self, request: Any) -> Any:
        image = request.image
        for base in image.base_images:
            self._known(base.image_id, self.state.images, "image")
        if image.context_mount_id:
            self._known(image.context_mount_id, self.state.mounts, "mount")
        key = self.state.image_key(image)
        image_id = f"im-{key[:22]}"
        built = image_id in self.state.images
        self.state.images.setdefault(image_id, image)
        if built and not request.force_build:
            return api.ImageGetOrCreateResponse(image_id=image_id, result=api.GenericResult(status=SUCCESS))
        return api.ImageGetOrCreateResponse(image_id=image_id)

    def image_join_streaming(self, request: Any) -> Iterator[Any]:
        self._known(request.image_id, self.state.images, "image")
        words = self.build_fails.pop(0) if self.build_fails else ""
        lines = words.splitlines() or ["built"]
        for number, line in enumerate(lines):
            log = api.TaskLogs(data=f"{line}\n", file_descriptor=api.FILE_DESCRIPTOR_STDOUT)
            yield api.ImageJoinStreamingResponse(task_logs=[log], entry_id=str(number + 1))
        status = api.GenericResult.GENERIC_STATUS_FAILURE if words else SUCCESS
        if words:
            del self.state.images[request.image_id]
        exception = "RemoteError('image build terminated')" if words else ""
        yield api.ImageJoinStreamingResponse(
            result=api.GenericResult(status=status, exception=exception), entry_id=str(len(lines) + 1), eof=True
        )

    # Functions.

    def function_precreate(self, request: Any) -> Any:
        app = self._app(request.app_id)
        function_id = request.existing_function_id or self.state.new_id("fu")
        app.drafts[request.function_name] = function_id
        return api.FunctionPrecreateResponse(
            function_id=function_id,
            handle_metadata=self._metadata(app, function_id, request.function_name, request.method_definitions),
        )

    def function_create(self, request: Any) -> Any:
        app, definition = self._app(request.app_id), request.function
        self._check(definition)
        # The client sends a set of them, in another order each time: no change of the function.
        definition.mount_ids.sort()
        function_id = request.existing_function_id or self.state.new_id("fu")
        before = self.state.functions.get(function_id)
        self.state.functions[function_id] = Function(
            function_id,
            app.id,
            definition.function_name,
            definition,
            published=before.published if before else None,
            override=before.override if before else None,
        )
        return api.FunctionCreateResponse(
            function_id=function_id,
            function=definition,
            function_data=ranked(definition),
            handle_metadata=self._metadata(app, function_id, definition.function_name, definition.method_definitions),
        )

    def _check(self, definition: Any) -> None:
        """Refuse what Modal refuses, as far as it is known."""
        self._known(definition.image_id, self.state.images, "image")
        for secret_id in definition.secret_ids:
            self._known(secret_id, self.state.secrets, "secret")
        for mount in definition.volume_mounts:
            self._known(mount.volume_id, self.state.volumes, "volume")
        for mount_id in definition.mount_ids:
            self._known(mount_id, {**self.state.mounts, "mo-client": {}}, "mount")
        gpu = definition.resources.gpu_config
        if gpu.gpu_type and (gpu.gpu_type not in GPUS or gpu.gpu_type in self.without_gpus):
            raise refuse(Status.INVALID_ARGUMENT, f"GPU type {gpu.gpu_type} is not available in this workspace")
        if gpu.gpu_type and gpu.count > GPUS[gpu.gpu_type]:
            raise refuse(Status.INVALID_ARGUMENT, f"at most {GPUS[gpu.gpu_type]} {gpu.gpu_type} in one container")
        scaler = definition.autoscaler_settings
        if scaler.HasField("max_containers") and scaler.min_containers > scaler.max_containers:
            raise refuse(Status.INVALID_ARGUMENT, "min_containers is above max_containers")
        unknown = sorted(set(definition.scheduler_placement.regions) - REGIONS)
        if unknown:
            raise refuse(Status.INVALID_ARGUMENT, f"no such region: {unknown[0]}")
        if definition.experimental_options.get("enable_gpu_snapshot") == "True" and gpu.count > 1:
            message = "GPU memory snapshots are not supported for Functions with more than one GPU."
            raise refuse(Status.INVALID_ARGUMENT, message)
        if max(definition.timeout_secs, definition.startup_timeout_secs) > MOST_SECONDS:
            raise refuse(Status.INVALID_ARGUMENT, "a timeout is at most 24 hours")

    def class_create(self, request: Any) -> Any:
        self._app(request.app_id)
        class_id = request.existing_class_id or self.state.new_id("cs")
        self.state.classes[class_id] = request.app_id
        return api.ClassCreateResponse(class_id=class_id, handle_metadata=api.ClassHandleMetadata())

    def class_get(self, request: Any) -> Any:
        app = self._deployed(request.app_name)
        if request.object_tag not in app.classes:
            raise refuse(Status.NOT_FOUND, f"App has no class '{request.object_tag}'")
        return api.ClassGetResponse(class_id=app.classes[request.object_tag], handle_metadata=api.ClassHandleMetadata())

    def function_get(self, request: Any) -> Any:
        app = self._deployed(request.app_name)
        function_id = app.functions.get(request.object_tag)
        if function_id is None:
            raise refuse(Status.NOT_FOUND, f"App has no function '{request.object_tag}'")
        definition = self.state.functions[function_id].definition
        return api.FunctionGetResponse(
            function_id=function_id,
            function=ranked(definition),
            handle_metadata=self._metadata(app, function_id, definition.function_name, definition.method_definitions),
        )

    def function_get_by_id(self, request: Any) -> Any:
        function = self._function(request.function_id)
        app, definition = self.state.apps[function.app_id], function.definition
        return api.FunctionGetByIdResponse(
            function=ranked(definition),
            handle_metadata=self._metadata(app, function.id, definition.function_name, definition.method_definitions),
        )

    def function_get_current_stats(self, request: Any) -> Any:
        return api.FunctionStats(num_total_tasks=self.runners(self._function(request.function_id).app_id))

    def function_get_time_range_stats(self, request: Any) -> Any:
        app_id = self._function(request.function_id).app_id
        answered, failed = self.answered(app_id)
        latency = api.StatsPercentileDistribution(
            unit="seconds",
            percentiles=[
                api.StatsPercentile(percentile_basis_points=points, value=value)
                for points, value in ((5000, 0.25), (9500, 0.5))
            ],
        )
        return api.FunctionGetTimeRangeStatsResponse(
            since=request.since,
            until=request.until,
            input_success_count=answered,
            input_failure_count=failed,
            input_percentile_stats={"End-to-end latency (s)": latency} if answered else {},
        )

    def function_get_scheduling_params(self, request: Any) -> Any:
        function = self._function(request.function_id)
        return api.FunctionGetSchedulingParamsResponse(
            autoscaler_configuration=api.AutoscalerConfiguration(settings=self._autoscaler(function))
        )

    def function_update_scheduling_params(self, request: Any) -> Any:
        function = self._function(request.function_id)
        settings = self._autoscaler(function)
        settings.MergeFrom(request.settings)
        if settings.max_containers and settings.min_containers > settings.max_containers:
            raise refuse(Status.INVALID_ARGUMENT, "min_containers is above max_containers")
        function.override = settings
        return api.FunctionUpdateSchedulingParamsResponse(current_settings=settings)

    # Parts of the above.

    def runners(self, app_id: str) -> int:
        """How many containers run; the web part says."""
        raise NotImplementedError

    def answered(self, app_id: str) -> tuple[int, int]:
        """How many requests were answered, and how many failed; the web part says."""
        raise NotImplementedError

    def _autoscaler(self, function: Function) -> Any:
        settings = api.AutoscalerSettings()
        settings.CopyFrom(function.override or function.definition.autoscaler_settings)
        return settings

    def _metadata(self, app: App, function_id: str, name: str, methods: Any) -> Any:
        """A method's address stands in its own metadata, below the class's."""
        described = {
            method: api.FunctionHandleMetadata(
                function_name=definition.function_name,
                function_type=definition.function_type,
                web_url=self._web_url(app) if definition.webhook_config.type else "",
                is_method=True,
                use_method_name=method,
                app_id=app.id,
            )
            for method, definition in methods.items()
        }
        return api.FunctionHandleMetadata(
            function_name=name,
            function_type=api.Function.FUNCTION_TYPE_FUNCTION,
            definition_id=f"de-{function_id}",
            method_handle_metadata=described,
            app_id=app.id,
        )

    def _web_url(self, app: App) -> str:
        """By Modal's rule workspace, app and function make a host's name; here they make a path."""
        return f"{self.web_root}/acme--{re.sub(r'[^a-z0-9-]', '-', app.name.lower())}-endpoint-web"

    def _app(self, app_id: str) -> App:
        self._known(app_id, self.state.apps, "app")
        return self.state.apps[app_id]

    def _deployed(self, name: str) -> App:
        app = self.state.deployed(name)
        if app is None:
            raise refuse(Status.NOT_FOUND, f"App '{name}' not found in environment 'main'")
        return app

    def _function(self, function_id: str) -> Function:
        self._known(function_id, self.state.functions, "function")
        return self.state.functions[function_id]

    def _volume(self, volume_id: str) -> Volume:
        self._known(volume_id, self.state.volumes, "volume")
        return self.state.volumes[volume_id]

    def _known(self, identity: str, among: Any, kind: str) -> None:
        if identity not in among:
            raise refuse(Status.NOT_FOUND, f"there is no {kind} {identity!r}")


def hash_of(value: object) -> str:
    return sha256(repr(value).encode()).hexdigest()[:22]


def ranked(definition: Any) -> Any:
    """One definition as the server gives it back: a list of one, by GPU."""
    data = api.FunctionData(module_name=definition.module_name, function_name=definition.function_name)
    data.ranked_functions.append(api.FunctionData.RankedFunction(rank=0, function=definition))
    return data


def lifecycle(app: App | None) -> Any:
    if app is None:
        return None
    return api.AppLifecycle(app_state=app.state, created_at=1.0, deployed_at=2.0, version=app.version)


def app_metadata(app: App) -> Any:
    return api.AppHandleMetadata(
        app_id=app.id,
        description=app.name,
        environment_name="main",
        lifecycle=lifecycle(app),
        functions=app.functions,
    )
