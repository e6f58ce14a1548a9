"""What runs in a vendor's container: the store's content, the engine, and what stands before it. No vendor's SDK."""
