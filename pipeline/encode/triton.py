"""Both towers behind Triton, over gRPC, images in shared memory on one host. The only user of tritonclient."""

import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from pipeline.encode.bundle import Bundle
from pipeline.encode.shared_memory import Region
from pipeline.encode.tokenize import TextTokenizer
from pipeline.errors import BundleError, EncoderFault

IMAGE_MODEL, TEXT_MODEL = "clip_image", "clip_text"
TEXT_BATCH = 32

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


class TritonEncoder:
    """
    A bundle's towers behind a Triton server. Calls from several threads are allowed, `slots` at a time.

    Every failure to get an answer is an `EncoderFault`: the same call may succeed later. A server that serves another
    model than the bundle is a `BundleError`. `answering` says how the last request ended.
    """

    def __init__(
        self,
        bundle: Bundle,
        url: str,
        *,
        timeout_s: float,
        batch_size: int,
        slots: int,
        shared_memory: str,
        region_prefix: str,
        on_error: Callable[[str], None],
    ) -> None:
        self.model_digest = bundle.digest
        self.logit_scale = bundle.manifest.logit_scale
        self._dimension = bundle.manifest.dimension
        self._timeout_s = timeout_s
        self._on_error = on_error
        self._client = triton.InferenceServerClient(url)
        self._tokenize = TextTokenizer(bundle)
        self._lock = threading.Lock()
        self._share = shared_memory
        self.answering = False
        self._local = url.rpartition(":")[0] in _LOCAL_HOSTS
        image_bytes = 3 * bundle.manifest.image_size**2
        names = [f"{region_prefix}-{slot}" for slot in range(slots)]
        sizes = batch_size * image_bytes, batch_size * self._dimension * 4
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for name in names:
            self._slots.put(_Slot(name, *sizes))

    def check(self) -> None:
        """Ask whether the server serves this bundle. Raises `EncoderFault` (not ready) or `BundleError` (another)."""
        for model in (IMAGE_MODEL, TEXT_MODEL):
            config = self._ask(partial(self._client.get_model_config, model, client_timeout=self._timeout_s))
            served = config.config.parameters["model_digest"].string_value
            if served != self.model_digest:
                raise BundleError(
                    f"Triton's `{model}` serves model {served[:12] or 'without a digest'}…, this worker was given "
                    f"{self.model_digest[:12]}…; point both at one bundle (WATCHWORD_MODEL)"
                )
            if not self._ask(partial(self._client.is_model_ready, model, client_timeout=self._timeout_s)):
                raise EncoderFault(f"Triton's `{model}` is not ready")

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [N, H, W, 3], RGB, to float32 [N, D], unit length; N at most the batch size."""
        slot = self._slots.get()
        try:
            if self._share == "off" or (self._share == "auto" and not self._local):
                return self._infer(IMAGE_MODEL, "images", "UINT8", images, "image_embeds")
            return self._infer_shared(slot, images)
        finally:
            self._slots.put(slot)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Map N texts to float32 [N, D], unit length."""
        input_ids = self._tokenize(texts)
        batches = [input_ids[i : i + TEXT_BATCH] for i in range(0, len(input_ids), TEXT_BATCH)]
        return np.concatenate(
            [self._infer(TEXT_MODEL, "input_ids", "INT64", batch, "text_embeds") for batch in batches]
        )

    def close(self) -> None:
        """Close the connection and give shared memory back."""
        while not self._slots.empty():
            self._slots.get().close(self._client)
        self._client.close()

    def _infer(self, model: str, name: str, dtype: str, values: NDArray[Any], output: str) -> NDArray[np.float32]:
        given = triton.InferInput(name, list(values.shape), dtype)
        given.set_data_from_numpy(np.ascontiguousarray(values))
        wanted = [triton.InferRequestedOutput(output)]
        answer = self._ask(
            lambda: self._client.infer(model, [given], outputs=wanted, client_timeout=self._timeout_s)
        ).as_numpy(output)
        if answer is None or answer.shape != (len(values), self._dimension):
            raise EncoderFault(f"Triton's `{model}` answered {None if answer is None else answer.shape}")
        return np.asarray(answer, dtype=np.float32)

    def _infer_shared(self, slot: "_Slot", images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            self._ask(lambda: slot.ensure(self._client))
        except EncoderFault as fault:
            # On this host by address, yet without a common /dev/shm: a container's port, for one.
            if self._share == "on" or "shared memory" not in str(fault):
                raise
            self._share = "off"
            return self._infer(IMAGE_MODEL, "images", "UINT8", images, "image_embeds")
        given = triton.InferInput("images", list(images.shape), "UINT8")
        given.set_shared_memory(slot.images.name, slot.images.write(images))
        wanted = triton.InferRequestedOutput("image_embeds")
        shape = len(images), self._dimension
        wanted.set_shared_memory(slot.embeds.name, shape[0] * shape[1] * 4)
        try:
            self._ask(
                lambda: self._client.infer(IMAGE_MODEL, [given], outputs=[wanted], client_timeout=self._timeout_s)
            )
        except EncoderFault:
            # A server that restarted has forgotten the regions, and one that timed out may still write to them.
            slot.drop()
            raise
        return slot.embeds.read(shape, np.float32)

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            answer = call()
        except InferenceServerException as error:
            self.answering = False
            kind = (error.status() or "unknown").removeprefix("StatusCode.").lower()
            self._on_error(kind)
            raise EncoderFault(f"Triton: {kind}: {error.message()}") from error
        except grpc.RpcError as error:
            self.answering = False
            self._on_error("rpc")
            raise EncoderFault(f"Triton: {error}") from error
        self.answering = True
        return answer


class _Slot:
    """The two regions of one request in flight, registered with the server when first used."""

    def __init__(self, name: str, images_bytes: int, embeds_bytes: int) -> None:
        self._name = name
        self._sizes = images_bytes, embeds_bytes
        self._regions: tuple[Region, Region] | None = None

    @property
    def images(self) -> Region:
        assert self._regions is not None
        return self._regions[0]

    @property
    def embeds(self) -> Region:
        assert self._regions is not None
        return self._regions[1]

    def ensure(self, client: Any) -> None:
        """Create the regions and register them; the name in the file system is gone once the server has mapped it."""
        if self._regions is not None:
            return
        regions = Region(f"{self._name}-images", self._sizes[0]), Region(f"{self._name}-embeds", self._sizes[1])
        try:
            for region in regions:
                client.unregister_system_shared_memory(region.name)
                client.register_system_shared_memory(region.name, region.key, region.size_bytes)
        except InferenceServerException:
            for region in regions:
                region.close()
            raise
        for region in regions:
            region.unlink()
        self._regions = regions

    def drop(self) -> None:
        """Forget the regions; the next use makes new ones."""
        if self._regions is not None:
            for region in self._regions:
                region.close()
        self._regions = None

    def close(self, client: Any) -> None:
        if self._regions is None:
            return
        for region in self._regions:
            try:
                client.unregister_system_shared_memory(region.name, client_timeout=1.0)
            except InferenceServerException:
                continue  # the server is gone, and its mapping with it
        self.drop()
