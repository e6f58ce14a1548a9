"""AWS's own credentials, found as every tool of AWS finds them; and requests signed with them (SigV4, by botocore)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from takeover.errors import AuthError, Refused

__all__ = ["INSTALL", "Signer", "require_boto"]

INSTALL = "uv sync --group clouds, or pip install boto3"


def require_boto() -> Any:
    """botocore, imported on first use. Refused, with the command that installs it, where it is missing."""
    try:
        import botocore
    except ImportError:
        raise Refused(
            "SageMaker needs boto3, which is not installed", why="Requests are signed by it.", fix=f"{INSTALL}."
        ) from None
    return botocore


class Signer:
    """Signs for one region. Keys are read anew when they expire; they are in no repr and no message."""

    def __init__(self, region: str | None) -> None:
        require_boto()
        from botocore.session import Session

        session = Session()
        found = region or session.get_config_variable("region")
        if not found:
            raise Refused("the region is not known", fix="Set AWS_REGION.", where="AWS_REGION")
        self.region: str = found
        self._credentials: Any = session.get_credentials()
        if self._credentials is None:
            raise AuthError(
                "there are no AWS credentials",
                why="Neither the environment nor ~/.aws nor a machine's role has any.",
                fix="Log in (`aws sso login`), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            )

    def __repr__(self) -> str:
        return f"Signer(region={self.region!r})"

    def signed(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers of a POST with its signature. May block, where keys are fetched anew."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method="POST", url=url, data=body, headers=dict(headers))
        SigV4Auth(self._credentials.get_frozen_credentials(), "sagemaker", self.region).add_auth(request)
        return dict(request.headers.items())

    def hidden(self, text: str) -> str:
        """The text without secrets, which some servers repeat."""
        frozen = self._credentials.get_frozen_credentials()
        for secret in (frozen.secret_key, frozen.token):
            text = text.replace(secret, "[secret]") if secret else text
        return text
