//! The network while it is trained, in candle: weights that can be differentiated, and the loss.

use aion_base::rng::SeededRng;
use aion_base::{Error, Result};
use aion_models_registry::{Layer, Mlp, QUANTILES};
use candle_core::{Device, Tensor, Var};

use crate::dataset::Example;

/// The quantiles that the outputs are trained to be.
pub(crate) const LEVELS: [f32; QUANTILES] = [0.1, 0.5, 0.9];

/// A failure of candle: of sizes that do not fit, which are all ours.
pub(crate) fn failed(error: candle_core::Error) -> Error {
    Error::internal(format!("training: {error}"))
}

/// Means and scales that bring each feature to mean 0 and deviation 1.
#[derive(Clone, Debug)]
pub(crate) struct Standard {
    means: Vec<f64>,
    scales: Vec<f64>,
}

impl Standard {
    /// Of the rows that train. A feature that does not vary says nothing: its scale is 0, so that it counts for nothing when it does vary
    /// later.
    pub(crate) fn of(rows: &[&Example], width: usize) -> Self {
        let count = rows.len().max(1) as f64;
        let mut means = vec![0.0; width];
        let mut squares = vec![0.0; width];
        for row in rows {
            for (mean, value) in means.iter_mut().zip(&row.features) {
                *mean += f64::from(*value) / count;
            }
        }
        for row in rows {
            for ((square, mean), value) in squares.iter_mut().zip(&means).zip(&row.features) {
                *square += (f64::from(*value) - mean).powi(2) / count;
            }
        }
        let scale = |(square, mean): (&f64, &f64)| {
            let deviation = square.sqrt();
            if deviation <= 1e-6 * mean.abs().max(1e-3) {
                0.0
            } else {
                1.0 / deviation
            }
        };
        let scales = squares.iter().zip(&means).map(scale).collect();
        Self { means, scales }
    }

    fn append(&self, row: &[f32], to: &mut Vec<f32>) {
        let parameters = self.means.iter().zip(&self.scales);
        to.extend(
            parameters
                .zip(row)
                .map(|((mean, scale), value)| ((f64::from(*value) - mean) * scale) as f32),
        );
    }

    /// The layer that does the same to raw features as `layer` does to standardised ones.
    fn fold(&self, layer: &Values) -> Values {
        let mut weights = layer.weights.clone();
        let mut biases: Vec<f64> = layer.biases.iter().map(|bias| f64::from(*bias)).collect();
        let outputs = biases.len();
        for (input, row) in weights.chunks_exact_mut(outputs).enumerate() {
            for (weight, bias) in row.iter_mut().zip(&mut biases) {
                let scaled = f64::from(*weight) * self.scales[input];
                *bias -= scaled * self.means[input];
                *weight = scaled as f32;
            }
        }
        Values {
            weights,
            biases: biases.into_iter().map(|bias| bias as f32).collect(),
        }
    }
}

/// Rows as tensors: `[rows, width]`, and three columns of `[rows, 1]`.
#[derive(Debug)]
pub(crate) struct Batch {
    features: Tensor,
    truths: Tensor,
    /// 1 where the truth is known, 0 where it is a lower bound.
    known: Tensor,
    weights: Tensor,
}

impl Batch {
    /// `underestimate_weight` is that of rows whose classical estimate was too low.
    pub(crate) fn of(rows: &[&Example], standard: &Standard, underestimate_weight: f32) -> Result<Self> {
        let (count, width) = (rows.len(), standard.means.len());
        let mut features = Vec::with_capacity(count * width);
        rows.iter()
            .for_each(|row| standard.append(&row.features, &mut features));
        let column = |value: &dyn Fn(&Example) -> f32| {
            let values: Vec<f32> = rows.iter().map(|row| value(row)).collect();
            Tensor::from_vec(values, (count, 1), &Device::Cpu).map_err(failed)
        };
        Ok(Self {
            features: Tensor::from_vec(features, (count, width), &Device::Cpu).map_err(failed)?,
            truths: column(&|row| row.log2_ratio)?,
            known: column(&|row| if row.censored { 0.0 } else { 1.0 })?,
            weights: column(&|row| {
                if row.log2_ratio > 0.0 {
                    underestimate_weight
                } else {
                    1.0
                }
            })?,
        })
    }
}

/// One layer's numbers.
#[derive(Clone, Debug)]
struct Values {
    weights: Vec<f32>,
    biases: Vec<f32>,
}

