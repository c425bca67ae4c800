"""The configurations of the shipped model repository. Run as a module, after a new bundle, it writes them."""

from pathlib import Path

from pipeline.encode.bundle import Bundle
from pipeline.models.engines.repository import Serving, image_config, python_parameters, text_config
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


if __name__ == "__main__":
    for config in shipped_configs():
        (SHIPPED / config.name / "config.pbtxt").write_text(config.text())
