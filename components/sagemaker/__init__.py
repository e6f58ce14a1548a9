"""SageMaker in a stack, by pulumi-aws; inference components by the native provider, for pulumi-aws has none.

Why not pulumi-aws-native for them: it goes through Cloud Control, which neither asks a component a question before it
is used nor removes adapters before their base and both before their endpoint (an order that SageMaker leaves to the
caller). `SageMakerProvider` does, and the component, `takeover scale` and `takeover status` share it.
"""

from __future__ import annotations

from components.sagemaker.component import SageMaker, sentences

__all__ = ["SageMaker", "sentences"]
