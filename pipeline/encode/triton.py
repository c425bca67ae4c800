"""Both towers on a Triton server, over gRPC; on one host, images go through shared memory. Wraps tritonclient."""

import queue
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import grpc
import numpy as np
import structlog
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from pipeline.encode.bundle import Bundle
from pipeline.encode.contract import IMAGE_MODEL, TEXT_MODEL, checked_embeddings, serving_version
from pipeline.encode.shared_memory import Ownership, Region, forget_owner, owner_is_gone
from pipeline.encode.tokenize import TextTokenizer
from pipeline.encode.triton_tls import channel_options, refusal_of
from pipeline.errors import EncoderFault, RefusedByTriton
from pipeline.tls import Tls

log = structlog.get_logger()

TEXT_BATCH = 32
FREE_S = 2.0
# Deadline of a question whether the server is ready: one that hangs is noticed before its requests time out.
CHECK_S = 2.0

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


class TritonEncoder:
    """
    A bundle's towers on a Triton server. Several threads may call it, `slots` of them at a time.

    Requests name the model version, which is derived from the bundle's digest. An answer is accepted if it has the
    expected shape and type, is finite and of unit length, and the server confirms afterwards that it serves this
    bundle. Otherwise `EncoderFault` is raised; the same call may succeed later. `answering` tells whether the last
    request succeeded, and `problem` is the reason if it did not.
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
        on_error: Callable[[str], None],
        tls: Tls | None = None,
    ) -> None:
        self.model_digest = bundle.digest
        self.logit_scale = bundle.manifest.logit_scale
        self.answering = False
        self.problem = "not asked yet"
        self._suspect = False
        self._version = str(serving_version(bundle.digest))
        self._dimension = bundle.manifest.dimension
        self._timeout_s = timeout_s
        self._on_error = on_error
        self._url, self._tls, self._connected = url, tls, False
        self._client = triton.InferenceServerClient(url, **channel_options(tls))
        self._tokenize = TextTokenizer(bundle)
        local = url.rpartition(":")[0] in _LOCAL_HOSTS
        self._share = shared_memory == "on" or (shared_memory == "auto" and local)
        self._insist = shared_memory == "on"
        self._ownership = Ownership() if self._share else None
        sizes = batch_size * 3 * bundle.manifest.image_size**2, batch_size * self._dimension * 4
        self._slots: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for _ in range(slots):
            self._slots.put(_Slot(self._ownership, *sizes))

    def check(self) -> None:
        """Raise `EncoderFault` unless the server is ready with this bundle, and `RefusedByTriton` if TLS fails."""
        timeout_s = min(CHECK_S, self._timeout_s)
        for model in (IMAGE_MODEL, TEXT_MODEL):
            self._confirm(model, timeout_s)
            if not self._ask(partial(self._client.is_model_ready, model, self._version, client_timeout=timeout_s)):
                raise self._fault("not_ready", f"Triton's `{model}` is not ready")
        if not self._suspect:
            self._believed()

    def free_abandoned_regions(self) -> int:
        """Make the server unmap the regions of killed workers, and return the number of regions."""
        if not self._share:
            return 0
        status = self._ask(partial(self._client.get_system_shared_memory_status, client_timeout=self._timeout_s))
        abandoned = [name for name in status.regions if owner_is_gone(name)]
        for name in abandoned:
            self._ask(partial(self._client.unregister_system_shared_memory, name, client_timeout=FREE_S))
        for name in abandoned:
            forget_owner(name)
        return len(abandoned)

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 [N, H, W, 3], RGB, to float32 [N, D], unit length; N at most the batch size."""
        slot = self._slots.get()
        try:
            found = self._infer_shared(slot, images) if self._share else self._infer_images(images)
        finally:
            self._slots.put(slot)
        return self._checked(IMAGE_MODEL, found, len(images))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Map N texts to float32 [N, D], unit length."""
        input_ids = self._tokenize(texts)
        batches = [input_ids[i : i + TEXT_BATCH] for i in range(0, len(input_ids), TEXT_BATCH)]
        return np.concatenate([self._encode_ids(batch) for batch in batches])

    def close(self) -> None:
        """Close the connection and free the shared memory."""
        while not self._slots.empty():
            self._slots.get().close(self._client)
        self._client.close()
        if self._ownership is not None:
            self._ownership.release()

    def _checked(self, model: str, found: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Check an answer's values, and then that the server still serves this bundle. Return the embeddings."""
        try:
            embeddings = checked_embeddings(found, (count, self._dimension), f"Triton's `{model}`")
        except EncoderFault as fault:
            raise self._bad_answer(str(fault)) from fault
        self._confirm(model)
        self._suspect = False
        self._believed()
        return embeddings

    def _confirm(self, model: str, timeout_s: float | None = None) -> None:
        """Raise `EncoderFault` unless the server reports that it serves this bundle."""
        timeout_s = timeout_s or self._timeout_s
        config = self._ask(partial(self._client.get_model_config, model, client_timeout=timeout_s))
        served = config.config.parameters["model_digest"].string_value
        if served != self.model_digest:
            raise self._fault(
                "wrong_model",
                f"Triton's `{model}` serves model {served[:12] or 'without a digest'}…, this worker was given "
                f"{self.model_digest[:12]}…; point both at one bundle (WATCHWORD_MODEL)",
            )

    def _encode_ids(self, batch: NDArray[np.int64]) -> NDArray[np.float32]:
        found = self._infer(TEXT_MODEL, "input_ids", "INT64", batch, "text_embeds")
        return self._checked(TEXT_MODEL, found, len(batch))

    def _infer_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._infer(IMAGE_MODEL, "images", "UINT8", images, "image_embeds")

    def _infer(self, model: str, name: str, dtype: str, values: NDArray[Any], output: str) -> NDArray[np.float32]:
        given = triton.InferInput(name, list(values.shape), dtype)
        given.set_data_from_numpy(np.ascontiguousarray(values))
        answer = self._request(model, given, triton.InferRequestedOutput(output)).as_numpy(output)
        if answer is None:
            raise self._bad_answer(f"Triton's `{model}` answered without `{output}`")
        return np.asarray(answer)

    def _infer_shared(self, slot: "_Slot", images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            self._ask(lambda: slot.ensure(self._client))
        except EncoderFault as fault:
            # The address is local but /dev/shm is not shared, for example with a container's published port.
            if self._insist or "shared memory" not in str(fault):
                raise
            self._share = False
            return self._infer_images(images)
        given = triton.InferInput("images", list(images.shape), "UINT8")
        given.set_shared_memory(slot.images.name, slot.images.write(images))
        slot.embeds.blank()
        wanted = triton.InferRequestedOutput("image_embeds")
        shape = len(images), self._dimension
        wanted.set_shared_memory(slot.embeds.name, shape[0] * shape[1] * 4)
        try:
            output = self._request(IMAGE_MODEL, given, wanted).get_output("image_embeds")
            if output is None or tuple(output.shape) != shape or output.datatype != "FP32":
                answered = None if output is None else f"{output.datatype} {list(output.shape)}"
                raise self._bad_answer(f"Triton's `{IMAGE_MODEL}` answered {answered}, not FP32 {list(shape)}")
        except EncoderFault:
            # A restarted server no longer knows the regions. A server that timed out may still write to them.
            slot.close(self._client)
            raise
        found: NDArray[np.float32] = slot.embeds.read(shape, np.float32)
        return found

    def _request(self, model: str, given: Any, wanted: Any) -> Any:
        answer = self._ask(
            lambda: self._client.infer(model, [given], self._version, outputs=[wanted], client_timeout=self._timeout_s)
        )
        by = answer.get_response()
        if (by.model_name, by.model_version) != (model, self._version):
            raise self._fault("wrong_model", f"Triton answered by `{by.model_name}` version {by.model_version}")
        return answer

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            answer = call()
        except InferenceServerException as error:
            kind = (error.status() or "unknown").removeprefix("StatusCode.").lower()
            self._raise_refusal(error)
            raise self._fault(kind, f"Triton: {kind}: {error.message()}") from error
        except grpc.RpcError as error:
            raise self._fault("rpc", f"Triton: {error}") from error
        self._connected = True
        return answer

    def _raise_refusal(self, error: InferenceServerException) -> None:
        """Raise `RefusedByTriton` if TLS fails. Once connected, it is a fault: certificates may be in rotation."""
        if not self._connected and (message := refusal_of(self._url, self._tls)):
            raise RefusedByTriton(message) from error

    def _bad_answer(self, message: str) -> EncoderFault:
        """Note an impossible answer. Until a good one arrives, a server that reports ready is not believed."""
        self._suspect = True
        return self._fault("bad_answer", message)

    def _believed(self) -> None:
        self.answering, self.problem = True, ""

    def _fault(self, kind: str, message: str) -> EncoderFault:
        self.answering, self.problem = False, message
        self._on_error(kind)
        return EncoderFault(message)


class _Slot:
    """The two regions of one request in flight, registered with the server when first used."""

    def __init__(self, ownership: Ownership | None, images_bytes: int, embeds_bytes: int) -> None:
        self._ownership = ownership
        self._sizes = images_bytes, embeds_bytes
        self._regions: tuple[Region, ...] = ()

    @property
    def images(self) -> Region:
        return self._regions[0]

    @property
    def embeds(self) -> Region:
        return self._regions[1]

    def ensure(self, client: Any) -> None:
        """Create and register the regions. Their names are removed as soon as the server has mapped them."""
        if self._regions:
            return
        assert self._ownership is not None
        regions = tuple(Region(self._ownership.region_name(), size) for size in self._sizes)
        try:
            for region in regions:
                client.register_system_shared_memory(region.name, region.key, region.size_bytes)
        except InferenceServerException:
            self._regions = regions
            self.close(client)
            raise
        for region in regions:
            region.unlink()
        self._regions = regions

    def close(self, client: Any) -> None:
        """Free the regions; the next use creates new ones under new names."""
        for region in self._regions:
            try:
                client.unregister_system_shared_memory(region.name, client_timeout=FREE_S)
            except (InferenceServerException, grpc.RpcError):
                log.debug("region_not_freed", region=region.name)  # the region is closed here in any case
            region.close()
        self._regions = ()
