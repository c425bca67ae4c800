"""Extras: the error for a missing package names the extra that installs it; a missing module of ours is a defect."""

import importlib

import pytest

from pipeline.errors import UsageError
from pipeline.extras import models_extra


def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(UsageError, match="install the extra `archive`"), models_extra("archive"):
        importlib.import_module("a_package_that_nobody_has")


def test_a_missing_module_of_ours_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError), models_extra("archive"):
        importlib.import_module("pipeline.archive.nowhere")
