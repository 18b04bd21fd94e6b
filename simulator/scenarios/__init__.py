"""The scenes, one file each procedure; importing this package enters them all."""

from simulator.scenarios import attach, exhaustion, quota_update, termination

__all__ = ["attach", "exhaustion", "quota_update", "termination"]
