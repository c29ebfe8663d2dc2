"""Keys and values as states of the graph, and names that never vary.

After `make_stateful` the graph has the inputs that openvino-genai expects:
input_ids, attention_mask, position_ids and beam_idx. beam_idx says which row
of the state each row of the batch continues, so a batch can grow (one prompt,
several samples) and shrink (samples that ended) between steps.
"""

from __future__ import annotations

from typing import Any

from reconciler.serving.export import PAST, PRESENT


def make_stateful(graph: Any) -> None:
    """Replace the explicit past of an exported graph by states, in place."""
    import openvino
    from openvino import opset13 as ops
    from openvino._offline_transformations import (
        apply_make_stateful_transformation,
    )

    past = [
        name
        for port in graph.inputs
        if (name := port.get_any_name()).startswith(PAST)
    ]
    beams = ops.parameter([-1], openvino.Type.i32)
    beams.output(0).get_tensor().set_names({"beam_idx"})
    graph.add_parameters([beams])
    for name in past:
        _reorder(graph.input(name), beams, ops)
    graph.validate_nodes_and_infer_types()
    apply_make_stateful_transformation(
        graph, {name: name.replace(PAST, PRESENT) for name in past}
    )
    _start_empty(graph, ops)
    graph.validate_nodes_and_infer_types()


def _reorder(port: Any, beams: Any, ops: Any) -> None:
    """Let all readers of a past input see its rows in beam order."""
    readers = port.get_node().output(0).get_target_inputs()
    rows = ops.gather(port.get_node(), beams, ops.constant(0))
    for reader in readers:
        reader.replace_source_output(rows.output(0))


def _start_empty(graph: Any, ops: Any) -> None:
    """Give each state an initial value: no tokens, one row per prompt."""
    import numpy as np

    shape = ops.shape_of(graph.input("input_ids").get_node())
    axis = ops.constant(0)
    batch = ops.gather(shape, ops.constant([0]), axis)
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "ReadValue":
            continue
        _, heads, _, width = node.get_output_partial_shape(0)
        sizes = [heads.get_length(), 0, width.get_length()]
        full = ops.concat([batch, ops.constant(sizes)], axis=0)
        start = ops.broadcast(ops.constant(np.float32(0)), full)
        node.set_arguments([start])


def canonical(graph: Any) -> None:
    """Name every node by its position: equal graphs give equal bytes.

    Names made by the tracer count up through the life of a process, and the
    notes of the tools (rt_info) may hold paths or options. Neither affects
    inference.
    """
    keep = {port.get_any_name() for port in graph.inputs}
    keep |= {port.get_any_name() for port in graph.outputs}
    graph.set_friendly_name("model")
    for number, node in enumerate(graph.get_ordered_ops()):
        kind = node.get_type_name()
        node.set_friendly_name(f"{kind}_{number}")
        for port in node.outputs():
            tensor = port.get_tensor()
            tensor.set_names(set(tensor.get_names()) & keep)
    for port in graph.inputs:
        port.get_node().set_friendly_name(port.get_any_name())
    for key in list(graph.get_rt_info()):
        del graph.get_rt_info()[key]
