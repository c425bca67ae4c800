"""A damaged model bundle, or one that a config does not name, is never used."""

import json
import shutil
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from pipeline.encode.bundle import Bundle
from pipeline.errors import BundleError
from pipeline.settings import BUNDLED_MODEL

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLED_MODEL, tmp_path / "bundle"))


def test_a_changed_file_is_refused(copy: Path) -> None:
    with (copy / "text.onnx").open("ab") as tower:
        tower.write(b"x")
    with pytest.raises(BundleError, match=r"text\.onnx.*SHA-256"):
        Bundle.load(copy)


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"tokenizer\.json`: not found"):
        Bundle.load(copy)


def test_the_digest_names_weights_preprocessing_and_tokenizer(copy: Path) -> None:
    digest = Bundle.load(copy).digest
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "resize": "crop"}))
    assert Bundle.load(copy).digest != digest


@pytest.mark.parametrize("text", ["{", "{}", '{"name": 1}'])
def test_a_malformed_manifest_is_refused_with_its_path(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.load(copy)


@pytest.mark.parametrize("model", ["clip_image", "clip_text"])
def test_the_triton_models_hold_the_encoder_contract_of_the_shipped_bundle(model: str, bundle: Bundle) -> None:
    """`config.pbtxt` has the names, types and shapes of the contract, and the digest of the bundle."""
    config = model_config_pb2.ModelConfig()
    text_format.Parse((REPOSITORY / f"triton_models/{model}/config.pbtxt").read_text(), config)
    side, dimension = bundle.manifest.image_size, bundle.manifest.dimension
    given, made = config.input[0], config.output[0]
    if model == "clip_image":
        assert (given.name, given.data_type, list(given.dims)) == (
            "images",
            model_config_pb2.TYPE_UINT8,
            [side, side, 3],
        )
        assert made.name == "image_embeds"
    else:
        assert (given.name, given.data_type, list(given.dims)) == ("input_ids", model_config_pb2.TYPE_INT64, [-1])
        assert made.name == "text_embeds"
    assert (made.data_type, list(made.dims)) == (model_config_pb2.TYPE_FP32, [dimension])
    assert config.parameters["model_digest"].string_value == bundle.digest
    assert config.max_batch_size >= 32
    assert config.model_warmup
    assert config.instance_group
    assert not config.response_cache.enable
