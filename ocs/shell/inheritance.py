"""What the core hands to the follower it starts: one line of JSON on standard input, and a listening socket."""

import msgspec


class Inheritance(msgspec.Struct):
    """Everything a follower needs to begin; the token is never seen among the arguments of a process.

    Attributes:
        config: the configuration, as JSON.
        token: the administrator's.
        descriptor: of the socket that listens for HTTP.  The core keeps it open too, so that requests which come while
            one follower ends and the next one starts wait in its queue.
        cpus: where the follower is to stay, and not where the core does; empty for anywhere.
    """

    config: str
    token: str
    descriptor: int
    cpus: list[int]
