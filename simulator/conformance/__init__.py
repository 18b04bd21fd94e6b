"""Probes for any Gy server: what RFC 6733, RFC 8506 and TS 32.299 ask of one, as far as a peer can see it."""
