"""The long tests, on a separate stack. `make prove` runs all of them; give names to run only some."""

import argparse
import contextlib
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from pipeline.archive.dataset import Archive
from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.models.importing.bundle import import_bundle
from pipeline.models.importing.source import load_source
from pipeline.settings import BUNDLED_MODEL
from pipeline.stack.local import down, stack_parts, up
from pipeline.stack_settings import StackSettings
from tests.prove.int8 import prove_int8
from tests.prove.operate import prove_alerts, prove_faults, prove_quiet
from tests.prove.tritons import prove_tritons
from tests.support.archiving import kill_and_count, send_embeddings
from tests.support.audits import SCENARIOS, covers
from tests.support.calibration import scenarios
from tests.support.chaos import Chaos, Plan
from tests.support.letters import Killer, letter, send_letters
from tests.support.odd_images import write_odd_images
from tests.support.publishing import publish_edits, published_stream, two_policies
from tests.support.recounting import archive_all, recount_all
from tests.support.sampling import make_sampling
from tests.support.sources import CLIP_B32, CLIP_L14, SIGLIP_B16, write_clip, write_siglip, write_siglip2
from tests.support.stream import REPOSITORY, Stack, Stream, family
from tests.support.waiting import wait_until


def main() -> None:
    proofs: dict[str, Callable[[Stack, Path, list[bytes]], bool]] = {
        "chaos": prove_chaos,
        "harness": prove_harness,
        "outages": prove_outages,
        "memory": prove_memory,
        "imports": prove_imports,
        "reload": prove_reload,
        "archive": prove_archive,
        "recount": prove_recount,
        "letters": prove_letters,
        "samples": prove_samples,
        "certificates": prove_certificates,
        "audits": prove_audits,
        "tritons": lambda stack, place, images: prove_tritons(stack, place, images, say),
        "int8": lambda _, place, __: prove_int8(place, say),
        "alerts": lambda stack, place, _: prove_alerts(stack, place, say),
        "faults": lambda stack, place, images: prove_faults(stack, place, images, say),
        "quiet": lambda _, __, images: prove_quiet(images, say),
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="PROOF", help=f"one of {', '.join(proofs)}")
    names = parser.parse_args().names or list(proofs)
    if unknown := set(names) - proofs.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(proofs)}")
    images = [path.read_bytes() for path in sorted((REPOSITORY / "samples/images").rglob("*.jpg"))]
    failed = []
    with tempfile.TemporaryDirectory(prefix="watchword-prove-") as folder, own_stack(Path(folder)) as stack:
        for name in names:
            say(f"== {name}")
            place = Path(folder) / name
            place.mkdir()
            if not proofs[name](stack, place, images):
                failed.append(name)
    say(f"failed: {', '.join(failed)}" if failed else "all proofs hold")
    sys.exit(bool(failed))


def prove_chaos(stack: Stack, folder: Path, images: list[bytes]) -> bool:
    """Two workers, 5,000 images, ten kills, five zombies, ten joins and leaves: nothing lost, nothing duplicated."""
    plan = Plan(records=5000, kills=10, open_kills=5, stops=5, visits=10, stop_s=9.0, seed=int(time.time()))
    with Stream(stack, folder, WATCHWORD_CHUNK_MAX_RECORDS="64") as stream:
        toll = Chaos(stream, images, plan, say).run()
        content = stream.content_audit()
    say(toll.line())
    say(f"chaos: {content.summary()}")
    assert toll.audit is not None
    whole = toll.audit.adds_up and toll.audit.records == toll.sent and not content.wrong
    return whole and toll.open_kills >= plan.open_kills and not toll.ended


def prove_reload(stack: Stack, folder: Path, _: list[bytes]) -> bool:
    """Fifty sets published one after the other while two workers judge 20,000 images."""
    photographs = sorted((REPOSITORY / "samples/images").rglob("*.jpg"))
    with published_stream(stack, folder) as stream:
        outcome = publish_edits(stream, two_policies(folder / "edited"), photographs, images=20_000, changes=50)
    say(f"reload: {outcome.audit.summary()}")
    say(
        f"reload: {len(outcome.published)} sets published, {len(outcome.judged_by)} of them seen in verdicts, "
        f"{outcome.contradictions} answers that their set does not give"
    )
    named_only = outcome.judged_by.keys() <= outcome.published.keys()
    return outcome.audit.adds_up and named_only and outcome.contradictions == 0 and len(outcome.judged_by) > 40


