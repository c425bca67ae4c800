"""
Attack on the decoding of images: hostile files and mutations through child processes, each measured.

    python -m tests.attack.images [--quick]

Every image must cost at most 1 s of CPU and 300 MB of memory, whether it is decoded or refused, and only `RecordFault`
may come out. A child may be ended by its CPU limit, and must not crash.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from pipeline.errors import RecordFault
from pipeline.events.images import ImageLimits, PixelSpec
from pipeline.ingest.decode import rgb, thumbnail
from pipeline.ingest.decode_processes import DecodeProcesses
from tests.attack.image_corpus import built, mutations, recipes
from tests.attack.image_corpus_parts import Recipe, encoded, noise

MAX_CPU_S = 1.0
MAX_MEMORY_BYTES = 300_000_000
MUTATIONS, QUICK_MUTATIONS = 20_000, 300
SPEC, EXACT = PixelSpec(224, "squash"), PixelSpec(224, "crop", "bicubic", exact=True)
THUMBNAIL_SIDE = 256
LIMITS = ImageLimits()
_SHOWN = 12


@dataclass(slots=True)
class Tally:
    """Counts and extremes of a run."""

    verdicts: Counter[str] = field(default_factory=Counter)
    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    escaped: list[str] = field(default_factory=list)

    def offenders(self) -> list[str]:
        """Return what breaks a bar, by name."""
        slow = [f"{name}: {cpu:.2f} s" for name, cpu in self.cpu.items() if cpu > MAX_CPU_S]
        large = [f"{name}: {size / 1e6:.0f} MB" for name, size in self.memory.items() if size > MAX_MEMORY_BYTES]
        return [*slow, *large, *self.crashed, *self.escaped]


class Probe:
    """One child process, and what each image costs it. The cost of starting the next child is not the image's."""

    def __init__(self, spec: PixelSpec, tally: Tally) -> None:
        self._pool = DecodeProcesses(1, spec, LIMITS, thumbnail_side=THUMBNAIL_SIDE)
        self._tally = tally
        self._good = encoded(noise(300, 200), "JPEG")
        self._pid = self._rest = 0

    def send(self, name: str, data: bytes) -> None:
        """Decode `data` and note its verdict and costs under `name`."""
        pid = self._warm()
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
        cpu, reaped = _cpu_s(pid), _reaped_s()
        verdict, detail = _verdict(lambda: self._pool.decode(data), name, self._tally)
        self._tally.verdicts[verdict] += 1
        if pid in self._pool.pids():
            self._tally.cpu[name] = _cpu_s(pid) - cpu
            self._tally.memory[name] = _status(pid, "VmHWM") - self._rest
            return
        self._tally.cpu[name] = _reaped_s() - reaped - cpu
        if verdict == "too_costly" and detail.endswith("of CPU"):
            self._tally.ended.append(name)
        else:
            self._tally.crashed.append(f"{name}: {detail}")

    def close(self) -> None:
        """End the child."""
        self._pool.close()

    def _warm(self) -> int:
        """Return the id of a child that has decoded one image, and so is as large as it rests."""
        pids = self._pool.pids()
        if pids and pids[0] == self._pid:
            return self._pid
        self._pool.decode(self._good)
        (self._pid,) = self._pool.pids()
        self._rest = _status(self._pid, "VmRSS")
        return self._pid


def attack_images(quick: bool, say: Callable[[str], None]) -> bool:  # noqa: FBT001 -- the two runs there are
    """Run the attack, say what came of it, and return whether every bar held."""
    started = time.monotonic()
    tally = Tally()
    chosen = [recipe for recipe in recipes() if recipe.quick or not quick]
    _measure(SPEC, ((recipe.name, built(recipe)) for recipe in chosen), tally)
    _report("hostile images", tally, say)
    sets = [tally]
    damaged = ((f"mutation/{i}", data) for i, data in enumerate(mutations(QUICK_MUTATIONS if quick else MUTATIONS)))
    sets.append(Tally())
    _measure(SPEC, damaged, sets[-1])
    _report("mutations", sets[-1], say)
    if not quick:
        sets.append(Tally())
        _measure(EXACT, ((recipe.name, built(recipe)) for recipe in chosen[::4]), sets[-1])
        _report("hostile images, exact crop", sets[-1], say)
    sets.append(_in_process(chosen[:: 4 if quick else 10], say))
    say(f"{time.monotonic() - started:.0f} s")
    return not any(each.offenders() for each in sets)


def _measure(spec: PixelSpec, images: Iterable[tuple[str, bytes]], tally: Tally) -> None:
    probe = Probe(spec, tally)
    try:
        for name, data in images:
            probe.send(name, data)
    finally:
        probe.close()


def _in_process(chosen: list[Recipe], say: Callable[[str], None]) -> Tally:
    """Send some images through `rgb` and `thumbnail`, which run in the caller's process, for what escapes them."""
    tally = Tally()
    for recipe in chosen:
        data = built(recipe)
        for call in (lambda data=data: thumbnail(data, THUMBNAIL_SIDE, LIMITS), lambda data=data: rgb(data, LIMITS)):
            cpu = time.process_time()
            verdict, _ = _verdict(call, recipe.name, tally)
            tally.verdicts[verdict] += 1
            tally.cpu[recipe.name] = max(tally.cpu.get(recipe.name, 0.0), time.process_time() - cpu)
    _report("in process: `thumbnail`, `rgb` (CPU is not bounded there)", tally, say)
    tally.cpu.clear()
    return tally


def _verdict(call: Callable[[], object], name: str, tally: Tally) -> tuple[str, str]:
    try:
        call()
    except RecordFault as fault:
        return fault.reason.value, fault.detail
    except Exception as error:  # noqa: BLE001 -- that one escapes is what is looked for
        tally.escaped.append(f"{name}: {type(error).__name__}: {error}")
        return "escaped", str(error)
    return "decoded", ""


def _report(title: str, tally: Tally, say: Callable[[str], None]) -> None:
    say(f"{title}: {tally.verdicts.total()}")
    for verdict, count in tally.verdicts.most_common():
        say(f"  {verdict:20} {count:6}")
    for word, costs, unit in (("CPU", tally.cpu, 1.0), ("memory", tally.memory, 1e6)):
        if costs:
            worst = max(costs, key=lambda name: costs[name])
            say(f"  most {word:15} {costs[worst] / unit:6.2f} {'s' if word == 'CPU' else 'MB'}  {worst}")
    say(f"  ended by CPU limit   {len(tally.ended):6}  {', '.join(tally.ended[:_SHOWN])}")
    say(f"  crashed              {len(tally.crashed):6}  {', '.join(tally.crashed[:_SHOWN])}")
    say(f"  escaped              {len(tally.escaped):6}  {', '.join(tally.escaped[:_SHOWN])}")
    for each in tally.offenders()[:_SHOWN]:
        say(f"  OFFENDER {each}")


def _cpu_s(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def _reaped_s() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _status(pid: int, key: str) -> int:
    """Return a size of /proc/PID/status, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key + ":"))


def main() -> None:
    """Run the attack from the command line."""
    parser = argparse.ArgumentParser(description="Attack the decoding of images.")
    parser.add_argument("--quick", action="store_true", help="the worst kinds and few mutations")
    quick = parser.parse_args().quick
    sys.exit(0 if attack_images(quick, lambda line: print(line, flush=True)) else 1)  # noqa: T201 -- its answer


if __name__ == "__main__":
    main()
