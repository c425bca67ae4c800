"""Hostile and damaged model bundles."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.encode.bundle import Bundle
from pipeline.settings import BUNDLED_MODEL
from tests.attack.children import Attack
from tests.attack.layouts import Layout, Link, Odd, lay

NAN, INF = float("nan"), float("inf")
D = "d" * 64


def hostile_bundles() -> list[Attack]:
    """Return attacks with folders of model bundles."""
    manifest = json.loads((BUNDLED_MODEL / "manifest.json").read_bytes())
    files = manifest["files"]
    without = {name: digest for name, digest in files.items() if name != "image.onnx"}
    changes: dict[str, dict[str, Any]] = {
        "a tower above": {"image_tower": "../evil.onnx"},
        "a tower of the system": {"image_tower": "/etc/passwd"},
        "a tower in a folder": {"text_tower": "a/b.onnx"},
        "a tokenizer above": {"tokenizer": "../tokenizer.json"},
        "a tower of a zero byte": {"image_tower": "a\0b"},
        "a tower of nothing": {"image_tower": ""},
        "a tower that is the manifest": {"image_tower": "manifest.json"},
        "no files": {"files": {}},
        "a tower not in the files": {"files": without},
        "a file of the system": {"files": {**files, "/etc/hostname": D}},
        "a file above": {"files": {**files, "../x": D}},
        "a file that never ends": {"files": {**files, "/dev/zero": D}},
        "a digest that is none": {"files": {**files, "image.onnx": "x"}},
        "a digest in capitals": {"files": {**files, "image.onnx": files["image.onnx"].upper()}},
        "another digest": {"files": {**files, "image.onnx": D}},
        "1000 files": {"files": {**files, **{f"f{n}": D for n in range(1_000)}}},
        "a scale that is not finite": {"logit_scale": NAN},
        "a scale without end": {"logit_scale": INF},
        "no scale": {"logit_scale": 0},
        "a bias that is not finite": {"logit_bias": INF},
        "a huge image": {"image_size": 10**9},
        "a huge number": {"dimension": int("9" * 4_000)},
        "an unknown key": {"code": "print()"},
        "a name that steers": {"image_tower": "\x1b[2J.onnx"},
    }
    attacks = [_bundle(name, json.dumps({**manifest, **change}).encode()) for name, change in changes.items()]
    texts = {"nothing": b"", "no json": b"{", "deep": b"[" * 200_000, "a list": b"[]", "not UTF-8": b'{"name": "\xff"}'}
    texts["half a character"] = json.dumps({**manifest, "name": "x"}).replace('"x"', '"\\ud800"').encode()
    texts["300000 keys"] = b"{" + b",".join(b'"a%d":1' % n for n in range(300_000)) + b"}"
    texts["a megabyte of lists"] = b"[" + b"[]," * 300_000 + b"[]]"
    attacks += [_bundle(f"manifest: {name}", text) for name, text in texts.items()]
    right = json.dumps(manifest).encode()
    odd: dict[str, Layout] = {
        "a link out of it": {"image.onnx": Link(str(BUNDLED_MODEL / "image.onnx"))},
        "a link to what never ends": {"image.onnx": Link("/dev/zero")},
        "a link in a circle": {"image.onnx": Link("image.onnx")},
        "a fifo": {"text.onnx": Odd.FIFO},
        "a socket": {"tokenizer.json": Odd.SOCKET},
        "a fifo as manifest": {"manifest.json": Odd.FIFO},
        "a manifest without end": {"manifest.json": Link("/dev/zero")},
        "a changed tower": {"image.onnx": b"x"},
    }
    attacks += [_bundle(name, right, layout) for name, layout in odd.items()]
    for name, tower in {"a tower of noise": b"\xff" * 100_000, "a tower of parts": b"\x3a\x00" * 4_000_000}.items():
        attacks.append(_bundle(name, _listing(manifest, tower), {"image.onnx": tower}))
    outside = _graph_with_weights_in(b"../../secret")
    attacks.append(_bundle("weights elsewhere", _listing(manifest, outside), {"image.onnx": outside}))
    return [*attacks, _bundle("fine: the shipped one", right, refused=False)]


def _bundle(name: str, manifest: bytes, layout: Layout | None = None, *, refused: bool = True) -> Attack:
    def make(folder: Path) -> Callable[[], object]:
        shutil.copytree(BUNDLED_MODEL, folder, dirs_exist_ok=True)
        lay(folder, {"manifest.json": manifest, **(layout or {})})
        return lambda: Bundle.load(folder)

    return Attack(name, make, refused)


def _listing(manifest: dict[str, Any], tower: bytes) -> bytes:
    return json.dumps(
        {**manifest, "files": {**manifest["files"], "image.onnx": hashlib.sha256(tower).hexdigest()}}
    ).encode()


def _graph_with_weights_in(location: bytes) -> bytes:
    """Return an ONNX graph of one tensor whose values are in another file."""

    def part(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    entry = part(1, b"location") + part(2, location)
    return part(7, part(5, part(13, entry)))
