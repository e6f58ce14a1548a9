"""HTTP clients that speak to SageMaker for the OpenAI SDK. botocore is imported only here, so only for such outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from takeover.outputs import EndpointOutputs

if TYPE_CHECKING:
    import httpx2 as httpx

__all__ = ["async_http_client", "http_client"]


def http_client(outputs: EndpointOutputs, *, trust_env: bool) -> httpx.Client:
    """For openai.OpenAI. Refused where boto3 is missing, AuthError where AWS's tools find no credentials."""
    import openai

    from takeover.sagemaker.credentials import Signer
    from takeover.sagemaker.names import parse_address
    from takeover.sagemaker.transport import SageMakerTransport

    address = parse_address(outputs.url)
    signer = Signer(address.region or _region(outputs))
    return openai.DefaultHttpxClient(
        transport=SageMakerTransport(address, signer, _served(outputs), trust_env=trust_env)
    )


def async_http_client(outputs: EndpointOutputs, *, trust_env: bool) -> httpx.AsyncClient:
    """For openai.AsyncOpenAI."""
    import openai

    from takeover.sagemaker.credentials import Signer
    from takeover.sagemaker.names import parse_address
    from takeover.sagemaker.transport import AsyncSageMakerTransport

    address = parse_address(outputs.url)
    signer = Signer(address.region or _region(outputs))
    return openai.DefaultAsyncHttpxClient(
        transport=AsyncSageMakerTransport(address, signer, _served(outputs), trust_env=trust_env)
    )


def _region(outputs: EndpointOutputs) -> str | None:
    """Where the host's name does not tell it: a private link's own name."""
    return outputs.regions[0] if outputs.regions else None


def _served(outputs: EndpointOutputs) -> list[str]:
    return [adapter.model for adapter in outputs.adapters]
