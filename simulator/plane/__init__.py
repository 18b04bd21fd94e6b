"""The user plane: UEs whose packets really cross GTP tunnels, and gateways that meter what crosses.

An eNodeB with its MME, serving gateways and the home PGW are datagram endpoints on loopback.  They set tunnels up with
GTPv2-C (TS 29.274), carry IP packets in GTP-U (TS 29.281), and the serving gateway asks for quota over Gy.
"""
