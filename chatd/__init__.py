"""chatd: a self-hosted chat backend in one daemon."""

__version__ = "0.1.0"
