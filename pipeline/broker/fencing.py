"""Fencing of a group's member: signs that another member took its instance id."""

from collections.abc import Callable

from pipeline.errors import InstanceTaken

# A stable member whose client sends no heartbeat for this long has been fenced.
SILENCE_S = 2.0


class Fencing:
    """
    Decides whether a fenced member may rejoin, or really shares its instance id with another one.

    A client that lost its session may send two join requests, and the second fences the first: no other member is
    involved, and rejoining is enough. Between two workers under one instance id, each join fences the other, so one of
    them is soon fenced again. A member that was away for long (a stopped process, a suspended machine) has lost its
    session again, so an earlier fencing says nothing about it.
    """

    def __init__(self, session_timeout_s: float, clock: Callable[[], float]) -> None:
        self._session_timeout_s, self._clock = session_timeout_s, clock
        self._called_at = clock()
        self._fenced_at: float | None = None
        self._silent_since: float | None = None

    def note_call(self) -> None:
        """Note a call of the client; after a long absence, forget an earlier fencing."""
        now = self._clock()
        if now - self._called_at > self._session_timeout_s / 2:
            self._fenced_at = None
        self._called_at = now

    def repeated(self) -> bool:
        """Tell whether the member has rejoined within the last two session time-outs already."""
        return self._fenced_at is not None and self._clock() - self._fenced_at < 2 * self._session_timeout_s

    def note_rejoin(self) -> None:
        """Note that the member rejoined because it was fenced."""
        self._fenced_at, self._silent_since = self._clock(), None

    def check_heartbeat(self, *, silent: bool) -> None:
        """
        Raise `InstanceTaken` once the client of a stable member has stopped its heartbeat.

        When another member joins under this instance id, the client only logs it and stops its heartbeat, so the
        heartbeat is checked here. A join in progress may look the same for a moment.
        """
        now = self._clock()
        if not silent:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since > SILENCE_S:
            raise InstanceTaken("another member of the group joined under the same instance id")