/// The numbers of all layers at one moment of the training.
#[derive(Clone, Debug)]
pub(crate) struct Weights(Vec<Values>);

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Network {
    layers: Vec<(Var, Var)>,
    levels: Tensor,
    one_minus_levels: Tensor,
}

impl Network {
    /// A network of these widths, the number of features first, with first weights drawn as He et al. (ICCV 2015) do for ReLU, but evenly:
    /// between plus and minus the root of 6 / inputs.
    pub(crate) fn new(widths: &[usize], random: &mut SeededRng) -> Result<Self> {
        let layer = |pair: &[usize]| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let bound = (6.0 / inputs as f64).sqrt();
            let mut draw = || {
                // 53 bits: as many as a double holds.
                let unit = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                ((2.0 * unit - 1.0) * bound) as f32
            };
            let weights: Vec<f32> = (0..inputs * outputs).map(|_| draw()).collect();
            let weights = Var::from_vec(weights, (inputs, outputs), &Device::Cpu).map_err(failed)?;
            let biases = Var::from_vec(vec![0.0_f32; outputs], outputs, &Device::Cpu).map_err(failed)?;
            Ok((weights, biases))
        };
        let row = |values: Vec<f32>| Tensor::from_vec(values, (1, QUANTILES), &Device::Cpu).map_err(failed);
        Ok(Self {
            layers: widths.windows(2).map(layer).collect::<Result<_>>()?,
            levels: row(LEVELS.to_vec())?,
            one_minus_levels: row(LEVELS.iter().map(|level| 1.0 - level).collect())?,
        })
    }

    /// What is trained.
    pub(crate) fn variables(&self) -> Vec<Var> {
        let layers = self.layers.iter();
        layers
            .flat_map(|(weights, biases)| [weights.clone(), biases.clone()])
            .collect()
    }

    /// The mean loss of a batch: a number that can be differentiated.
    ///
    /// The pinball loss (Koenker, Bassett 1978) of a prediction too low by `d` is `level * d`, of one too high by `d` it is
    /// `(1 - level) * d`. Of a row with a lower bound only the first part counts (Powell 1986): a prediction above the bound may be right.
    pub(crate) fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.loss_in_candle(batch).map_err(failed)
    }

    fn loss_in_candle(&self, batch: &Batch) -> candle_core::Result<Tensor> {
        let missed = batch.truths.broadcast_sub(&self.forward(&batch.features)?)?;
        let too_low = missed.relu()?.broadcast_mul(&self.levels)?;
        let too_high = missed.neg()?.relu()?.broadcast_mul(&self.one_minus_levels)?;
        let loss = (too_low + too_high.broadcast_mul(&batch.known)?)?;
        let total = loss.broadcast_mul(&batch.weights)?.sum_all()?;
        total / (batch.weights.sum_all()?.to_scalar::<f32>()? as f64 * QUANTILES as f64)
    }

    fn forward(&self, features: &Tensor) -> candle_core::Result<Tensor> {
        let mut values = features.clone();
        for (at, (weights, biases)) in self.layers.iter().enumerate() {
            values = values.matmul(weights)?.broadcast_add(biases)?;
            if at + 1 < self.layers.len() {
                values = values.relu()?;
            }
        }
        Ok(values)
    }

    /// The numbers as they are now.
    pub(crate) fn weights(&self) -> Result<Weights> {
        let values = |(weights, biases): &(Var, Var)| {
            Ok(Values {
                weights: weights.flatten_all()?.to_vec1()?,
                biases: biases.to_vec1()?,
            })
        };
        let layers: candle_core::Result<Vec<Values>> = self.layers.iter().map(values).collect();
        layers.map(Weights).map_err(failed)
    }
}

impl Weights {
    /// Whether training has not diverged. The loss alone does not tell: ReLU makes 0 of what is no number.
    pub(crate) fn is_finite(&self) -> bool {
        let numbers = self
            .0
            .iter()
            .flat_map(|values| values.weights.iter().chain(&values.biases));
        numbers.into_iter().all(|number| number.is_finite())
    }

    /// The model that takes raw features.
    pub(crate) fn to_mlp(&self, standard: &Standard) -> Result<Mlp> {
        let mut layers = Vec::with_capacity(self.0.len());
        for (at, values) in self.0.iter().enumerate() {
            let values = if at == 0 { standard.fold(values) } else { values.clone() };
            let outputs = values.biases.len();
            layers.push(Layer::new(
                values.weights.len() / outputs,
                outputs,
                values.weights,
                values.biases,
            )?);
        }
        let head = layers.pop().ok_or_else(|| Error::internal("a network has no layers"))?;
        Mlp::quantiles(layers, &head)
    }
}