def prove_archive(stack: Stack, folder: Path, _: list[bytes]) -> bool:
    """An archive's writer killed ten times while it stores 30,000 embeddings."""
    with Stream(stack, folder) as stream:
        send_embeddings(stream, 30_000)
        kept = kill_and_count(stream, folder / "archive", count=30_000, kills=10, seed=int(time.time()))
    say(
        f"archive: {kept.kills} kills, {kept.rows} rows, {kept.doubled} doubled, {kept.missing} missing, "
        f"{kept.altered} altered"
    )
    return (kept.rows, kept.doubled, kept.missing, kept.altered) == (30_000, 0, 0, 0)


def prove_recount(stack: Stack, folder: Path, _: list[bytes]) -> bool:
    """20,000 archived verdicts of ten sets, each judged again by its own: every flag, and 500 of them explained."""
    photographs = sorted((REPOSITORY / "samples/images").rglob("*.jpg"))
    archive = Archive(str(folder / "archive"))
    with published_stream(stack, folder) as stream:
        outcome = publish_edits(stream, two_policies(folder / "edited"), photographs, images=20_000, changes=10)
        model = archive_all(stream, archive, 20_000)
        encoder = LocalEncoder(Bundle.load(BUNDLED_MODEL), threads=2)
        found = recount_all(stream, archive, model, outcome.published, encoder, sample=500)
    say(
        f"recount: {archive.count(model)} verdicts of {len(outcome.judged_by)} sets, {found.flags} flags, "
        f"{found.different} different; {found.explained} explained, {len(found.unconfirmed)} not confirmed"
    )
    for line in found.unconfirmed[:5]:
        say(f"recount: {line}")
    return found.different == 0 and found.explained == min(500, found.flags) and not found.unconfirmed


def prove_letters(stack: Stack, folder: Path, images: list[bytes]) -> bool:
    """1,000 dead letters requeued while the command is killed fifteen times: each judged once, none twice."""
    with Stream(stack, folder) as stream:
        sent = stream.send(stream.image(f"l{n}", images[n % len(images)]) for n in range(1000))
        broken = stream.worker(WATCHWORD_MAX_IMAGE_BYTES="1", WATCHWORD_ALLOW_DEAD_LETTERS="true")
        stream.wait_until_committed(sent, 180)
        broken.kill()
        stream.worker()
        toll = Killer(stream, rate=60, seed=int(time.time()), say=say).run(kills=15)
        wait_until(lambda: len(stream.verdicts()) >= sent, 180, "the requeued records judged", 2.0)
        counted, judged = stream.audit(), Counter(each["event"]["id"] for each in stream.verdicts())
    say(f"letters: {toll.line(sent)}")
    say(f"letters: {counted.summary()}; {len(judged)} events judged, at most {max(judged.values())} time each")
    killed = toll.kills >= 10 and toll.open_kills >= 4 and toll.left < sent
    once = len(toll.requeued) == len(judged) == sent and not toll.doubled and max(judged.values()) == 1
    whole = counted.adds_up and counted.verdicts == counted.dead_letters == sent and counted.records == 2 * sent
    return killed and once and whole and _harness_sees_doubles(stack, folder)


def _harness_sees_doubles(stack: Stack, folder: Path) -> bool:
    """A requeue made to commit records and handling apart must be reported."""
    command = (sys.executable, "-m", "tests.support.broken_requeue")
    with Stream(stack, folder) as stream:
        send_letters(stream, [letter(stream, n) for n in range(300)])
        toll = Killer(stream, rate=80, seed=1, say=say, command=command).run(kills=5)
    say(f"letters: in two transactions: {toll.line(300)}")
    return toll.doubled > 0


def prove_samples(_: Stack, folder: Path, __: list[bytes]) -> bool:
    """500 sampled back-tests of 1 % of 100,000 images: how often does each interval contain the count over all?"""
    encoder = LocalEncoder(Bundle.load(BUNDLED_MODEL), threads=2)
    held = make_sampling(folder, REPOSITORY / "policies", encoder, 100_000).covered(0.01, 500)
    for name, share in held.items():
        say(f"samples: {name}: holds in {share:.1%}")
    return min(held.values()) >= 0.93


def prove_certificates(_: Stack, __: Path, ___: list[bytes]) -> bool:
    """2,000 draws of each population: how often is a certified precision wrong?"""
    wrong = {name: np.mean([draw(np.random.default_rng(n)) for n in range(2000)]) for name, draw in scenarios().items()}
    for name, share in wrong.items():
        say(f"certificates: {name}: wrong in {share:.2%}")
    return bool(max(wrong.values()) <= 0.06)


def prove_audits(_: Stack, __: Path, ___: list[bytes]) -> bool:
    """2,000 audits of each stream: how often does the interval contain the true recall, or is recall unknown?"""
    held = {
        name: np.mean([covers(audited, np.random.default_rng(n)) for n in range(2000)])
        for name, audited in SCENARIOS.items()
    }
    for name, share in held.items():
        say(f"audits: {name}: holds in {share:.2%}")
    return bool(min(held.values()) >= 0.93)


