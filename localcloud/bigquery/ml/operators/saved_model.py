"""Checks the operators of a SavedModel.

TensorFlow runs parts of a SavedModel when it loads it, so the check comes first. It reads every graph, every function
of the library and every signature, used or not.
https://www.tensorflow.org/guide/saved_model#the_savedmodel_format_on_disk
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from localcloud.bigquery.ml.models.errors import InvalidModel
from localcloud.bigquery.ml.operators.allowed import (
    TENSORFLOW,
    TENSORFLOW_ASSET_READERS,
    TENSORFLOW_RESTORERS,
    TENSORFLOW_SAVERS,
)

# The collections that name operations that run when a SavedModel in the format of TensorFlow 1 is loaded.
_INITIAL_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_ASSETS_COLLECTION = "saved_model_assets"
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
# TensorFlow has no stubs for these messages.
_Node = Any
_Function = Any
# A part of a graph that runs as a whole: a node of the main graph (None and its name), or a function (its name and None).
_Part = tuple[str | None, str | None]


def check_saved_model(saved: saved_model_pb2.SavedModel) -> None:
    """Check a parsed SavedModel.

    Raises:
        InvalidModel: An operator is not allowed, or reads another file than the model's own.
    """
    for meta_graph in saved.meta_graphs:
        _MetaGraph(meta_graph).check()


class _MetaGraph:
    """A graph with its functions. A scope is the name of a function, or None for the main graph."""

    def __init__(self, meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
        self._meta_graph = meta_graph
        self._functions: dict[str, _Function] = {
            function.signature.name: function for function in meta_graph.graph_def.library.function
        }
        self._scopes: dict[str | None, dict[str, _Node]] = {
            None: {node.name: node for node in meta_graph.graph_def.node},
            **{name: {node.name: node for node in each.node_def} for name, each in self._functions.items()},
        }
        self._arguments = {
            name: [argument.name for argument in each.signature.input_arg] for name, each in self._functions.items()
        }
        definitions = meta_graph.signature_def.values()
        given = {_node(name) for definition in definitions for name in _tensors(definition.inputs.values())}
        self._assets = {_node(asset.tensor_info.name) for asset in self._asset_files()} - given
        self._checkpoint = {_node(meta_graph.saver_def.filename_tensor_name)} - given
        self._followed: set[tuple[str, str, str]] = set()

    def check(self) -> None:
        """Check the assets and all nodes.

        Raises:
            InvalidModel: An operator is not allowed, or reads another file than the model's own.
        """
        if sum(1 for _ in self._nodes()) != sum(len(nodes) for nodes in self._scopes.values()):
            raise InvalidModel("The SavedModel has two functions, or two nodes of a graph, with the same name.")
        for asset in self._asset_files():
            path = PurePosixPath(asset.filename)
            if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in asset.filename:
                raise InvalidModel(f"The SavedModel names the asset '{asset.filename}', which is not in its folder.")
        restored = self._reachable({_node(self._meta_graph.saver_def.restore_op_name)}, ())
        used = self._reachable(set(self._initial_and_served()), self._meta_graph.object_graph_def.concrete_functions)
        for scope, node in self._nodes():
            self._check_node(scope, node, restored, used)

    def _check_node(self, scope: str | None, node: _Node, restored: set[_Part], used: set[_Part]) -> None:
        part: _Part = (None, node.name) if scope is None else (scope, None)
        if node.op in TENSORFLOW_ASSET_READERS:
            if not self._is_from(scope, node.input[1:2], self._assets, "asset"):
                raise _refusal(scope, node, "It may read only the assets of the model.")
        elif node.op in TENSORFLOW_SAVERS:
            if part in used | restored:
                raise _refusal(scope, node, "A model may not write files.")
        elif node.op in TENSORFLOW_RESTORERS:
            if part in used or (
                part in restored and not self._is_from(scope, node.input[:1], self._checkpoint, "checkpoint")
            ):
                raise _refusal(scope, node, "It may read only the variables of the model, when the model is loaded.")
        elif node.op not in TENSORFLOW and node.op not in self._functions:
            raise _refusal(scope, node, "Only operators that compute are.")
        elif node.op == "PrintV2" and node.attr["output_stream"].s.startswith(b"file:"):
            raise _refusal(scope, node, "It may not print to a file.")

    def _nodes(self) -> Iterator[tuple[str | None, _Node]]:
        """Yield all nodes; not from the dictionaries, because names can repeat in a crafted file."""
        yield from ((None, node) for node in self._meta_graph.graph_def.node)
        for function in self._meta_graph.graph_def.library.function:
            yield from ((function.signature.name, node) for node in function.node_def)

    def _asset_files(self) -> Iterator[meta_graph_pb2.AssetFileDef]:
        yield from self._meta_graph.asset_file_def
        for packed in self._meta_graph.collection_def[_ASSETS_COLLECTION].any_list.value:
            asset = meta_graph_pb2.AssetFileDef()
            packed.Unpack(asset)
            yield asset

    def _initial_and_served(self) -> Iterator[str]:
        """Yield the nodes of the main graph that run when the model is loaded, or that a signature returns."""
        for definition in self._meta_graph.signature_def.values():
            yield from map(_node, _tensors((*definition.inputs.values(), *definition.outputs.values())))
        for name in _INITIAL_COLLECTIONS:
            yield from map(_node, self._meta_graph.collection_def[name].node_list.value)

    def _reachable(self, names: set[str], functions: Iterable[str]) -> set[_Part]:
        """Return what runs with the given nodes and functions: nodes of the main graph, and whole functions."""
        found: set[_Part] = set()
        waiting: list[_Part] = [(None, name) for name in names]
        waiting += [(function, None) for function in functions]
        while waiting:
            part = waiting.pop()
            if part in found:
                continue
            found.add(part)
            scope, name = part
            if scope is None:
                nodes = [node] if (node := self._scopes[None].get(name or "")) is not None else []
                waiting += [(None, _node(tensor)) for node in nodes for tensor in node.input]
            else:
                nodes = list(self._scopes.get(scope, {}).values())
            waiting += [(function, None) for node in nodes for function in self._called(node)]
        return found

    def _called(self, node: _Node) -> Iterator[str]:
        """Yield the functions that a node names."""
        if node.op in self._functions:
            yield node.op
        for value in node.attr.values():
            yield from (each.name for each in (value.func, *value.list.func) if each.name)

    def _is_from(self, scope: str | None, tensors: Iterable[str], sources: set[str], kind: str) -> bool:
        """Return whether a tensor can only be the value of certain nodes of the main graph.

        Args:
            scope: Where the tensor is.
            tensors: Its name, in a list; an empty list if a node has no such input.
            sources: The names of the nodes.
            kind: The kind of the objects that have the same value, and that other objects pass to functions.
        """
        names = [_node(tensor) for tensor in tensors]
        return bool(names) and all(self._name_is_from(scope, name, sources, kind) for name in names)

    def _name_is_from(self, scope: str | None, name: str, sources: set[str], kind: str) -> bool:
        if scope is not None and name in self._arguments[scope]:
            # The first wrong value ends the check, so an argument that was followed before is right or is being followed.
            if (scope, name, kind) in self._followed:
                return True
            self._followed.add((scope, name, kind))
            return self._argument_is_from(scope, self._arguments[scope].index(name), sources, kind)
        node = self._scopes[scope].get(name)
        if node is not None and node.op == "Identity":
            return self._is_from(scope, node.input[:1], sources, kind)
        if node is not None and node.op == "ReadVariableOp" and scope is None:
            return self._variable_is_from(_node(node.input[0]) if node.input else "", sources, kind)
        return scope is None and name in sources

    def _variable_is_from(self, handle: str, sources: set[str], kind: str) -> bool:
        """Return whether a variable of the main graph has only such a value: TensorFlow 2 keeps asset names in variables."""
        variable = self._scopes[None].get(handle)
        if variable is None or variable.op != "VarHandleOp":
            return False
        shared = variable.attr["shared_name"].s
        same = [node for _, node in self._nodes() if node.op == "VarHandleOp" and node.attr["shared_name"].s == shared]
        users = [node for node in self._scopes[None].values() if handle in map(_node, node.input)]
        assigned = [node for node in users if node.op == "AssignVariableOp"]
        return (
            len(same) == 1
            and all(node.op in ("AssignVariableOp", "ReadVariableOp", "VarIsInitializedOp") for node in users)
            and all(self._is_from(None, node.input[1:2], sources, kind) for node in assigned)
        )

    def _argument_is_from(self, function: str, index: int, sources: set[str], kind: str) -> bool:
        """Return whether an argument of a function is such a value in every call of the function."""
        for scope, node in self._nodes():
            if function not in set(self._called(node)):
                continue
            direct = node.op == function or (node.op in _CALLS and node.attr["f"].func.name == function)
            if not direct or not self._is_from(scope, node.input[index : index + 1], sources, kind):
                return False
        objects = self._meta_graph.object_graph_def
        if function not in objects.concrete_functions:
            return True
        # An object passes its captures as the last arguments; the caller passes the others.
        captures = objects.concrete_functions[function].bound_inputs
        position = index - (len(self._arguments[function]) - len(captures))
        if position < 0 or not 0 <= captures[position] < len(objects.nodes):
            return False
        return bool(objects.nodes[captures[position]].WhichOneof("kind") == kind)


def _tensors(infos: Iterable[meta_graph_pb2.TensorInfo]) -> Iterator[str]:
    """Yield the names of the tensors of inputs or outputs."""
    for info in infos:
        yield info.name
        yield from (info.coo_sparse.values_tensor_name, info.coo_sparse.indices_tensor_name)
        yield info.coo_sparse.dense_shape_tensor_name
        yield from _tensors(info.composite_tensor.components)


def _node(tensor: str) -> str:
    """Return the name of the node of a tensor, such as ``node:0`` or ``^node``."""
    return tensor.removeprefix("^").partition(":")[0]


def _refusal(scope: str | None, node: _Node, reason: str) -> InvalidModel:
    place = f"node '{node.name}'" + (f" of function '{scope}'" if scope is not None else "")
    return InvalidModel(
        f"The SavedModel uses the operator {node.op} ({place}), which is not supported in an imported model. {reason}"
    )
