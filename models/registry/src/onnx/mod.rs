//! The model file: a small, fixed subset of ONNX.
//!
//! ONNX Runtime parses what it is given in C++, with more than two hundred operators, references to other files and custom code. So a
//! file is read here first, and only one that [`export`] would have written byte for byte goes any further. That is the guarantee of
//! [`inspect`]: **the bytes that it accepts are exactly those of a perceptron with finite weights** ([`Mlp`]), and there is nothing
//! else in them: no other operator, no attribute, no other file, nothing twice, nothing hidden in unknown fields.
//!
//! **Format.** Protocol buffers, the fields in this order (number in brackets), a weight as four bytes, little-endian IEEE 754:
//!
//! ```text
//! ModelProto       ir_version (1) = 8, producer_name (2) = "aion", opset_import (8) = { version (2) = 17 },
//!                  metadata_props (14)*: { key (1), value (2) }
//!                    "aion.features" = name, "aion.features_version" = decimal number, then any others
//!                  graph (7), last, so that a file that was cut is never a whole one
//! GraphProto       node (1)*, name (2) = "mlp", initializer (5)*, input (11), output (12)
//! NodeProto        for layer i, from 0:
//!                    input (1) = before, "weights_i", "biases_i"; output (2) = "gemm_i"; op_type (4) = "Gemm"
//!                  and, but not after the last layer:
//!                    input (1) = "gemm_i"; output (2) = "relu_i"; op_type (4) = "Relu"
//!                  where `before` is "features" or the "relu_i" before it, and the last output is "quantiles"
//! TensorProto      "weights_i" with dims (1) inputs, outputs, then "biases_i" with dims (1) outputs:
//!                    dims*, data_type (2) = 1 (float), name (8), raw_data (9)
//! ValueInfoProto   name (1) = "features" or "quantiles", type (2) = { tensor_type (1) = { elem_type (1) = 1,
//!                    shape (2) = { dim (1) = { dim_param (2) = "batch" }, dim (1) = { dim_value (1) = inputs, or 3 } } } }
//! ```
//!
//! The last layer is that of [`Mlp::quantiles`], so low, median and high do not cross whatever runs the file.
//!
//! **Steps of reading.** 1. The size. 2. A walk along the fields that the format has; whatever it does not have is refused by name, every
//! length is checked against what is left, and all is bounded: nodes, tensors, metadata, numbers. 3. The layers are put together,
//! which checks shapes and that all weights are finite. 4. They are written again, and the bytes compared: what the walk let pass (an
//! order, a longer form of a number, a field twice) ends here.
//!
//! **Left out.** Models that other programs export: `models/training` shows how to write their weights in this form.

mod protobuf;
mod read;
mod write;

use aion_base::{Error, Result};

use crate::manifest::FeatureSet;
use crate::mlp::Mlp;
use crate::predictor::Predictor;

/// Bytes of a model file.
pub const BYTES_MAX: usize = 16 << 20;
/// The version of ONNX's file format.
pub const IR_VERSION: u64 = 8;
/// The version of ONNX's operators.
pub const OPSET: u64 = 17;
/// The name of the input, `[batch, features]`.
pub const INPUT: &str = "features";
/// The name of the output, `[batch, 3]`.
pub const OUTPUT: &str = "quantiles";

/// Entries of metadata beyond those of the features.
const METADATA_MAX: usize = 32;
/// Bytes of a key or value of metadata.
const METADATA_BYTES_MAX: usize = 1_024;
const FEATURES_KEY: &str = "aion.features";
const FEATURES_VERSION_KEY: &str = "aion.features_version";

/// What a model file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFacts {
    /// The features that it was trained on.
    pub features: FeatureSet,
    /// Further metadata, in the file's order.
    pub metadata: Vec<(String, String)>,
    /// The network; predicts as the file does.
    pub mlp: Mlp,
}

impl ModelFacts {
    /// Outputs for a row.
    pub fn outputs(&self) -> usize {
        self.mlp.outputs()
    }

    /// The version of ONNX's operators; one is accepted.
    pub fn opset(&self) -> u64 {
        OPSET
    }
}

/// The file of a model.
///
/// # Errors
/// Invalid where the network is not one of quantiles ([`Mlp::is_monotone`]), does not have as many inputs as there are features, or
/// names or metadata are beyond their limits.
pub fn export(mlp: &Mlp, features: &FeatureSet, metadata: &[(String, String)]) -> Result<Vec<u8>> {
    check(mlp, features, metadata)
        .map_err(|what| Error::invalid(aion_base::SqlState::INVALID_PARAMETER_VALUE, format!("model: {what}")))?;
    let bytes = write::model(mlp, features, metadata);
    assert!(
        bytes.len() <= BYTES_MAX,
        "the limits on weights and metadata are below that of a file"
    );
    Ok(bytes)
}

/// Reads a model file; see the module's header for what it guarantees.
///
/// # Errors
/// Corrupt, with what the format does not have.
pub fn inspect(bytes: &[u8]) -> Result<ModelFacts> {
    let refuse = |what: String| {
        Error::corrupt(format!("model file: {what}"))
            .with_hint("Take a file that this program or models/training wrote; no other ONNX file is run.")
    };
    if bytes.len() > BYTES_MAX {
        return Err(refuse(format!("its {} bytes are more than {BYTES_MAX}", bytes.len())));
    }
    let facts = read::model(bytes).map_err(refuse)?;
    check(&facts.mlp, &facts.features, &facts.metadata).map_err(refuse)?;
    if write::model(&facts.mlp, &facts.features, &facts.metadata) != bytes {
        return Err(refuse("it is not in the one form that such a model has".to_owned()));
    }
    Ok(facts)
}

/// What holds of each file, whoever made it.
fn check(mlp: &Mlp, features: &FeatureSet, metadata: &[(String, String)]) -> Result<(), String> {
    features.check()?;
    if mlp.inputs() != features.count {
        return Err(format!("{} inputs for {} features", mlp.inputs(), features.count));
    }
    if !mlp.is_monotone() {
        return Err("its last layer is not the one that keeps quantiles from crossing".to_owned());
    }
    if metadata.len() > METADATA_MAX {
        return Err(format!(
            "{} entries of metadata are more than {METADATA_MAX}",
            metadata.len()
        ));
    }
    for (at, (key, value)) in metadata.iter().enumerate() {
        if key.is_empty() || key.len() > METADATA_BYTES_MAX || value.len() > METADATA_BYTES_MAX {
            return Err(format!(
                "entry {at} of metadata is not within 1 to {METADATA_BYTES_MAX} bytes"
            ));
        }
        let earlier = metadata[..at].iter().any(|(earlier, _)| earlier == key);
        if earlier || key == FEATURES_KEY || key == FEATURES_VERSION_KEY {
            return Err(format!("metadata names {key:?} twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
