"""`takeover:hosting:SageMaker`: the order in which things are made, and what the preview says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pulumi
import pulumi_aws as aws

from components.endpoint import Endpoint
from components.hosting import Hosting, HostingArgs
from components.sagemaker.fleet import make_fleet
from components.sagemaker.role import make_role
from components.sagemaker.storage import Storage, make_storage, upload
from components.sagemaker.watching import make_alarms, make_dashboard, make_scaling
from takeover.sagemaker.alarms import build_alarms, latency_sentences, rollback_alarms
from takeover.sagemaker.images import image_uri
from takeover.sagemaker.names import invocation_url
from takeover.sagemaker.requests import is_by_steps
from takeover.sagemaker.serving import Serving, build_serving

__all__ = ["SageMaker", "sentences", "serving_of"]


class SageMaker(Hosting):
    """One endpoint of one account and region. Refused in the preview already, before anything is made."""

    def __init__(self, name: str, args: HostingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args, serving = serving_of(args)
        super().__init__("takeover:hosting:SageMaker", name, {}, opts)
        target_ms = args.settings.hosting.target_latency_ms if args.settings else None
        for sentence in sentences(serving, target_ms, is_reckoned=bool(args.spec.flags)):
            (pulumi.log.warn if sentence.startswith("warning: ") else pulumi.log.info)(sentence)
        region = aws.Provider(
            f"{serving.name}-aws",
            region=serving.options.region,
            default_tags={"tags": {f"takeover:{key}": value for key, value in serving.labels.items()}},
            opts=pulumi.ResourceOptions(parent=self),
        )
        here = pulumi.ResourceOptions(parent=self, provider=region)
        storage = make_storage(serving, here)
        role, rights = make_role(serving, storage, here)
        topic = serving.options.alarms_topic
        wanted = build_alarms(serving, target_ms, [topic] if topic else [])
        alarms = make_alarms(wanted, here)
        make_dashboard(serving, wanted, here)
        if serving.options.has_components:
            self._by_components(args, storage, role, [*rights, *alarms])
            return
        files = [each for model in serving.models for each in upload(serving, storage, model, here)]
        endpoint = make_fleet(
            serving,
            storage,
            role,
            rollback=rollback_alarms(wanted),
            after=[*rights, *files],
            watched=alarms,
            here=pulumi.ResourceOptions.merge(here, pulumi.ResourceOptions(protect=args.protect)),
        )
        make_scaling(serving, endpoint, here)
        url = endpoint.name.apply(lambda made: invocation_url(serving.options.region, made, has_components=False))
        self._declared(args, url=url, protocol="sagemaker", regions=[serving.options.region])

    def _by_components(
        self, args: HostingArgs, storage: Storage, role: pulumi.Input[str], after: list[pulumi.Resource]
    ) -> None:
        """The native provider brings the files, makes fleet and components, what scales them, and asks each."""
        endpoint = Endpoint(
            "endpoint",
            provider=args.tier.name,
            models=args.models,
            spec=args.spec,
            options={"bucket": storage.bucket, "roleArn": role},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*after, *storage.guards], protect=args.protect),
        )
        self._answered_by(endpoint)


def serving_of(args: HostingArgs) -> tuple[HostingArgs, Serving]:
    """The same arguments under the name that this mode goes by, and what is served.

    Another mode is another name: SageMaker turns neither into the other, so Pulumi makes the new one first.
    """
    spec = args.spec
    if spec.options.get("mode") == "inference-components":
        spec = spec.model_copy(update={"name": f"{spec.name}-ic"})
    return replace(args, spec=spec), build_serving(args.models, spec)


def sentences(serving: Serving, target_ms: int | None, *, is_reckoned: bool = False) -> Iterator[str]:
    """In words: what runs, how a new version takes over, what a latency goal means, what a quota must allow. Pure."""
    options = serving.options
    yield (
        f"sagemaker: {serving.name} in {options.region} on {options.instance_type}, "
        f"{serving.min_replicas} to {serving.max_replicas} of them; image "
        f"{image_uri(options.region, options.image_tag)}"
    )
    yield from latency_sentences(serving, target_ms, is_reckoned=is_reckoned)
    if options.has_components:
        yield (
            "sagemaker: each version of an adapter is an inference component beside the one before, which stays until "
            "the next change"
        )
        if serving.is_at_zero:
            yield (
                "sagemaker: at zero every call fails with `no capacity` and wakes it, which takes five to ten minutes; "
                "no call is kept waiting"
            )
        return
    yield (
        "sagemaker: a change of adapter is a new fleet beside the old one: have a quota of "
        f"{2 * serving.max_replicas} x {options.instance_type} for endpoint usage"
    )
    yield (
        f"sagemaker: an update sets the fleet back to {serving.first_count}, from where load brings it up again: "
        "pulumi-aws cannot retain the count, so let minReplicas be what the load at any time needs"
    )
    yield f"sagemaker: {_takes_over(serving)}; the alarms for latency and errors call the old version back"


def _takes_over(serving: Serving) -> str:
    update = serving.options.update
    if update.strategy == "rolling":
        return f"a new version takes over in batches of {update.percent}%"
    if is_by_steps(serving):
        return f"a new version gets {update.percent}% of the traffic first ({update.strategy})"
    if update.strategy == "all-at-once":
        return "a new version gets all traffic at once"
    return (
        f"a new version gets all traffic at once: a fleet of one has no {update.strategy} (minReplicas 2 or more has)"
    )
