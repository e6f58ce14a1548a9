"""What a fake SageMaker keeps, and what its calls do to it: things take time, refuse what is busy, and outlive.

Rules from AWS's pages and from what users measured (July 2026), not from its code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Answer = dict[str, Any]
WHEN = 1_700_000_000
# How many times something is looked at before it is done.
_LOOKS = 2
# Families without disks of their own, for which a key of one's own is taken.
_WITHOUT_NVME = ("ml.p3.", "ml.c5.", "ml.m5.")


class Fails(Exception):
    def __init__(self, message: str, code: str = "ValidationException", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass
class Thing:
    """An endpoint or an inference component."""

    request: Answer
    status: str = "Creating"
    looks: int = _LOOKS
    then: str = "InService"
    live: str = ""
    reason: str = ""
    copies: int = 1
    is_new: bool = True


@dataclass
class State:
    """All of one account and region. `dies`: the next fleet or component fails, with these last words in its log.
    `unsettled`: how often a new role is not known yet."""

    account: str = "123456789012"
    region: str = "us-east-1"
    models: dict[str, Answer] = field(default_factory=dict)
    configurations: dict[str, Answer] = field(default_factory=dict)
    endpoints: dict[str, Thing] = field(default_factory=dict)
    components: dict[str, Thing] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    targets: dict[str, Answer] = field(default_factory=dict)
    policies: dict[str, Answer] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    dies: str = ""
    quota: int = 100
    unsettled: int = 0

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name}"

    def call(self, name: str, given: Answer) -> Answer:
        found: Callable[[Answer], Answer] | None = getattr(self, f"do_{name}", None)
        if found is None:
            raise Fails(f"the fake does not know {name}", "UnknownOperationException")
        return found(given)

    def _keep_tags(self, arn: str, given: Answer) -> None:
        self.tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in given.get("Tags", ())})

    # Models and configurations

    def do_CreateModel(self, given: Answer) -> Answer:  # noqa: N802
        name = given["ModelName"]
        if name in self.models:
            raise Fails(f"Cannot create already existing model {name!r}")
        if self.unsettled:
            self.unsettled -= 1
            raise Fails(f"Could not assume role {given['ExecutionRoleArn']}.")
        self.models[name] = given
        self._keep_tags(self.arn("model", name), given)
        return {"ModelArn": self.arn("model", name)}

    def do_DescribeModel(self, given: Answer) -> Answer:  # noqa: N802
        name = self._present(self.models, "model", given["ModelName"])
        return {**self.models[name], "ModelArn": self.arn("model", name), "CreationTime": WHEN}

    def do_DeleteModel(self, given: Answer) -> Answer:  # noqa: N802
        del self.models[self._present(self.models, "model", given["ModelName"])]
        return {}

    def do_ListModels(self, given: Answer) -> Answer:  # noqa: N802
        names = [name for name in self.models if given["NameContains"] in name]
        return {
            "Models": [{"ModelName": name, "ModelArn": self.arn("model", name), "CreationTime": WHEN} for name in names]
        }

    def do_CreateEndpointConfig(self, given: Answer) -> Answer:  # noqa: N802
        name, variant = given["EndpointConfigName"], given["ProductionVariants"][0]
        if name in self.configurations:
            raise Fails(f"Cannot create already existing endpoint configuration {name!r}")
        if "ModelName" in variant:
            self._present(self.models, "model", variant["ModelName"])
        elif "ExecutionRoleArn" not in given:
            raise Fails("ExecutionRoleArn is required when the variant names no model")
        if "KmsKeyId" in given and not variant["InstanceType"].startswith(_WITHOUT_NVME):
            raise Fails(f"KmsKeyId is not supported for {variant['InstanceType']}")
        self.configurations[name] = given
        return {"EndpointConfigArn": self.arn("endpoint-config", name)}

    def do_DescribeEndpointConfig(self, given: Answer) -> Answer:  # noqa: N802
        name = self._present(self.configurations, "endpoint configuration", given["EndpointConfigName"])
        told = {**self.configurations[name], "EndpointConfigArn": self.arn("endpoint-config", name)}
        return {**told, "CreationTime": WHEN}

    def do_DeleteEndpointConfig(self, given: Answer) -> Answer:  # noqa: N802
        name = self._present(self.configurations, "endpoint configuration", given["EndpointConfigName"])
        if any(name in (each.live, each.request["EndpointConfigName"]) for each in self.endpoints.values()):
            self.violations.append(f"the configuration {name} was deleted while an endpoint uses it")
        del self.configurations[name]
        return {}

    def do_ListEndpointConfigs(self, given: Answer) -> Answer:  # noqa: N802
        names = [name for name in self.configurations if given["NameContains"] in name]
        listed = [{"EndpointConfigName": name, "EndpointConfigArn": name, "CreationTime": WHEN} for name in names]
        return {"EndpointConfigs": listed}

    # Endpoints

    def do_CreateEndpoint(self, given: Answer) -> Answer:  # noqa: N802
        name = given["EndpointName"]
        self._present(self.configurations, "endpoint configuration", given["EndpointConfigName"])
        if name in self.endpoints:
            raise Fails(f"Cannot create already existing endpoint {name!r}")
        if len(self.endpoints) >= self.quota:
            said = "The account-level service limit 'ml.g6e.2xlarge for endpoint usage' is 0 Instances"
            raise Fails(said, "ResourceLimitExceeded")
        made = Thing(given, live=given["EndpointConfigName"])
        self._begin(made, "Failed", f"/aws/sagemaker/Endpoints/{name}")
        self.endpoints[name] = made
        self._keep_tags(self.arn("endpoint", name), given)
        return {"EndpointArn": self.arn("endpoint", name)}

    def do_UpdateEndpoint(self, given: Answer) -> Answer:  # noqa: N802
        name = self._present(self.endpoints, "endpoint", given["EndpointName"])
        self._present(self.configurations, "endpoint configuration", given["EndpointConfigName"])
        thing = self._idle(self.endpoints[name], "endpoint")
        thing.request = {**thing.request, "EndpointConfigName": given["EndpointConfigName"], "Update": given}
        thing.status, thing.looks, thing.then, thing.is_new = "Updating", _LOOKS, "InService", False
        self._begin(thing, "InService", f"/aws/sagemaker/Endpoints/{name}")
        return {"EndpointArn": self.arn("endpoint", name)}

    def do_UpdateEndpointWeightsAndCapacities(self, given: Answer) -> Answer:  # noqa: N802
        thing = self._idle(self.endpoints[self._present(self.endpoints, "endpoint", given["EndpointName"])], "endpoint")
        thing.copies = given["DesiredWeightsAndCapacities"][0]["DesiredInstanceCount"]
        thing.status, thing.looks, thing.then = "Updating", _LOOKS, "InService"
        return {"EndpointArn": self.arn("endpoint", given["EndpointName"])}

    def do_DescribeEndpoint(self, given: Answer) -> Answer:  # noqa: N802
        name = self._present(self.endpoints, "endpoint", given["EndpointName"])
        thing = self._looked(self.endpoints, name)
        return {
            "EndpointName": name,
            "EndpointArn": self.arn("endpoint", name),
            "EndpointConfigName": thing.live,
            "EndpointStatus": thing.status,
            **({"FailureReason": thing.reason} if thing.reason else {}),
            "ProductionVariants": [{"VariantName": "main", "CurrentInstanceCount": thing.copies}],
            "CreationTime": WHEN,
            "LastModifiedTime": WHEN,
        }

    def do_ListEndpoints(self, _given: Answer) -> Answer:  # noqa: N802
        listed = [
            {
                "EndpointName": name,
                "EndpointArn": self.arn("endpoint", name),
                "CreationTime": WHEN,
                "LastModifiedTime": WHEN,
                "EndpointStatus": thing.status,
            }
            for name, thing in self.endpoints.items()
            if not (thing.status == "Deleting" and thing.looks == 0)
        ]
        return {"Endpoints": listed}

    def do_DeleteEndpoint(self, given: Answer) -> Answer:  # noqa: N802
        thing = self._idle(self.endpoints[self._present(self.endpoints, "endpoint", given["EndpointName"])], "endpoint")
        if any(each.request["EndpointName"] == given["EndpointName"] for each in self.components.values()):
            self.violations.append(f"{given['EndpointName']} was deleted before its inference components")
        if f"endpoint/{given['EndpointName']}/variant/main" in self.targets:
            self.violations.append(f"{given['EndpointName']} was deleted before what scales it")
        thing.status, thing.looks, thing.then = "Deleting", 1, ""
        return {}

    # Inference components

    def do_CreateInferenceComponent(self, given: Answer) -> Answer:  # noqa: N802
        name = given["InferenceComponentName"]
        endpoint = self.endpoints[self._present(self.endpoints, "endpoint", given["EndpointName"])]
        variant = self.configurations[endpoint.live]["ProductionVariants"][0]
        if "ModelName" in variant:
            raise Fails("Inference components are not supported in this Endpoint")
        if name in self.components:
            raise Fails(f"Cannot create already existing inference component {name!r}")
        specification = given["Specification"]
        base = specification.get("BaseInferenceComponentName")
        if (
            base is not None
            and self.components[self._present(self.components, "inference component", base)].copies == 0
        ):
            raise Fails(f"inference component {base} has no copies")
        made = Thing(given, copies=given.get("RuntimeConfig", {}).get("CopyCount", 1))
        self._begin(made, "Failed", f"/aws/sagemaker/InferenceComponents/{name}")
        self.components[name] = made
        self._keep_tags(self.arn("inference-component", name), given)
        return {"InferenceComponentArn": self.arn("inference-component", name)}

    def do_UpdateInferenceComponent(self, given: Answer) -> Answer:  # noqa: N802
        name = self._present(self.components, "inference component", given["InferenceComponentName"])
        thing = self._idle(self.components[name], "inference component")
        thing.request = {**thing.request, "Specification": given["Specification"]}
        thing.status, thing.looks = "Updating", _LOOKS
        return {"InferenceComponentArn": self.arn("inference-component", name)}

    def do_UpdateInferenceComponentRuntimeConfig(self, given: Answer) -> Answer:  # noqa: N802
        name = self._present(self.components, "inference component", given["InferenceComponentName"])
        thing = self._idle(self.components[name], "inference component")
        thing.copies = given["DesiredRuntimeConfig"]["CopyCount"]
        thing.status, thing.looks = "Updating", _LOOKS
        return {"InferenceComponentArn": self.arn("inference-component", name)}

    def do_DescribeInferenceComponent(self, given: Answer) -> Answer:  # noqa: N802
        name = self._present(self.components, "inference component", given["InferenceComponentName"])
        thing = self._looked(self.components, name)
        return {
            **{key: thing.request[key] for key in ("EndpointName", "Specification")},
            "InferenceComponentName": name,
            "InferenceComponentArn": self.arn("inference-component", name),
            "EndpointArn": self.arn("endpoint", thing.request["EndpointName"]),
            "InferenceComponentStatus": thing.status,
            **({"FailureReason": thing.reason} if thing.reason else {}),
            "RuntimeConfig": {"CurrentCopyCount": thing.copies, "DesiredCopyCount": thing.copies},
            "CreationTime": WHEN,
            "LastModifiedTime": WHEN,
        }

    def do_DeleteInferenceComponent(self, given: Answer) -> Answer:  # noqa: N802
        name = self._present(self.components, "inference component", given["InferenceComponentName"])
        thing = self._idle(self.components[name], "inference component")
        if f"inference-component/{name}" in self.targets:
            self.violations.append(f"{name} was deleted before what scales it")
        thing.status, thing.looks, thing.then = "Deleting", 1, ""
        return {}

    def do_ListInferenceComponents(self, given: Answer) -> Answer:  # noqa: N802
        found = {k: v for k, v in self.components.items() if v.request["EndpointName"] == given["EndpointNameEquals"]}
        return {
            "InferenceComponents": [
                {
                    "InferenceComponentName": name,
                    "InferenceComponentArn": self.arn("inference-component", name),
                    "EndpointName": each.request["EndpointName"],
                    "EndpointArn": "x",
                    "VariantName": "main",
                    "CreationTime": WHEN,
                    "LastModifiedTime": WHEN,
                }
                for name, each in found.items()
            ]
        }

    # Tags

    def do_ListTags(self, given: Answer) -> Answer:  # noqa: N802
        tags = self.tags.get(given["ResourceArn"], {})
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def do_AddTags(self, given: Answer) -> Answer:  # noqa: N802
        self._keep_tags(given["ResourceArn"], given)
        return {"Tags": given["Tags"]}

    def do_DeleteTags(self, given: Answer) -> Answer:  # noqa: N802
        for key in given["TagKeys"]:
            self.tags.get(given["ResourceArn"], {}).pop(key, None)
        return {}

    # Application Auto Scaling

    def do_RegisterScalableTarget(self, given: Answer) -> Answer:  # noqa: N802
        kind, _, rest = given["ResourceId"].partition("/")
        there = self.endpoints if kind == "endpoint" else self.components
        if rest.split("/")[0] not in there:
            raise Fails(f"{given['ResourceId']} does not exist")
        if kind == "endpoint" and given.get("MinCapacity", 1) < 1:
            raise Fails("a variant's minimum is 1")
        self.targets[given["ResourceId"]] = {**self.targets.get(given["ResourceId"], {}), **given}
        return {"ScalableTargetARN": f"arn:aws:application-autoscaling:{self.region}:{self.account}:scalable-target/1"}

    def do_DescribeScalableTargets(self, given: Answer) -> Answer:  # noqa: N802
        found = [self.targets[each] for each in given["ResourceIds"] if each in self.targets]
        return {"ScalableTargets": [{**each, "RoleARN": "arn:x", "CreationTime": WHEN} for each in found]}

    def do_DeregisterScalableTarget(self, given: Answer) -> Answer:  # noqa: N802
        if given["ResourceId"] not in self.targets:
            raise Fails("No scalable target found for service namespace: sagemaker", "ObjectNotFoundException")
        del self.targets[given["ResourceId"]]
        return {}

    def do_PutScalingPolicy(self, given: Answer) -> Answer:  # noqa: N802
        if given["ResourceId"] not in self.targets:
            raise Fails("No scalable target registered", "ObjectNotFoundException")
        self.policies[given["PolicyName"]] = given
        arn = f"arn:aws:autoscaling:{self.region}:{self.account}:scalingPolicy:0:policyName/{given['PolicyName']}"
        return {"PolicyARN": arn, "Alarms": []}

    def do_DeleteScalingPolicy(self, given: Answer) -> Answer:  # noqa: N802
        if given["PolicyName"] not in self.policies:
            raise Fails("No scaling policy found", "ObjectNotFoundException")
        del self.policies[given["PolicyName"]]
        return {}

    # Logs

    def do_DescribeLogStreams(self, given: Answer) -> Answer:  # noqa: N802
        if given["logGroupName"] not in self.logs:
            raise Fails("The specified log group does not exist.", "ResourceNotFoundException")
        return {"logStreams": [{"logStreamName": "main/i-1"}]}

    def do_GetLogEvents(self, given: Answer) -> Answer:  # noqa: N802
        return {"events": [{"timestamp": WHEN, "message": line} for line in self.logs[given["logGroupName"]]]}

    # Time

    def _present(self, there: dict[str, Any], kind: str, name: str) -> str:
        if name not in there:
            raise Fails(f'Could not find {kind} "{self.arn(kind.replace(" ", "-"), name)}".')
        return name

    def _idle(self, thing: Thing, kind: str) -> Thing:
        if thing.status not in {"InService", "Failed", "UpdateRollbackFailed"}:
            raise Fails(f"Cannot update in-progress {kind}.")
        return thing

    def _begin(self, thing: Thing, then: str, group: str) -> None:
        """A fleet or a component that will fail, where the test says so."""
        if self.dies:
            thing.then, thing.reason = then, "The primary container did not pass the ping health check."
            self.logs[group] = ["Loading the base", self.dies]

    def _looked(self, there: dict[str, Thing], name: str) -> Thing:
        thing = there[name]
        if thing.status in {"Creating", "Updating", "Deleting"}:
            thing.looks -= 1
            if thing.looks <= 0:
                self._done(there, name)
        return thing

    def _done(self, there: dict[str, Thing], name: str) -> None:
        thing = there[name]
        if thing.status == "Deleting":
            del there[name]
            return
        wanted = thing.request.get("EndpointConfigName", "")
        thing.live = thing.live if thing.reason and not thing.is_new else wanted
        thing.request = {**thing.request, "EndpointConfigName": thing.live} if wanted else thing.request
        thing.status = thing.then

    # Questions

    def served(self, endpoint: str) -> dict[str, Any]:
        """The container that answers."""
        thing = self.endpoints.get(endpoint)
        if thing is None or thing.status in {"Creating", "Failed", "Deleting"}:
            raise Fails(f"Endpoint {endpoint} of account {self.account} not found.", "ValidationError")
        variant = self.configurations[thing.live]["ProductionVariants"][0]
        container: dict[str, Any] = (
            self.models[variant["ModelName"]]["PrimaryContainer"] if "ModelName" in variant else {}
        )
        return container

    def model_for(self, endpoint: str, component: str | None, question: Answer) -> str:
        """The name that vLLM answers under; Fails as SageMaker or vLLM would."""
        container = self.served(endpoint)
        if not container:
            return self._by_component(component)
        if component:
            raise Fails("InferenceComponentName is not supported for this endpoint", "ValidationError")
        modules = json.loads(container["Environment"].get("SM_VLLM_LORA_MODULES", "[]"))
        names = [each["name"] for each in modules]
        names += json.loads(container["Environment"]["SM_VLLM_SERVED_MODEL_NAME"])
        if question.get("model") not in names:
            raise Fails(f"The model `{question.get('model')}` does not exist.", "ModelError", 404)
        return str(question["model"])

    def _by_component(self, name: str | None) -> str:
        if not name:
            raise Fails("Inference Component Name header is required.", "ValidationError")
        thing = self.components.get(name)
        if thing is None or thing.status in {"Creating", "Failed", "Deleting"}:
            raise Fails(f"Inference Component {name} not found.", "ValidationError")
        base = self.components[thing.request["Specification"].get("BaseInferenceComponentName", name)]
        if base.copies == 0:
            said = "Inference Component has no capacity to process this request."
            raise Fails(f"{said} ApplicationAutoScaling may be in-progress.", "ValidationError")
        return name
