"""Usage reports: what an SGW signs, a miner countersigns, and a grant stands for; pure.

Whether a report fits its channel, its session and its grant is decided where these are known, not here.
"""
