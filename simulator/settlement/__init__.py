"""The other side of signed usage: an SGW that signs, its miner, and the forwarder between them and the server.

Written from docs/signing.md alone, and without scapy: who writes one in another language finds here what it takes.
"""
