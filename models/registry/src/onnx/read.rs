//! Reads the model file; see the parent's header for the format and the steps.
//!
//! Each message has its function, which knows the fields that the format has there and refuses all others, by name where the name says
//! more than the number. The order of fields, and that nothing stands twice, is left to the comparison with what would be written.

use super::protobuf::{Field, Reader, Value};
use super::write::FLOAT;
use super::{FEATURES_KEY, FEATURES_VERSION_KEY, INPUT, IR_VERSION, METADATA_MAX, ModelFacts, OPSET, OUTPUT};
use crate::manifest::FeatureSet;
use crate::mlp::{LAYERS_MAX, Layer, Mlp, PARAMETERS_MAX};

type Read<T> = Result<T, String>;

/// Bytes of a name within the graph that are shown or kept.
const NAME_MAX: usize = 64;

pub(super) fn model(bytes: &[u8]) -> Read<ModelFacts> {
    let mut fields = Reader::new(bytes, "the model");
    let (mut ir_version, mut opset, mut mlp) = (None, None, None);
    let mut metadata = Vec::new();
    while let Some(field) = fields.next()? {
        match field.number {
            1 => ir_version = Some(number(field, "ir_version")?),
            2 => drop(name(field, "producer_name")?),
            7 => mlp = Some(graph(message(field, "graph")?)?),
            8 => opset = Some(operator_set(message(field, "opset_import")?)?),
            14 => {
                if metadata.len() >= METADATA_MAX + 2 {
                    return Err(format!("it has more than {METADATA_MAX} entries of metadata"));
                }
                metadata.push(entry(message(field, "metadata_props")?)?);
            }
            20 => return Err("it has training information".to_owned()),
            25 => return Err("it defines functions".to_owned()),
            other => return Err(format!("the model has field {other}, which the format does not have")),
        }
    }
    if ir_version != Some(IR_VERSION) {
        return Err(format!("its ir_version is {}, not {IR_VERSION}", shown(ir_version)));
    }
    if opset != Some(OPSET) {
        return Err(format!("its opset is {}, not {OPSET}", shown(opset)));
    }
    let mlp = mlp.ok_or("it has no graph")?;
    let mut entries = metadata.into_iter();
    let mut expected = |key: &str| match entries.next() {
        Some((found, value)) if found == key => Ok(value),
        _ => Err(format!("its metadata does not name {key:?} where it belongs")),
    };
    let name = expected(FEATURES_KEY)?;
    let version = expected(FEATURES_VERSION_KEY)?;
    let version = version
        .parse()
        .map_err(|_| format!("its version of features, {version:?}, is no number"))?;
    let count = mlp.layers().first().map_or(0, Layer::inputs);
    Ok(ModelFacts {
        features: FeatureSet { name, version, count },
        metadata: entries.collect(),
        mlp,
    })
}

fn operator_set(mut fields: Reader<'_>) -> Read<u64> {
    let mut version = None;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => return Err(format!("it uses the operators of domain {:?}", name(field, "domain")?)),
            2 => version = Some(number(field, "version")?),
            other => return Err(format!("opset_import has field {other}")),
        }
    }
    version.ok_or_else(|| "opset_import has no version".to_owned())
}

fn entry(mut fields: Reader<'_>) -> Read<(String, String)> {
    let (mut key, mut value) = (None, None);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = Some(text(field, "key", super::METADATA_BYTES_MAX)?),
            2 => value = Some(text(field, "value", super::METADATA_BYTES_MAX)?),
            other => return Err(format!("metadata_props has field {other}")),
        }
    }
    key.zip(value)
        .ok_or_else(|| "an entry of metadata has no key or no value".to_owned())
}

/// A node: an operator with the names of its inputs and its output.
struct Node {
    operator: String,
    inputs: Vec<String>,
    output: String,
}

/// The weights of one name.
struct Tensor {
    name: String,
    dims: Vec<usize>,
    numbers: Vec<f32>,
}

fn graph(mut fields: Reader<'_>) -> Read<Mlp> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut tensors: Vec<Tensor> = Vec::new();
    let (mut input, mut output) = (None, None);
    let mut parameters = 0;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => {
                if nodes.len() >= 2 * LAYERS_MAX {
                    return Err(format!("it has more than {} nodes", 2 * LAYERS_MAX));
                }
                nodes.push(node(message(field, "node")?)?);
            }
            2 => drop(name(field, "name of the graph")?),
            5 => {
                if tensors.len() >= 2 * LAYERS_MAX {
                    return Err(format!("it has more than {} tensors", 2 * LAYERS_MAX));
                }
                let read = tensor(message(field, "initializer")?)?;
                parameters += read.numbers.len();
                if parameters > PARAMETERS_MAX {
                    return Err(format!("it has more than {PARAMETERS_MAX} weights"));
                }
                tensors.push(read);
            }
            11 => input = Some(value_info(message(field, "input")?)?),
            12 => output = Some(value_info(message(field, "output")?)?),
            15 => return Err("it has sparse weights".to_owned()),
            other => return Err(format!("the graph has field {other}, which the format does not have")),
        }
    }
    let mlp = chain(&nodes, tensors)?;
    for (info, expected, width) in [
        (input, INPUT, mlp.layers().first().map(Layer::inputs)),
        (output, OUTPUT, mlp.layers().last().map(Layer::outputs)),
    ] {
        let (name, declared) = info.ok_or_else(|| format!("it does not declare {expected:?}"))?;
        if name != expected || Some(declared) != width {
            let width = width.unwrap_or_default();
            return Err(format!(
                "it declares {name:?} of width {declared} where {expected:?} of width {width} belongs"
            ));
        }
    }
    Ok(mlp)
}

