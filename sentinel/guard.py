"""What the sentinel decides, as a pure state machine: facts and the time in, actions out.

Three duties: have a dead program respawned at once; revive a program that supervisord has given up (FATAL); end one
that is alive but does not live (no heartbeat, or a venue too old). Each has its own bound, so that the cure is never
worse: a program that keeps dying is left to supervisord's own pace, forced restarts have a budget and a growing
cool-down.
"""

from __future__ import annotations

from collections import deque
from typing import Final, TypeAlias

import msgspec

MS: Final = 1_000_000
SECOND: Final = 1_000 * MS
STORM_DEATHS: Final = 5
STORM_NS: Final = 10 * SECOND
"""So many deaths within so long: no more haste for this program, supervisord's own second between respawns is kept."""
DUMP_NS: Final = 250 * MS
"""Between asking a process for its stacks and ending it."""
START_GRACE_NS: Final = 10 * SECOND
"""What a new process may take to its first heartbeat."""
PAUSE_NS: Final = 1 * SECOND
"""When this process itself was not running for longer, what it did not hear in that time proves nothing."""
COOL_CAP_NS: Final = 1_800 * SECOND
FATAL_CAP_NS: Final = 300 * SECOND

# supervisord's process states, by number: https://supervisord.org/subprocess.html#process-states
STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL = 0, 10, 20, 30, 40, 100, 200


class Poke(msgspec.Struct, frozen=True):
    """Make supervisord's loop turn until the program has another pid: it sees a death now, not with its next poll."""

    program: str
    dead: int


class Look(msgspec.Struct, frozen=True):
    """Ask supervisord what the program is doing now."""

    program: str


class Dump(msgspec.Struct, frozen=True):
    """Ask a process for the stacks of all its threads (SIGUSR1)."""

    pid: int


class Kill(msgspec.Struct, frozen=True):
    """End a process (SIGKILL: it may be stopped)."""

    pid: int


class Start(msgspec.Struct, frozen=True):
    """Have supervisord start a program."""

    program: str


class Tell(msgspec.Struct, frozen=True):
    """Log and publish: something happened to a program."""

    program: str
    action: str
    pid: int | None
    detail: str
    uptime_ms: int | None = None
    away_ms: int | None = None


Action: TypeAlias = Poke | Look | Dump | Kill | Start | Tell


class Policy(msgspec.Struct, frozen=True):
    """Bounds, from the settings; ``exempt`` programs send no heartbeats (the simulator)."""

    heartbeat_ns: int
    force_ns: int
    budget: int
    budget_window_ns: int
    fatal_cooldown_ns: int
    exempt: frozenset[str]
    publisher: str = "publisher:publisher"
    judges: bool = True
    """Whether silent and old processes are ended; off only to prove what the other layers do without it."""


class Program(msgspec.Struct):
    """What is known of one supervised program. Times are monotonic ns."""

    name: str
    pid: int | None = None
    since: int = 0
    """When the present process was first seen, or since when there is none."""
    heard: int | None = None
    """Last heartbeat of the present process."""
    deaths: deque[int] = msgspec.field(default_factory=deque)
    forced: deque[int] = msgspec.field(default_factory=deque)
    kill_at: int | None = None
    hold_until: int = 0
    start_at: int | None = None
    fatals: int = 0
    cause: str = ""
    """Why we ended it, told with its death."""


