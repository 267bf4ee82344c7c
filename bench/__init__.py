"""How fast the local host is, and how fast the SDK and the storage under it are in the same minutes."""
