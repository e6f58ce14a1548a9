"""The native Pulumi provider `takeover`: one resource, `takeover:index:Endpoint`, over `InferenceProvider`.

The engine starts `pulumi-resource-takeover` (plugin/pulumi-resource-takeover) for every preview and every up, so
nothing heavier than gRPC is imported before the port is told.
"""
