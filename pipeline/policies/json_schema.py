"""JSON Schemas of the files of a policy folder, with which editors complete and check them."""

from typing import Any, Literal

from pipeline.policies.schema import BackgroundFile, PolicyFile, SharedFile

Kind = Literal["policy", "shared", "background"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(kind: Kind) -> dict[str, Any]:
    """Return the schema of one kind of file. A policy with `extends` has no required keys: it may inherit them."""
    if kind == "background":
        return {"$schema": _DIALECT, **BackgroundFile.model_json_schema()}
    if kind == "shared":
        return {"$schema": _DIALECT, **SharedFile.model_json_schema()}
    schema = PolicyFile.model_json_schema()
    extends = {"type": "string", "description": "a policy's id or a file such as `_base`, whose keys are inherited"}
    schema["properties"] = {"extends": extends, **schema["properties"]}
    schema["anyOf"] = [{"required": schema.pop("required")}, {"required": ["extends"]}]
    return {"$schema": _DIALECT, **schema}
