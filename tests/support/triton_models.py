"""The shipped model repository. Run as a module, after a new bundle, it writes configurations and versions."""

import os
import shutil
from pathlib import Path

from pipeline.encode.bundle import Bundle
from pipeline.encode.contract import serving_version
from pipeline.models.engines.repository import (
    PYTHON_MODEL,
    Serving,
    image_config,
    python_parameters,
    text_config,
)
from pipeline.models.engines.triton_config import ModelConfig
from pipeline.settings import BUNDLED_MODEL

SHIPPED = Path(__file__).parents[2] / "triton_models"
BUNDLE_PATH = "../../pipeline/bundles/caltech-small"


def shipped_configs() -> list[ModelConfig]:
    bundle = Bundle.load(BUNDLED_MODEL)
    return [
        image_config(bundle, "python", Serving(), python_parameters("image_tower", BUNDLE_PATH)),
        text_config(bundle, "python", python_parameters("text_tower", BUNDLE_PATH)),
    ]


def version_folder(config: ModelConfig) -> Path:
    """The folder that Triton serves a shipped model from: its digest's version."""
    return SHIPPED / config.name / str(serving_version(config.parameters["model_digest"].string_value))


def write_shipped() -> None:
    for config in shipped_configs():
        (SHIPPED / config.name / "config.pbtxt").write_text(config.text())
        for old in (SHIPPED / config.name).glob("[0-9]*"):
            shutil.rmtree(old)
        folder = version_folder(config)
        folder.mkdir()
        (folder / "model.py").symlink_to(os.path.relpath(PYTHON_MODEL, folder))


if __name__ == "__main__":
    write_shipped()
