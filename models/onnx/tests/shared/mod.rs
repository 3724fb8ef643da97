//! Where the tests take ONNX Runtime from, and models for it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::Write;
use std::path::PathBuf;

use aion_base::rng::SeededRng;
use aion_models_onnx::library;
use aion_models_registry::onnx::export;
use aion_models_registry::{FeatureSet, Layer, Mlp, QUANTILES};

/// The library: what AION_ONNXRUNTIME names, or what the database would find. Where there is none, the test says that it checked
/// nothing, and fails if AION_REQUIRE_ONNXRUNTIME is 1.
pub fn onnxruntime(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("AION_ONNXRUNTIME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    match library::find(named.as_deref()) {
        Ok(found) => Some(found.path),
        Err(error) => {
            assert!(
                std::env::var("AION_REQUIRE_ONNXRUNTIME").as_deref() != Ok("1"),
                "AION_REQUIRE_ONNXRUNTIME is 1, but: {error}"
            );
            // Past the macros, whose output is shown of tests that fail only.
            writeln!(std::io::stderr(), "NOT CHECKED: {test}: {error}").expect("standard error takes a line");
            None
        }
    }
}

fn unit(random: &mut SeededRng) -> f32 {
    random.below(2_000_001) as f32 / 1_000_000.0 - 1.0
}

pub fn random_layer(random: &mut SeededRng, inputs: usize, outputs: usize) -> Layer {
    let weights = (0..inputs * outputs)
        .map(|_| unit(random) * (6.0 / inputs as f32).sqrt())
        .collect();
    let biases = (0..outputs).map(|_| unit(random)).collect();
    Layer::new(inputs, outputs, weights, biases).expect("the sizes fit")
}

pub fn random_mlp(random: &mut SeededRng, inputs: usize, hidden: &[usize]) -> Mlp {
    let mut layers = Vec::new();
    let mut width = inputs;
    for outputs in hidden {
        layers.push(random_layer(random, width, *outputs));
        width = *outputs;
    }
    let head = random_layer(random, width, QUANTILES);
    Mlp::quantiles(layers, &head).expect("the layers fit")
}

pub fn random_rows(random: &mut SeededRng, count: usize, inputs: usize) -> Vec<f32> {
    (0..count * inputs).map(|_| unit(random) * 2.0).collect()
}

pub fn file_of(mlp: &Mlp, inputs: usize) -> Vec<u8> {
    let features = FeatureSet {
        name: "subplan".to_owned(),
        version: 1,
        count: inputs,
    };
    export(mlp, &features, &[]).expect("the model fits the features")
}
