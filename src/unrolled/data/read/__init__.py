"""Readers: bytes to raw values, one file a format."""
