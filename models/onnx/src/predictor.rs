//! A model that is run by ONNX Runtime.
//!
//! One session for a model: one thread, which is the caller's; no memory arena and no memory pattern, because batches differ in size; one
//! call for a batch. A session takes one call at a time, which is shorter than a queue for several sessions would be worth: of a model
//! 48-64-64-3, a call takes 4 us for one row, 5 us for 8 and 17 us for 64 (the plain evaluator 0.7, 5 and 40 us; release build, two busy
//! cores).

use std::path::Path;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_models_registry::conformance::check_parity;
use aion_models_registry::onnx::{INPUT, OUTPUT, inspect};
use aion_models_registry::{Mlp, Predictor, check_finite, rows_in};
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use parking_lot::Mutex;

use crate::runtime::Runtime;

/// See the module's header.
#[derive(Debug)]
pub struct OnnxPredictor {
    session: Mutex<Session>,
    inputs: usize,
    outputs: usize,
}

fn unavailable(doing: &str, error: impl std::fmt::Display) -> Error {
    Error::unavailable(SqlState::IO_ERROR, format!("ONNX Runtime could not {doing}: {error}"))
}

impl OnnxPredictor {
    /// A model file. It is inspected before ONNX Runtime sees it.
    ///
    /// # Errors
    /// Corrupt for a file that is no model of ours; Unavailable where ONNX Runtime does not take it.
    pub fn new(runtime: &'static Runtime, bytes: &[u8]) -> Result<Self> {
        let facts = inspect(bytes)?;
        Self::of_inspected(runtime, bytes, &facts.mlp)
    }

    /// Invariant: `bytes` are those that `mlp` was read from.
    fn of_inspected(runtime: &'static Runtime, bytes: &[u8], mlp: &Mlp) -> Result<Self> {
        let session = session(runtime, bytes).map_err(|what| unavailable("open the model", what))?;
        let named = |outlets: &[ort::value::Outlet]| match outlets {
            [only] => only.name().to_owned(),
            _ => String::new(),
        };
        if (named(session.inputs()).as_str(), named(session.outputs()).as_str()) != (INPUT, OUTPUT) {
            return Err(unavailable("open the model", "it sees other inputs and outputs"));
        }
        Ok(Self {
            session: Mutex::new(session),
            inputs: mlp.inputs(),
            outputs: mlp.outputs(),
        })
    }
}

fn session(runtime: &'static Runtime, bytes: &[u8]) -> Result<Session, String> {
    fn text<R>(error: ort::Error<R>) -> String {
        error.message().to_owned()
    }
    let builder = Session::builder(&runtime.environment).map_err(text)?;
    let builder = builder.with_intra_threads(1).map_err(text)?;
    let builder = builder.with_inter_threads(1).map_err(text)?;
    let builder = builder.with_parallel_execution(false).map_err(text)?;
    let builder = builder.with_memory_pattern(false).map_err(text)?;
    let builder = builder
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(text)?;
    let processor = ort::ep::CPU::default().with_arena_allocator(false).build();
    let mut builder = builder.with_execution_providers([processor]).map_err(text)?;
    builder.commit_from_memory(bytes).map_err(text)
}

impl Predictor for OnnxPredictor {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn predict(&self, rows: &[f32]) -> Result<Vec<f32>> {
        let count = rows_in(rows, self.inputs)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let failed = |error: ort::Error| unavailable("predict", error.message());
        let input = TensorRef::from_array_view(([count, self.inputs], rows)).map_err(failed)?;
        let mut session = self.session.lock();
        let outputs = session.run(ort::inputs![input]).map_err(failed)?;
        let output = outputs
            .get(OUTPUT)
            .ok_or_else(|| unavailable("predict", "it gave no quantiles"))?;
        let (shape, values) = output.try_extract_tensor::<f32>().map_err(failed)?;
        if **shape != [count as i64, self.outputs as i64] || values.len() != count * self.outputs {
            return Err(unavailable("predict", format!("it gave the shape {:?}", &**shape)));
        }
        check_finite(values, self.outputs)?;
        Ok(values.to_vec())
    }
}

/// What computes a model's predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// ONNX Runtime.
    OnnxRuntime,
    /// The plain evaluator.
    Plain,
}

impl Engine {
    /// For views.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::Plain => "plain",
        }
    }
}

/// A model that is ready to predict.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Predicts.
    pub predictor: Arc<dyn Predictor>,
    /// What does it.
    pub engine: Engine,
    /// Why it is not ONNX Runtime, where it is not.
    pub note: Option<String>,
}

/// Opens a model file: by ONNX Runtime where it is there and predicts what the plain evaluator does, otherwise by that. `probes` are rows
/// of features on which they are compared, such as the last ones that the model was trained on; a row of zeros is compared always.
///
/// # Errors
/// Corrupt for a file that is no model of ours; Invalid for probes that are no rows of its features.
pub fn open(bytes: &[u8], configured: Option<&Path>, probes: &[f32]) -> Result<Opened> {
    let mlp = inspect(bytes)?.mlp;
    let mut rows = vec![0.0; mlp.inputs()];
    rows.extend_from_slice(probes);
    rows_in(&rows, mlp.inputs())?;
    let by_runtime = Runtime::load(configured).and_then(|runtime| {
        let predictor = OnnxPredictor::of_inspected(runtime, bytes, &mlp)?;
        check_parity(&mlp, &predictor, &rows)?;
        Ok(predictor)
    });
    Ok(match by_runtime {
        Ok(predictor) => Opened {
            predictor: Arc::new(predictor),
            engine: Engine::OnnxRuntime,
            note: None,
        },
        Err(error) => Opened {
            predictor: Arc::new(mlp),
            engine: Engine::Plain,
            note: Some(error.message().to_owned()),
        },
    })
}
