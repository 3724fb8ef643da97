//! Random models and rows for the tests of the modules.

use aion_base::rng::SeededRng;

use crate::manifest::{FeatureSet, Manifest};
use crate::mlp::{Layer, Mlp, QUANTILES};
use crate::onnx::export;

/// Between -1 and 1.
fn unit(random: &mut SeededRng) -> f32 {
    random.below(2_000_001) as f32 / 1_000_000.0 - 1.0
}

pub fn random_layer(random: &mut SeededRng, inputs: usize, outputs: usize) -> Layer {
    let weights = (0..inputs * outputs).map(|_| unit(random) / (inputs as f32).sqrt());
    let weights = weights.collect();
    let biases = (0..outputs).map(|_| unit(random) * 0.1).collect();
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
    (0..count * inputs).map(|_| unit(random) * 3.0).collect()
}

/// Of a model of four features.
pub fn manifest(name: &str) -> Manifest {
    Manifest::new(name, "cardinality", features(4))
}

pub fn features(count: usize) -> FeatureSet {
    FeatureSet {
        name: "subplan".to_owned(),
        version: 1,
        count,
    }
}

/// A file that fits [`manifest`].
pub fn model_file(seed: u64) -> Vec<u8> {
    let mlp = random_mlp(&mut SeededRng::new(seed), 4, &[6]);
    export(&mlp, &features(4), &[]).expect("the model fits the features")
}
