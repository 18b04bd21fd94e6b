"""The release that runs; the package's own metadata is where it is written."""

from importlib.metadata import version

VERSION = version("session-purchaser")