def prove_imports(_: Stack, folder: Path, images: list[bytes]) -> bool:
    """Four architectures at real size, random weights, photographs of odd shapes: what `transformers` computes."""
    files = write_odd_images(folder, images, 24)
    sources = {
        "CLIP ViT-B/32": (write_clip, CLIP_B32),
        "CLIP ViT-L/14": (write_clip, CLIP_L14),
        "SigLIP B/16": (write_siglip, SIGLIP_B16),
        "SigLIP 2 B/16": (write_siglip2, SIGLIP_B16),
    }
    for name, (write, size) in sources.items():
        with tempfile.TemporaryDirectory(dir=folder) as place:
            source = load_source(str(write(Path(place) / "source", size)))
            # Refused below its bar, so that to come here is to have held it.
            parity = import_bundle(source, Path(place) / "bundle", files, name=name)[1]
        say(
            f"{name}: {parity.images} images, least cosine {parity.image_cosine_min:.8f}; "
            f"{parity.texts} texts, {parity.text_cosine_min:.8f}"
        )
    return True


def prove_harness(stack: Stack, folder: Path, images: list[bytes]) -> bool:
    """The same harness reports duplicates from deliberately broken workers, and none from one that is only slow."""
    plan = Plan(records=600, kills=0, open_kills=0, stops=0, visits=5, stop_s=0)
    right = True
    for mode, expected in (("slow", True), ("uncommitted", False), ("generation", False)):
        command = (sys.executable, "-m", "tests.support.broken_worker", mode)
        with Stream(stack, folder, WATCHWORD_CHUNK_MAX_RECORDS="24") as stream:
            toll = Chaos(stream, images, plan, say, command).run()
        assert toll.audit is not None
        say(f"{mode}: {toll.line()}")
        right = right and toll.audit.adds_up == expected
    return right


def prove_outages(stack: Stack, folder: Path, images: list[bytes]) -> bool:
    """Triton, and then the broker, is down for 20 s in the middle of a run: nothing is lost or dead-lettered."""
    right = True
    for name in ("triton", "kafka"):
        part = stack.part(name)
        with Stream(stack, folder) as stream:
            sent = stream.send(stream.image(f"a{n}", images[n % len(images)]) for n in range(3000))
            worker = stream.worker()
            wait_until(partial(_over, stream, 300), 60, "the first commits", 0.2)
            part.process.stop()
            threading.Event().wait(20)
            part.start()
            wait_until(part.ready, 60, f"{name} ready again")
            stream.wait_until_committed(sent, 180)
            counted, content = stream.audit(), stream.content_audit()
            say(f"{name} away for 20 s: {counted.summary()}, worker {'alive' if worker.running() else 'gone'}")
            say(f"{name} away for 20 s: {content.summary()}")
            right = right and not content.wrong and counted.adds_up and counted.dead_letters == 0 and worker.running()
    return right


def _over(stream: Stream, count: int) -> bool:
    return stream.committed() > count


def prove_memory(stack: Stack, folder: Path, images: list[bytes]) -> bool:
    """One worker over 50,000 images: under 700 MB, and flat."""
    count, peaks = 50_000, list[float]()
    with Stream(stack, folder) as stream:
        worker = stream.worker()
        process = psutil.Process(worker.pid)
        sent, done = 0, 0
        while done < count:
            if sent < count and sent - done < 4000:
                lot = range(sent, min(sent + 1000, count))
                sent += stream.send(stream.image(f"m{n}", images[n % len(images)]) for n in lot)
            threading.Event().wait(1.0)
            done = stream.committed()
            while len(peaks) < done * 10 // count:
                peaks.append(sum(each.memory_info().rss for each in family(process)) / 1e6)
                say(f"{done} images: RSS {peaks[-1]:.0f} MB")
        worker.signal(signal.SIGTERM)
        worker.wait(60)
    growth = max(peaks[5:]) / max(peaks[1:5]) - 1
    say(f"peak RSS {max(peaks):.0f} MB; second half over first {growth:+.1%}")
    return max(peaks) < 700 and growth < 0.10


@contextlib.contextmanager
def own_stack(folder: Path) -> Iterator[Stack]:
    """A stack on separate ports, stopped at the end of the run."""
    settings = StackSettings(
        parts=REPOSITORY / ".watchword/parts",
        state=folder / "stack",
        kafka_port=19092,
        controller_port=19093,
        triton_grpc_port=18001,
        triton_http_port=18000,
        triton_metrics_port=18002,
    )
    parts = stack_parts(settings)
    try:
        up(parts, say, settings.ready_timeout_s)
        yield Stack(settings, parts)
    finally:
        down(parts, say)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
