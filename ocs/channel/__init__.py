"""Channels: what opens, fills and closes them, field by field; pure."""