class Guard:
    """The sentinel's judgement. ``deadline`` is when ``due`` has something to do at the latest."""

    def __init__(self, policy: Policy, now: int) -> None:
        self._policy = policy
        self._programs: dict[str, Program] = {}
        self._looked = now

    @property
    def pids(self) -> dict[int, str]:
        """Programs by the pid of their present process."""
        return {program.pid: program.name for program in self._programs.values() if program.pid is not None}

    def running(self, name: str, pid: int, now: int, uptime_ns: int = 0) -> list[Action]:
        """A program runs with this pid, says supervisord; one that has done so for long is due a heartbeat soon."""
        program = self._program(name, now)
        if program.pid == pid:
            return []
        away = (now - program.since) // MS if program.pid is None and program.since and program.deaths else None
        program.pid, program.since, program.heard, program.kill_at, program.start_at = pid, now, None, None, None
        if uptime_ns > START_GRACE_NS:
            program.since, program.heard = now - uptime_ns, now
        return [Tell(name, "started", pid, "", None, away)]

    def died(self, pid: int, now: int) -> list[Action]:
        """The process with this pid is gone."""
        name = self.pids.get(pid)
        if name is None:
            return []
        program = self._programs[name]
        uptime = (now - program.since) // MS
        why = program.cause
        program.pid, program.since, program.heard, program.kill_at, program.cause = None, now, None, None, ""
        program.deaths.append(now)
        _forget(program.deaths, now - STORM_NS)
        told = Tell(name, "exited", pid, why, uptime)
        if len(program.deaths) > STORM_DEATHS:
            return [told]
        return [Poke(name, pid), told, Look(name)]

    def fatal(self, name: str, now: int) -> list[Action]:
        """A program was given up by supervisord."""
        program = self._program(name, now)
        program.pid, program.since = None, now
        wait = min(FATAL_CAP_NS, self._policy.fatal_cooldown_ns << min(program.fatals, 10))
        program.fatals += 1
        program.start_at = now + wait
        return [Tell(name, "fatal", None, f"will be started again in {wait // SECOND} s")]

    def stopped(self, name: str, now: int) -> list[Action]:
        """An operator stopped a program: it is left alone until it runs again."""
        program = self._program(name, now)
        program.pid, program.since, program.start_at, program.kill_at = None, now, None, None
        program.deaths.clear()
        return [Tell(name, "stopped", None, "")]

    def beat(self, pid: int, now: int) -> None:
        """A heartbeat of this process was heard."""
        name = self.pids.get(pid)
        if name is not None:
            program = self._programs[name]
            program.heard = now
            if now - program.since > 60 * SECOND:
                program.fatals = 0

    def aged(self, name: str, age_ns: int, now: int, whose: str = "venue") -> list[Action]:
        """The runner says how long the venue of this connector, or one market, has been without a usable event."""
        program = self._programs.get(name)
        if program is None or program.pid is None or program.kill_at is not None or not self._policy.judges:
            return []
        if age_ns < self._policy.force_ns or now - program.since < self._policy.force_ns:
            return []
        return self._force(program, f"{whose} age {age_ns // SECOND} s", now)

    def due(self, now: int) -> list[Action]:
        """Judge everything as of now."""
        paused, self._looked = now - self._looked > PAUSE_NS, now
        actions: list[Action] = []
        if paused:
            self._start_over(now)
        for program in self._programs.values():
            if program.kill_at is not None and program.kill_at <= now and program.pid is not None:
                program.kill_at = None
                actions += [Kill(program.pid)]
            if program.start_at is not None and program.start_at <= now:
                program.start_at = None
                actions += [
                    Tell(program.name, "revived", None, f"after FATAL, attempt {program.fatals}"),
                    Start(program.name),
                ]
        return actions + self._hung(now) if self._policy.judges else actions

    @property
    def deadline(self) -> int:
        """Monotonic ns at which ``due`` is to be called at the latest."""
        times = [self._looked + 250 * MS]
        for program in self._programs.values():
            times += [time for time in (program.kill_at, program.start_at) if time is not None]
        return min(times)

    def _hung(self, now: int) -> list[Action]:
        """Without the publisher no heartbeat comes through: while it is the silent one, only it is judged."""
        publisher = self._programs.get(self._policy.publisher)
        suspects = list(self._programs.values())
        if publisher is not None and (publisher.pid is None or self._silence(publisher, now) > 1_500 * MS):
            for program in suspects:
                if program is not publisher and program.pid is not None:
                    program.heard = now
            suspects = [publisher]
        actions: list[Action] = []
        for program in suspects:
            if program.pid is None or program.kill_at is not None or program.name in self._policy.exempt:
                continue
            limit = self._policy.heartbeat_ns if program.heard is not None else START_GRACE_NS
            silence = self._silence(program, now)
            if silence > limit:
                actions += self._force(program, f"no heartbeat for {silence / SECOND:.1f} s", now)
        return actions

    @staticmethod
    def _silence(program: Program, now: int) -> int:
        return now - (program.since if program.heard is None else program.heard)

    def _force(self, program: Program, why: str, now: int) -> list[Action]:
        """End a process within its budget; each forced restart doubles the wait before the next."""
        if now < program.hold_until or program.pid is None:
            return []
        _forget(program.forced, now - self._policy.budget_window_ns)
        if len(program.forced) >= self._policy.budget:
            program.hold_until = now + self._policy.budget_window_ns
            return [Tell(program.name, "budget", program.pid, f"{why}, but its restart budget is spent")]
        program.forced.append(now)
        cool = min(COOL_CAP_NS, self._policy.heartbeat_ns << len(program.forced))
        program.hold_until = now + cool
        program.kill_at = now + DUMP_NS
        program.cause = why
        return [Tell(program.name, "hung", program.pid, why), Dump(program.pid)]

    def _start_over(self, now: int) -> None:
        for program in self._programs.values():
            if program.pid is not None:
                program.heard = now if program.heard is not None else None
                program.since = now if program.heard is None else program.since

    def _program(self, name: str, now: int) -> Program:
        return self._programs.setdefault(name, Program(name, since=now))


def _forget(times: deque[int], horizon: int) -> None:
    while times and times[0] < horizon:
        times.popleft()
