"""Session supervision, Tcc: which sessions were silent for too long.  RFC 8506 sections 7 and 13.

Deadlines lie in buckets of one second.  A bucket holds the sessions whose deadline was there when they were last
watched; a later deadline is noticed when the bucket is due, so each request that prolongs a session costs nothing.
"""

from ocs.units import SECOND, SessionId, UnixMillis


class Supervision:
    """Kept by the one process that ends sessions; no part of the recorded state, built anew at each start."""

    __slots__ = ("_buckets", "_first")

    def __init__(self) -> None:
        self._buckets: dict[int, list[SessionId]] = {}
        self._first: int | None = None  # the earliest filled second, where known

    def watch(self, session_id: SessionId, deadline: UnixMillis) -> None:
        """Note a session's deadline."""
        second = deadline // SECOND
        bucket = self._buckets.get(second)
        if bucket is not None:
            bucket.append(session_id)
            return
        self._buckets[second] = [session_id]
        if self._first is not None and second < self._first:
            self._first = second

    def next_due(self) -> UnixMillis | None:
        """Give the earliest time at which a session may be due, or None where nothing is watched."""
        if not self._buckets:
            return None
        if self._first is None or self._first not in self._buckets:
            self._first = min(self._buckets)
        return UnixMillis((self._first + 1) * SECOND)

    def take(self, now: UnixMillis) -> list[SessionId]:
        """Take out one bucket that is due, [] for none; who is not ended after all must be watched again."""
        due = self.next_due()
        if due is None or due > now or self._first is None:
            return []
        # Once each: who was watched for an earlier deadline again and again comes together in the bucket of the last.
        return list(dict.fromkeys(self._buckets.pop(self._first)))
