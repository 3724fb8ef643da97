//! Writes the model file; see the parent's header for the format.

use super::protobuf::Writer;
use super::{FEATURES_KEY, FEATURES_VERSION_KEY, INPUT, IR_VERSION, OPSET, OUTPUT};
use crate::manifest::FeatureSet;
use crate::mlp::{Layer, Mlp};

/// TensorProto.DataType.FLOAT.
pub(super) const FLOAT: u64 = 1;
pub(super) const PRODUCER: &str = "aion";
pub(super) const GRAPH: &str = "mlp";
pub(super) const BATCH: &str = "batch";

pub(super) fn model(mlp: &Mlp, features: &FeatureSet, metadata: &[(String, String)]) -> Vec<u8> {
    let mut model = Writer::default();
    model.number(1, IR_VERSION);
    model.text(2, PRODUCER);
    model.message(8, |opset| opset.number(2, OPSET));
    let mut entry = |key: &str, value: &str| {
        model.message(14, |entry| {
            entry.text(1, key);
            entry.text(2, value);
        });
    };
    entry(FEATURES_KEY, &features.name);
    entry(FEATURES_VERSION_KEY, &features.version.to_string());
    for (key, value) in metadata {
        entry(key, value);
    }
    // Last, so that a file that was cut is never a whole one.
    model.message(7, |writer| graph(writer, mlp));
    model.bytes
}

fn graph(graph: &mut Writer, mlp: &Mlp) {
    let layers = mlp.layers();
    let mut before = INPUT.to_owned();
    for at in 0..layers.len() {
        let is_last = at + 1 == layers.len();
        let sum = if is_last {
            OUTPUT.to_owned()
        } else {
            format!("gemm_{at}")
        };
        let operands = [&before, &format!("weights_{at}"), &format!("biases_{at}")];
        graph.message(1, |writer| node(writer, &operands, &sum, "Gemm"));
        if !is_last {
            before = format!("relu_{at}");
            graph.message(1, |writer| node(writer, &[&sum], &before, "Relu"));
        }
    }
    graph.text(2, GRAPH);
    for (at, layer) in layers.iter().enumerate() {
        graph.message(5, |writer| weights(writer, at, layer));
        graph.message(5, |writer| biases(writer, at, layer));
    }
    let widths = layers.first().zip(layers.last());
    let (inputs, outputs) = widths.map_or((0, 0), |(first, last)| (first.inputs(), last.outputs()));
    graph.message(11, |writer| value_info(writer, INPUT, inputs));
    graph.message(12, |writer| value_info(writer, OUTPUT, outputs));
}

fn node(node: &mut Writer, operands: &[&String], output: &str, operator: &str) {
    for operand in operands {
        node.text(1, operand);
    }
    node.text(2, output);
    node.text(4, operator);
}

fn weights(tensor: &mut Writer, at: usize, layer: &Layer) {
    tensor.number(1, layer.inputs() as u64);
    tensor.number(1, layer.outputs() as u64);
    numbers(tensor, &format!("weights_{at}"), layer.weights());
}

fn biases(tensor: &mut Writer, at: usize, layer: &Layer) {
    tensor.number(1, layer.outputs() as u64);
    numbers(tensor, &format!("biases_{at}"), layer.biases());
}

fn numbers(tensor: &mut Writer, name: &str, numbers: &[f32]) {
    tensor.number(2, FLOAT);
    tensor.text(8, name);
    let raw: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    tensor.bytes(9, &raw);
}

fn value_info(info: &mut Writer, name: &str, width: usize) {
    info.text(1, name);
    info.message(2, |of_type| {
        of_type.message(1, |tensor| {
            tensor.number(1, FLOAT);
            tensor.message(2, |shape| {
                shape.message(1, |dim| dim.text(2, BATCH));
                shape.message(1, |dim| dim.number(1, width as u64));
            });
        });
    });
}
