"""SageMaker's requests, made by pure functions: the component and the provider send the same ones."""
