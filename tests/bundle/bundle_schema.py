"""A JSON schema of a bundle's metadata, written after MONAI's bundle specification (docs.monai.io, "metadata.json").

MONAI's own schema is downloaded by `verify_metadata` and is not in its wheel; tests have no network and put this one in
its place. Required keys and their types are those that the specification names mandatory, with
`required_packages_version` under its present name, plus `schema` and the optional keys that it types.
"""

from typing import Any

TEXT = {"type": "string", "minLength": 1}
VERSIONS = {"type": "object", "additionalProperties": TEXT}
TENSOR: dict[str, Any] = {
    "type": "object",
    "required": ["type", "format", "modality", "num_channels", "spatial_shape", "dtype", "value_range",
                 "is_patch_data", "channel_def"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["image", "series", "tuples", "probabilities"]},
        "format": {"enum": ["magnitude", "hounsfield", "raw", "labels", "classes", "segmentation", "latent"]},
        "modality": TEXT,
        "num_channels": {"type": "integer", "minimum": 1},
        "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
        "dtype": {"enum": ["float32", "int32", "int64", "float16"]},
        "value_range": {"type": "array", "items": {"type": "number"}, "maxItems": 2},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "additionalProperties": TEXT, "minProperties": 1},
    },
}  # fmt: skip
TENSORS = {"type": "object", "minProperties": 1, "additionalProperties": TENSOR}
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version",
                 "required_packages_version", "task", "description", "authors",
                 "copyright", "network_data_format"],
    "properties": {
        **{name: TEXT for name in ("version", "monai_version", "pytorch_version", "numpy_version", "task",
                                   "description", "authors", "copyright", "data_source", "data_type", "image_classes",
                                   "label_classes", "pred_classes", "intended_use")},
        "schema": {"type": "string", "pattern": "^https://github.com/Project-MONAI/.*/meta_schema_[0-9]+.json$"},
        "changelog": VERSIONS,
        "required_packages_version": VERSIONS,
        "eval_metrics": {"type": "object", "additionalProperties": {"type": "number"}},
        "references": {"type": "array", "items": TEXT},
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "properties": {
                "inputs": {**TENSORS, "required": ["image"]},
                "outputs": {**TENSORS, "required": ["pred"]},
            },
        },
    },
}  # fmt: skip
