"""The attacks, on a separate stack. `make attack` runs all of them; give names to run only some."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.attack.addresses import attack_addresses
from tests.attack.answers import attack_answers, attack_same_id
from tests.attack.images import attack_images
from tests.attack.loopback import only_loopback
from tests.attack.policy_folders import attack_policy_folders
from tests.attack.positions import attack_positions
from tests.attack.records import attack_records
from tests.attack.servers import attack_servers
from tests.attack.stalls import attack_stalls
from tests.attack.stops import attack_restarts, attack_stops, attack_uplink
from tests.attack.verdict import Say
from tests.prove.prove import own_stack, say
from tests.support.stream import REPOSITORY, Stack

Attack = Callable[[Stack, Path, list[bytes], Say], bool]

ON_THE_STACK: dict[str, Attack] = {
    "answers": attack_answers,
    "same-id": attack_same_id,
    "records": attack_records,
    "positions": attack_positions,
    "stalls": attack_stalls,
    "stops": attack_stops,
    "restarts": attack_restarts,
    "uplink": attack_uplink,
}
ALONE: dict[str, Callable[[], bool]] = {
    "images": partial(attack_images, quick=False, say=say),
    "servers": partial(attack_servers, quick=False, say=say),
    "addresses": partial(attack_addresses, say=say),
    "policy-folders": partial(attack_policy_folders, quick=False, say=say),
}


def main() -> None:
    names = [*ALONE, *ON_THE_STACK]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ATTACK", help=f"one of {', '.join(names)}")
    asked = parser.parse_args().names or names
    if unknown := set(asked) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(names)}")
    failed = [name for name in ALONE if name in asked and not _told(name, ALONE[name])]
    failed += _on_the_stack([name for name in ON_THE_STACK if name in asked])
    say(f"failed: {', '.join(failed)}" if failed else "all attacks were held")
    sys.exit(bool(failed))


def _on_the_stack(names: list[str]) -> list[str]:
    if not names:
        return []
    images = [path.read_bytes() for path in sorted((REPOSITORY / "samples/images").rglob("*.jpg"))]
    failed = []
    with (
        tempfile.TemporaryDirectory(prefix="watchword-attack-") as folder,
        only_loopback() as escapes,
        own_stack(Path(folder)) as stack,
    ):
        for name in names:
            place = Path(folder) / name
            place.mkdir()
            if not _told(name, partial(ON_THE_STACK[name], stack, place, images, say)):
                failed.append(name)
        if len(escapes):
            say(f"refused by the harness: {escapes.taken()}")
            failed.append("loopback")
    return failed


def _told(name: str, attack: Callable[[], bool]) -> bool:
    say(f"== {name}")
    started = time.monotonic()
    held = attack()
    say(f"== {name}: {'held' if held else 'NOT HELD'}, {time.monotonic() - started:.0f} s")
    return held


if __name__ == "__main__":
    main()
