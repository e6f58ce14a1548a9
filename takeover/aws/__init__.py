"""AWS as data: policy documents, and the facts of published ones. No SDK is imported here."""