fn node(mut fields: Reader<'_>) -> Read<Node> {
    let (mut inputs, mut output, mut operator) = (Vec::new(), None, None);
    while let Some(field) = fields.next()? {
        match field.number {
            1 if inputs.len() >= 3 => return Err("a node has more than three inputs".to_owned()),
            1 => inputs.push(name(field, "input of a node")?),
            2 => output = Some(name(field, "output of a node")?),
            4 => operator = Some(name(field, "op_type")?),
            5 => return Err("a node has an attribute".to_owned()),
            7 => return Err(format!("a node is of domain {:?}", name(field, "domain")?)),
            other => return Err(format!("a node has field {other}, which the format does not have")),
        }
    }
    let operator = operator.ok_or("a node has no operator")?;
    if operator != "Gemm" && operator != "Relu" {
        return Err(format!("it uses the operator {operator:?}; only Gemm and Relu are run"));
    }
    let output = output.ok_or("a node has no output")?;
    Ok(Node {
        operator,
        inputs,
        output,
    })
}

fn tensor(mut fields: Reader<'_>) -> Read<Tensor> {
    let (mut dims, mut data_type, mut named, mut raw) = (Vec::new(), None, None, None);
    while let Some(field) = fields.next()? {
        match field.number {
            1 if dims.len() >= 2 => return Err("a tensor has more than two dimensions".to_owned()),
            1 => dims.push(size(number(field, "dims")?)?),
            2 => data_type = Some(number(field, "data_type")?),
            8 => named = Some(name(field, "name of a tensor")?),
            9 => raw = Some(bytes(field, "raw_data")?),
            13 | 14 => return Err("a tensor lies in another file".to_owned()),
            other => return Err(format!("a tensor has field {other}, which the format does not have")),
        }
    }
    let named = named.ok_or("a tensor has no name")?;
    if data_type != Some(FLOAT) {
        return Err(format!(
            "tensor {named:?} has data type {}, not {FLOAT}",
            shown(data_type)
        ));
    }
    let raw = raw.ok_or_else(|| format!("tensor {named:?} has no data"))?;
    // Two sizes of at most `PARAMETERS_MAX` each: no overflow.
    let count: u64 = dims.iter().map(|dim| *dim as u64).product();
    if dims.is_empty() || raw.len() as u64 != count * size_of::<f32>() as u64 {
        return Err(format!("tensor {named:?} of shape {dims:?} has {} bytes", raw.len()));
    }
    let numbers = raw.chunks_exact(size_of::<f32>()).map(|bytes| {
        let bytes = bytes.try_into().expect("a chunk has four bytes");
        f32::from_le_bytes(bytes)
    });
    Ok(Tensor {
        name: named,
        dims,
        numbers: numbers.collect(),
    })
}

/// The name and the width of an input or output.
fn value_info(mut fields: Reader<'_>) -> Read<(String, usize)> {
    let (mut named, mut width) = (None, None);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => named = Some(name(field, "name of a value")?),
            2 => width = Some(value_type(message(field, "type")?)?),
            other => return Err(format!("a value has field {other}, which the format does not have")),
        }
    }
    named
        .zip(width)
        .ok_or_else(|| "a value has no name or no type".to_owned())
}

fn value_type(mut fields: Reader<'_>) -> Read<usize> {
    let mut width = None;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => width = Some(tensor_type(message(field, "tensor_type")?)?),
            other => return Err(format!("a type has field {other}: it is no tensor")),
        }
    }
    width.ok_or_else(|| "a type is empty".to_owned())
}

fn tensor_type(mut fields: Reader<'_>) -> Read<usize> {
    let (mut element, mut width) = (None, None);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => element = Some(number(field, "elem_type")?),
            2 => width = Some(shape(message(field, "shape")?)?),
            other => return Err(format!("a tensor's type has field {other}")),
        }
    }
    if element != Some(FLOAT) {
        return Err(format!("a value has data type {}, not {FLOAT}", shown(element)));
    }
    width.ok_or_else(|| "a value has no shape".to_owned())
}

