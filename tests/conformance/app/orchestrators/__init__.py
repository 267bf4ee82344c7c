"""The orchestrators, by what they are about."""
