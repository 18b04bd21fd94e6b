"""The core process: Diameter, one step at a time, and commit groups; nothing else waits in it."""
