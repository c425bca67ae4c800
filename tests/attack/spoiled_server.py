"""A separate Triton server whose model can be damaged and restored."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.encode.bundle import Bundle
from pipeline.settings import BUNDLED_MODEL
from pipeline.stack.local import down, up
from pipeline.stack.triton import TritonPart
from pipeline.stack_settings import StackSettings
from tests.support.ports import free_ports
from tests.support.stream import REPOSITORY

# What a spoiled image model makes of its true embeddings, as Python; `half` also answers fewer rows.
SPOILS = {
    "not a number": "np.full_like(embeds, np.nan)",
    "one not a number": "np.where(np.arange(embeds.shape[1]) == 3, np.float32(np.inf), embeds)",
    "zeros": "np.zeros_like(embeds)",
    "twice as long": "2 * embeds",
    "half": "embeds",
    "another model in its place": "np.roll(embeds, 7, axis=1)",
    "another model": "np.roll(embeds, 7, axis=1)",
}
FOREIGN = "f" * 64
_RUN = "embeds = self.session.run([self.output], {self.input: batch})[0]"


class SpoiledServer:
    """One model repository in a folder, served by one Triton."""

    def __init__(self, folder: Path) -> None:
        grpc, http, metrics = free_ports(3)
        self._repository = folder / "models"
        self._settings = StackSettings(
            parts=REPOSITORY / ".watchword/parts",
            state=folder / "triton",
            triton_models=self._repository,
            triton_grpc_port=grpc,
            triton_http_port=http,
            triton_metrics_port=metrics,
        )
        self.part = TritonPart(self._settings)
        self.address = self.part.address
        self.metrics_port = metrics

    def serve(self, spoil: str | None = None) -> None:
        """Kill the running server, and serve the shipped models, with the image model damaged if requested."""
        self.kill()
        self._write(spoil)
        up([self.part], lambda _: None, self._settings.ready_timeout_s)

    def serve_switched(self, images: str, embeds: str, switch: Path) -> None:
        """Serve the shipped models; while `switch` exists, these expressions replace its pixels and embeddings."""
        self.kill()
        self._write(None)
        [model] = (self._repository / "clip_image").glob("*/model.py")
        text = model.read_text()
        assert _RUN in text
        turned = f"""spoiled = __import__("os").path.exists({str(switch)!r})
        batch = np.ascontiguousarray({images}) if spoiled else batch
        {_RUN}
        embeds = ({embeds}).astype(np.float32) if spoiled else embeds"""
        model.write_text(text.replace(_RUN, turned))
        up([self.part], lambda _: None, self._settings.ready_timeout_s)

    def serve_again(self) -> None:
        """Serve what was served before the kill."""
        up([self.part], lambda _: None, self._settings.ready_timeout_s)

    def kill(self) -> None:
        """End the server as a crash does."""
        process = self.part.process.find()
        if process is not None:
            process.kill()
            process.wait(10)

    def close(self) -> None:
        down([self.part], lambda _: None)

    def _write(self, spoil: str | None) -> None:
        shutil.rmtree(self._repository, ignore_errors=True)
        shutil.copytree(REPOSITORY / "triton_models", self._repository, symlinks=False)
        for config in self._repository.glob("*/config.pbtxt"):
            config.write_text(re.sub(r'"\S*bundles/caltech-small"', f'"{BUNDLED_MODEL}"', config.read_text()))
        if spoil is not None:
            self._spoil(spoil)

    def _spoil(self, spoil: str) -> None:
        folder = self._repository / "clip_image"
        [model] = folder.glob("*/model.py")
        text = model.read_text()
        assert _RUN in text
        text = text.replace(_RUN, f"{_RUN}\n        embeds = {SPOILS[spoil]}.astype(np.float32)")
        if spoil == "half":
            text = text.replace("start + len(rows)]", "start + max(1, len(rows) // 2)]")
        if spoil.startswith("another model"):
            digest = Bundle.load(BUNDLED_MODEL).digest
            config = folder / "config.pbtxt"
            config.write_text(config.read_text().replace(digest, FOREIGN))
            text = text.replace("if digest !=", "if False and digest !=").replace(
                'if int(args["model_version"]) !=', 'if False and int(args["model_version"]) !='
            )
        model.write_text(text)
        if spoil == "another model":
            # An honest one: its version is its own digest's.
            model.parent.rename(folder / str(int(FOREIGN[:12], 16)))


@contextmanager
def spoiled_server(folder: Path) -> Iterator[SpoiledServer]:
    server = SpoiledServer(folder)
    try:
        yield server
    finally:
        server.kill()
        server.close()
