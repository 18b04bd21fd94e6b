"""The verbs, one file for each matter; importing this package enters them all."""

from simulator.script.steps import channel, connection, flow, home, lying, packets, raw, session

__all__ = ["channel", "connection", "flow", "home", "lying", "packets", "raw", "session"]
