"""The scenes, one file each procedure; importing this package enters them all."""

from simulator.scenarios import attach, exhaustion, quota_update, signed_usage, termination

__all__ = ["attach", "exhaustion", "quota_update", "signed_usage", "termination"]