/// The second of two dimensions; the first one is the batch.
fn shape(mut fields: Reader<'_>) -> Read<usize> {
    let mut dims = Vec::new();
    while let Some(field) = fields.next()? {
        if field.number != 1 || dims.len() >= 2 {
            return Err("a shape has more than two dimensions".to_owned());
        }
        dims.push(dimension(message(field, "dim")?)?);
    }
    match dims[..] {
        [None, Some(width)] => Ok(width),
        _ => Err("a shape is not [batch, width]".to_owned()),
    }
}

/// None for one with a name.
fn dimension(mut fields: Reader<'_>) -> Read<Option<usize>> {
    let mut found = None;
    while let Some(field) = fields.next()? {
        found = Some(match field.number {
            1 => Some(size(number(field, "dim_value")?)?),
            2 => {
                name(field, "dim_param")?;
                None
            }
            other => return Err(format!("a dimension has field {other}")),
        });
    }
    found.ok_or_else(|| "a dimension is empty".to_owned())
}

/// Puts the layers together: the nodes must be a chain of `Gemm`, with `Relu` between two.
fn chain(nodes: &[Node], tensors: Vec<Tensor>) -> Read<Mlp> {
    if nodes.len().is_multiple_of(2) || tensors.len() != nodes.len() + 1 {
        return Err(format!(
            "{} nodes and {} tensors are no chain of layers",
            nodes.len(),
            tensors.len()
        ));
    }
    let mut tensors = tensors.into_iter();
    let mut layers = Vec::new();
    let mut before = INPUT;
    for (at, node) in nodes.iter().enumerate() {
        let layer = at / 2;
        let operator = if at % 2 == 0 { "Gemm" } else { "Relu" };
        let (weights, biases) = (format!("weights_{layer}"), format!("biases_{layer}"));
        let expected: &[&str] = match operator {
            "Gemm" => &[before, &weights, &biases],
            _ => &[before],
        };
        if node.operator != operator || node.inputs != expected {
            return Err(format!(
                "node {at} is {} of {:?}, not {operator} of {expected:?}",
                node.operator, node.inputs
            ));
        }
        if operator == "Gemm" {
            let named = |tensor: Option<Tensor>, name: &str| {
                tensor
                    .filter(|tensor| tensor.name == name)
                    .ok_or_else(|| format!("tensor {name:?} is not where it belongs"))
            };
            let weights = named(tensors.next(), &weights)?;
            let biases = named(tensors.next(), &biases)?;
            let ([inputs, outputs], [width]) = (&weights.dims[..], &biases.dims[..]) else {
                return Err(format!(
                    "layer {layer} has weights of shape {:?} and biases of shape {:?}",
                    weights.dims, biases.dims
                ));
            };
            if width != outputs {
                return Err(format!("layer {layer} has {width} biases for {outputs} outputs"));
            }
            let built = Layer::new(*inputs, *outputs, weights.numbers, biases.numbers);
            layers.push(built.map_err(|error| format!("layer {layer}: {}", error.message()))?);
        }
        before = &node.output;
    }
    if before != OUTPUT {
        return Err(format!("its last node gives {before:?}, not {OUTPUT:?}"));
    }
    Mlp::new(layers).map_err(|error| error.message().to_owned())
}

fn shown(number: Option<u64>) -> String {
    number.map_or_else(|| "missing".to_owned(), |number| number.to_string())
}

fn number(field: Field<'_>, what: &str) -> Read<u64> {
    match field.value {
        Value::Number(number) => Ok(number),
        Value::Bytes(_) => Err(format!("{what} is no number")),
    }
}

fn bytes<'a>(field: Field<'a>, what: &str) -> Read<&'a [u8]> {
    match field.value {
        Value::Bytes(bytes) => Ok(bytes),
        Value::Number(_) => Err(format!("{what} is a number")),
    }
}

fn message<'a>(field: Field<'a>, what: &'static str) -> Read<Reader<'a>> {
    bytes(field, what).map(|bytes| Reader::new(bytes, what))
}

fn text(field: Field<'_>, what: &str, bytes_max: usize) -> Read<String> {
    let bytes = bytes(field, what)?;
    if bytes.len() > bytes_max {
        return Err(format!("{what} has more than {bytes_max} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{what} is not UTF-8"))?;
    Ok(text.to_owned())
}

fn name(field: Field<'_>, what: &str) -> Read<String> {
    text(field, what, NAME_MAX)
}

/// A dimension, which is at most all weights that a model may have.
fn size(number: u64) -> Read<usize> {
    let size = usize::try_from(number)
        .ok()
        .filter(|size| (1..=PARAMETERS_MAX).contains(size));
    size.ok_or_else(|| format!("a dimension of {number} is not within 1 to {PARAMETERS_MAX}"))
}
