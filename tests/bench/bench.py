"""
Ratios of the running pipeline to what this machine could do at best, all from one run.

The roofline is cores ÷ (CPU a photograph takes to decode alone + to encode alone), both measured here with the worker's
own decoder, the engine Triton runs, its batch size, and `samples/`.
"""

import argparse
import os
import re
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import psutil
from kafka import KafkaConsumer
from numpy.typing import NDArray

from pipeline.encode.bundle import Bundle
from pipeline.encode.local import LocalEncoder
from pipeline.events.images import ImageLimits
from pipeline.ingest.decode import decode
from pipeline.settings import BUNDLED_MODEL
from tests.bench import backtest, engines
from tests.bench.judging import bench_judging
from tests.prove.prove import own_stack, say
from tests.support.stream import REPOSITORY, Stack, Stream, family

BATCH = 32


@dataclass(frozen=True)
class Roofline:
    decode_s: float
    encode_s: float

    @property
    def images_per_s(self) -> float:
        return (os.cpu_count() or 1) / (self.decode_s + self.encode_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000, help="records of the end-to-end run (default 4000)")
    count = parser.parse_args().images
    images = [path.read_bytes() for path in sorted((REPOSITORY / "samples/images").rglob("*.jpg"))]
    bundle = Bundle.load(BUNDLED_MODEL)
    with tempfile.TemporaryDirectory(prefix="watchword-bench-") as folder, own_stack(Path(folder)) as stack:
        place = Path(folder)
        before = measure_roofline(bundle, images)
        rate = bench_end_to_end(stack, place, images, count)
        bench_own_cpu(stack, place, bundle, images)
        bench_latency(stack, place, images, rate / 3)
        after = measure_roofline(bundle, images)
    # The machine is shared: the roofline is the mean of one taken before and one taken after what it is held against.
    roofline = Roofline((before.decode_s + after.decode_s) / 2, (before.encode_s + after.encode_s) / 2)
    say(f"decode alone {roofline.decode_s * 1e3:.2f} ms CPU, encode alone {roofline.encode_s * 1e3:.2f} ms CPU a photo")
    say(f"roofline {roofline.images_per_s:.0f} images/s on {os.cpu_count()} cores")
    say(f"end to end ÷ roofline: {rate / roofline.images_per_s:.2f} ({rate:.0f} images/s; bar 0.70)")
    bench_judging()
    engines.main()
    backtest.main()


