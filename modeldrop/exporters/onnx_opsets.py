"""Lowers the versions of an ONNX model to those of BigQuery's ONNX Runtime 1.12.

https://onnxruntime.ai/docs/reference/compatibility.html
"""

from __future__ import annotations

import onnx
import onnx.inliner
from onnx import ModelProto, NodeProto, defs, helper, version_converter

from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.onnx_graphs import all_nodes
from shared.drops.formats.onnx import NEWEST_IR, NEWEST_OPSETS
from shared.errors import short_reason

_ML = "ai.onnx.ml"

# The newest type of elements that IR version 8 has, by its number in onnx.proto: bfloat16.
_NEWEST_ELEMENT = 16


def lower_versions(model: ModelProto) -> ModelProto:
    """Return a model with the newest versions that BigQuery takes, or older ones. The argument may change.

    Operators that are the same in the older version stay as they are; others are converted by ONNX.

    Raises:
        ExportError: An operator or type does not exist in the older version.
    """
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    versions = _versions(model)
    wanted = {domain: min(version, NEWEST_OPSETS.get(domain, version)) for domain, version in versions.items()}
    for node in all_nodes(model.graph):
        _drop_new_defaults(node, versions, wanted)
    changed = [node for node in all_nodes(model.graph) if not _fits(node, versions, wanted)]
    if any(_domain(node) == _ML for node in changed):
        raise ExportError(
            _new_operators(changed, versions, wanted, "convert the original model with an older target_opset")
        )
    if changed:
        if missing := [node for node in changed if not _exists(node, wanted)]:
            raise ExportError(
                _new_operators(missing, versions, wanted, "export the original model with an older opset")
            )
        try:
            model = version_converter.convert_version(model, wanted[""])
        except Exception as error:
            # ONNX raises the errors of its C++ code as RuntimeError and as its own types.
            text = _new_operators(changed, versions, wanted, "export the original model with an older opset")
            raise ExportError(f"{text} ({short_reason(error)})") from error
    del model.opset_import[:]
    for domain, version in sorted(wanted.items()):
        model.opset_import.add(domain=domain, version=version)
    newest = max((tensor.data_type for tensor in model.graph.initializer), default=0)
    if newest > _NEWEST_ELEMENT:
        name = helper.tensor_dtype_to_string(newest).removeprefix("TensorProto.")
        raise ExportError(
            f"the ONNX model has weights of the type {name}, which BigQuery's ONNX Runtime 1.12 does not have"
        )
    model.ir_version = min(model.ir_version, NEWEST_IR)
    return model


def _versions(model: ModelProto) -> dict[str, int]:
    """Return the versions of the model's domains. Some converters name a domain twice, or leave out one that they use."""
    versions: dict[str, int] = {}
    for opset in model.opset_import:
        domain = "" if opset.domain == "ai.onnx" else opset.domain
        versions[domain] = max(opset.version, versions.get(domain, 0))
    for node in all_nodes(model.graph):
        versions.setdefault(_domain(node), 1)
    return versions


def _drop_new_defaults(node: NodeProto, versions: dict[str, int], wanted: dict[str, int]) -> None:
    """Remove attributes that the wanted version does not have, if they have their default values."""
    domain = _domain(node)
    if wanted[domain] == versions[domain] or not _exists(node, wanted):
        return
    known = defs.get_schema(node.op_type, wanted[domain], domain).attributes
    newest = _schema(node, versions).attributes
    # Older versions split evenly as well, into as many parts as there are outputs.
    implied = {"num_outputs": len(node.output)} if node.op_type == "Split" else {}
    dropped = [
        each
        for each in node.attribute
        if each.name not in known
        and each.name in newest
        and helper.get_attribute_value(each)
        == (implied.get(each.name) or helper.get_attribute_value(newest[each.name].default_value))
    ]
    for each in dropped:
        node.attribute.remove(each)


def _schema(node: NodeProto, versions: dict[str, int]) -> defs.OpSchema:
    """Return the schema of a node. The version can be newer than the installed ONNX, whose newest one is the best then."""
    domain = _domain(node)
    try:
        return defs.get_schema(node.op_type, versions[domain], domain)
    except defs.SchemaError:
        return defs.get_schema(node.op_type, domain)


def _fits(node: NodeProto, versions: dict[str, int], wanted: dict[str, int]) -> bool:
    """Return whether a node means the same in the wanted version."""
    domain = _domain(node)
    if wanted[domain] == versions[domain]:
        return True
    if not _exists(node, wanted):
        return False
    new = defs.get_schema(node.op_type, wanted[domain], domain)
    if _schema(node, versions).since_version == new.since_version:
        return True
    # Most new versions only add types, inputs or attributes. The comparison of outputs finds the others.
    return len(node.input) <= new.max_input and {each.name for each in node.attribute} <= new.attributes.keys()


def _exists(node: NodeProto, wanted: dict[str, int]) -> bool:
    return bool(defs.has(node.op_type, domain=_domain(node), max_inclusive_version=wanted[_domain(node)]))


def _domain(node: NodeProto) -> str:
    return "" if node.domain == "ai.onnx" else node.domain


def _new_operators(nodes: list[NodeProto], versions: dict[str, int], wanted: dict[str, int], advice: str) -> str:
    domain = _domain(nodes[0])
    names = ", ".join(sorted({node.op_type for node in nodes if _domain(node) == domain})[:5])
    return (
        f"the ONNX model uses {names} of opset {versions[domain]} of the domain {domain or 'ai.onnx'}, and BigQuery's ONNX "
        f"Runtime 1.12 has opset {wanted[domain]}: {advice}"
    )
