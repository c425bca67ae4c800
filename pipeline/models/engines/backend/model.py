"""One tower of a model bundle on ONNX Runtime, for Triton's Python backend. `config.pbtxt` names the tower."""

import hashlib
import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils


# Seconds between checks for the parent: a killed server leaves this process behind, which ignores SIGTERM.
PARENT_S = 1.0


def end_with(parent):
    """End this process soon after its parent."""
    while os.getppid() == parent:
        time.sleep(PARENT_S)
    os._exit(1)


class TritonPythonModel:
    """Triton's interface: it calls `initialize` once per instance, then `execute` for each dynamic batch of requests."""

    def initialize(self, args):
        """Open the tower. Refuses a bundle whose digest differs from the one in `config.pbtxt` and the version."""
        threading.Thread(target=end_with, args=(os.getppid(),), name="end-with-server", daemon=True).start()
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        folder = Path(os.environ.get("WATCHWORD_MODEL") or Path(args["model_repository"]) / parameters["bundle"])
        manifest = json.loads((folder / "manifest.json").read_text())
        canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        if digest != parameters["model_digest"]:
            raise pb_utils.TritonModelException(
                f"{folder} is model {digest}, config.pbtxt names {parameters['model_digest']}: put the one it names there"
            )
        if int(args["model_version"]) != int(digest[:12], 16):
            raise pb_utils.TritonModelException(
                f"version {args['model_version']} is not that of model {digest}: its folder is {int(digest[:12], 16)}"
            )
        tower = folder / manifest[parameters["tower"]]
        if hashlib.sha256(tower.read_bytes()).hexdigest() != manifest["files"][tower.name]:
            raise pb_utils.TritonModelException(f"{tower} is not the file its manifest lists")
        self.input, self.output = config["input"][0]["name"], config["output"][0]["name"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(parameters["threads"])
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(str(tower), options, providers=["CPUExecutionProvider"])

    def execute(self, requests):
        """Run the requests of one dynamic batch together, and return to each request its own rows."""
        given = [pb_utils.get_input_tensor_by_name(request, self.input).as_numpy() for request in requests]
        batch = given[0] if len(given) == 1 else np.concatenate(given)
        embeds = self.session.run([self.output], {self.input: batch})[0]
        responses, start = [], 0
        for rows in given:
            tensor = pb_utils.Tensor(self.output, embeds[start : start + len(rows)])
            responses.append(pb_utils.InferenceResponse([tensor]))
            start += len(rows)
        return responses