def measure_roofline(bundle: Bundle, images: list[bytes]) -> Roofline:
    """CPU seconds a photograph, one thread each, over a few hundred."""
    chosen = images[:: max(1, len(images) // 512)]
    pixels, decode_s = decode_alone(bundle, chosen)
    encoder = LocalEncoder(bundle, threads=1)
    encoder.encode_images(pixels[:BATCH])
    started = time.process_time()
    whole = len(pixels) // BATCH * BATCH
    for start in range(0, whole, BATCH):
        encoder.encode_images(pixels[start : start + BATCH])
    return Roofline(decode_s, (time.process_time() - started) / whole)


def decode_alone(bundle: Bundle, images: list[bytes]) -> tuple[NDArray[np.uint8], float]:
    """Return the pixels, and the CPU seconds a photograph took on one thread."""
    spec, limits = bundle.pixels, ImageLimits()
    started = time.thread_time()
    pixels = np.stack([decode(data, spec, limits).pixels for data in images])
    return pixels, (time.thread_time() - started) / len(images)


def bench_end_to_end(stack: Stack, folder: Path, images: list[bytes], count: int) -> float:
    """Images a second of one worker, from the times its verdicts were sent, the first tenth left out."""
    with Stream(stack, folder) as stream:
        stream.send(stream.image(f"e{n}", images[n % len(images)]) for n in range(count))
        worker = stream.worker()
        stream.wait_until_committed(count, 300)
        peak = sum(each.memory_info().rss for each in family(psutil.Process(worker.pid))) / 1e6
        sent = sorted(record.timestamp_ms or 0 for record in stream.records(stream.settings.topic_verdicts))
    say(f"worker RSS after {count} images: {peak:.0f} MB")
    first = sent[count // 10]
    return sum(stamp > first for stamp in sent) / ((sent[-1] - first) / 1e3)


def bench_own_cpu(stack: Stack, folder: Path, bundle: Bundle, images: list[bytes], count: int = 3000) -> None:
    """
    A worker whose encoder is a stub, everything else on, against decoding the same photographs on one thread.

    Both in turn, because what a CPU second buys here changes by the minute.
    """
    ratios = []
    _, before = decode_alone(bundle, images)
    for _ in range(5):
        own = _own_cpu_s(stack, folder, images, count)
        _, after = decode_alone(bundle, images)
        ratios.append(own / ((before + after) / 2))
        before = after
    say(
        "CPU outside the encoder ÷ CPU of decoding alone, "
        f"median of {len(ratios)}: {np.median(ratios):.2f} (bar 1.5; {min(ratios):.2f} to {max(ratios):.2f})"
    )


def _own_cpu_s(stack: Stack, folder: Path, images: list[bytes], count: int) -> float:
    """CPU seconds an image once the worker has started, working off what had come in: nobody sends meanwhile."""
    command = (sys.executable, "-m", "tests.bench.stub_worker")
    with Stream(stack, folder) as stream:
        worker = stream.worker(command)
        process = psutil.Process(worker.pid)
        stream.send([stream.image("first", images[0])])
        stream.wait_until_committed(1)
        before_s = _cpu_s(process)
        worker.signal(signal.SIGSTOP)
        stream.send(stream.image(f"o{n}", images[n % len(images)]) for n in range(count))
        worker.signal(signal.SIGCONT)
        stream.wait_until_committed(count + 1, 300)
        own_s = _cpu_s(process) - before_s
    return own_s / count


def _cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a worker and of the processes it decodes in."""
    return sum(times.user + times.system for times in (each.cpu_times() for each in family(process)))


def bench_latency(stack: Stack, folder: Path, images: list[bytes], rate: float) -> None:
    """From `ce_time` to a verdict a reader at `read_committed` holds, at a third of the full rate."""
    count, arrived = int(rate * 30), dict[str, float]()
    with Stream(stack, folder, WATCHWORD_HTTP_PORT="19464") as stream:
        worker = stream.worker()
        stream.send([stream.image("warm", images[0])])
        stream.wait_until_committed(1)
        reader = threading.Thread(target=_read, args=(stream, count, arrived))
        reader.start()
        started, clock = time.monotonic(), threading.Event()
        sent: dict[str, float] = {}
        lot = max(1, int(rate / 20))
        for start in range(0, count, lot):
            clock.wait(max(0.0, started + start / rate - time.monotonic()))
            names = [f"l{n}" for n in range(start, min(start + lot, count))]
            messages = [stream.image(name, images[hash(name) % len(images)]) for name in names]
            sent.update({name: _ce_time(message.headers) for name, message in zip(names, messages, strict=True)})
            stream.send(messages)
        reader.join(60)
        with urllib.request.urlopen("http://127.0.0.1:19464/metrics", timeout=5) as answer:
            service = _chunk_service_s(answer.read().decode())
        assert worker.running()
    latencies = np.array([arrived[name] - sent[name] for name in sent if name in arrived])
    p50, p99 = np.percentile(latencies, [50, 99])
    bar = 0.5 + 3 * service
    say(
        f"latency at {rate:.0f} images/s, {len(latencies)} of {count} seen: "
        f"p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms; "
        f"a chunk's service {service * 1e3:.0f} ms; p99 ÷ (500 ms + 3 × service): {p99 / bar:.2f} (bar 1)"
    )


def _read(stream: Stream, count: int, arrived: dict[str, float]) -> None:
    consumer = KafkaConsumer(
        stream.settings.topic_verdicts,
        bootstrap_servers=stream.stack.bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    deadline = time.monotonic() + 90
    while len(arrived) < count + 1 and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=200).values():
            now = time.time()
            arrived.update({record.key.decode(): now for record in records})
    consumer.close()


def _ce_time(headers: tuple[tuple[str, bytes], ...]) -> float:
    return datetime.fromisoformat(dict(headers)["ce_time"].decode()).timestamp()


def _chunk_service_s(metrics: str) -> float:
    """The mean time of one chunk in all stages together."""
    total = 0.0
    for stage in ("decode", "encode", "judge", "commit"):
        pattern = rf'watchword_stage_duration_seconds_(sum|count){{stage="{stage}"}} (\S+)'
        found = dict(re.findall(pattern, metrics))
        total += float(found["sum"]) / float(found["count"])
    return total


if __name__ == "__main__":
    main()
