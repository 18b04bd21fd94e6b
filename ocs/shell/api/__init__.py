"""The HTTP door: administration and reading, on top of a `Backend`.  DESIGN: its faces; docs/adr/0008-http-api.md.

A file here bears the noun it serves.  No rule lives here: commands go to the core, reads look at a state or at books
that have reached the core's index.
"""

from ocs.shell.api.app import create_app

__all__ = ["create_app"]
