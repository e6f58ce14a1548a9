"""The environment variables that this project reads, with their meaning: literal data for docs/environment.md.

A vendor's variable has the vendor's own name. A test looks through the code for variables that are missing here.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SET_BY_US", "VARIABLES", "Variable", "meaning_of"]


@dataclass(frozen=True)
class Variable:
    """`owner` is whose name it is; a `secret` is never printed, and never an input or output of a stack."""

    name: str
    owner: str
    meaning: str
    secret: bool = False


_OURS, _HUB, _MODAL, _VLLM, _PULUMI = "takeover", "Hugging Face", "Modal", "vLLM", "Pulumi"
_KUBE, _AWS = "Kubernetes", "AWS"

VARIABLES: tuple[Variable, ...] = (
    Variable("TAKEOVER_HOME", _OURS, "Folder of state, keys and local endpoints; else `.takeover/` in the project."),
    Variable("TAKEOVER_CACHE", _OURS, "Folder of bases, pulled adapters and the engine; else `~/.cache/takeover`."),
    Variable("TAKEOVER_ENDPOINT", _OURS, "The outputs as JSON, for `Client.from_env()`; holds a key.", secret=True),
    Variable("TAKEOVER_PYTHON", _OURS, "The Python of our Pulumi provider; else the one that drives the engine."),
    Variable("TAKEOVER_UV", _OURS, "The `uv` that fetches bases from PyPI; else the one on PATH."),
    Variable("TAKEOVER_LOCAL_SERVER", _OURS, "The command of the local server, in place of serving/local; for tests."),
    Variable("LOCAL_ENGINE_PYTHON", _OURS, "The Python that has vLLM, for `takeover:local` with `engine: vllm`."),
    Variable("LOCAL_ENGINE_API_KEY", _OURS, "The key of the server that `takeover:local.engine` names.", secret=True),
    Variable("HF_TOKEN", _HUB, "The Hub's token: to push, and for gated or private repositories.", secret=True),
    Variable("HUGGINGFACE_TOKEN", _HUB, "Another name of HF_TOKEN, which is read first.", secret=True),
    Variable("HF_ENDPOINT", _HUB, "The Hub's address, in place of https://huggingface.co."),
    Variable("HF_HUB_CACHE", _HUB, "Folder of the Hub's client."),
    Variable("HF_HUB_OFFLINE", _HUB, "1: the Hub is never asked."),
    Variable("HF_HUB_DISABLE_IMPLICIT_TOKEN", _HUB, "1: the token that `hf auth login` stored is not used."),
    Variable("HF_HUB_DISABLE_PROGRESS_BARS", _HUB, "1: no bars; without a terminal there are none in any case."),
    Variable("HF_HUB_DISABLE_XET", _HUB, "1: large files go over plain HTTP."),
    Variable("MODAL_TOKEN_ID", _MODAL, "First part of the token; else that of `modal token new`.", secret=True),
    Variable("MODAL_TOKEN_SECRET", _MODAL, "Second part of the token.", secret=True),
    Variable("MODAL_PROFILE", _MODAL, "Which section of Modal's file holds the token."),
    Variable("MODAL_CONFIG_PATH", _MODAL, "Modal's file, in place of `~/.modal.toml`."),
    Variable("MODAL_OAUTH_REFRESH_TOKEN", _MODAL, "A login in place of a token.", secret=True),
    Variable("MODAL_ENVIRONMENT", _MODAL, "The environment within the workspace; read by Modal's client."),
    Variable("MODAL_SERVER_URL", _MODAL, "Modal's address; read by its client. Tests point it to a fake."),
    Variable("VLLM_CLUSTER_URL", _OURS, "Your vLLM server, or the balancer before several, as applications reach it."),
    Variable("VLLM_API_KEY", _VLLM, "The server's key (vLLM's own variable), which applications get.", secret=True),
    Variable("VLLM_ADMIN_API_KEY", _OURS, "The key for loading adapters, where it is another one.", secret=True),
    Variable("KUBECONFIG", _KUBE, "The file of clusters and users; else `~/.kube/config`."),
    Variable("TAKEOVER_API_KEY", _OURS, "The key of an endpoint on Kubernetes, where no Secret is named.", secret=True),
    Variable("PULUMI_BACKEND_URL", _PULUMI, "Where states are kept; else a folder in TAKEOVER_HOME."),
    Variable("PULUMI_CONFIG_PASSPHRASE", _PULUMI, "Encrypts secrets in the state; else one is made.", secret=True),
    Variable("PULUMI_CONFIG_PASSPHRASE_FILE", _PULUMI, "A file that holds it."),
    Variable("AWS_ACCESS_KEY_ID", _AWS, "Of whoever deploys; AWS_PROFILE, SSO and a machine's role do as well."),
    Variable("AWS_SECRET_ACCESS_KEY", _AWS, "The secret that goes with it.", secret=True),
    Variable("AWS_REGION", _AWS, "The region, where a stack names none."),
    Variable("GOOGLE_APPLICATION_CREDENTIALS", "Google", "For `gs://`; read by gcsfs: a file with the key."),
)

# Set by this project for processes that it starts, or within a vendor's container: nobody needs to set them.
SET_BY_US = frozenset(
    {
        "HF_HOME",
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_XET_HIGH_PERFORMANCE",
        "PULUMI_AUTOMATION_API",
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER",
        "PULUMI_SKIP_UPDATE_CHECK",
        "TAKEOVER_ADAPTERS",
        "TAKEOVER_ENDPOINT_DIR",
        "TAKEOVER_INTO",
        "TAKEOVER_PAUSE_SECONDS",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
        "VLLM_CACHE_ROOT",
        "VLLM_NO_USAGE_STATS",
        "VLLM_SERVER_DEV_MODE",
    }
)


def meaning_of(name: str) -> str:
    """KeyError for a variable that is not in the registry."""
    return {variable.name: variable.meaning for variable in VARIABLES}[name]
