//! ONNX Runtime predicts what the plain evaluator predicts, and is asked for nothing else.

#![allow(clippy::disallowed_methods, reason = "reads files of the checkout, as a test must")]

mod shared;

use aion_base::rng::SeededRng;
use aion_base::{ErrorKind, SqlState};
use aion_models_onnx::{Engine, OnnxPredictor, Runtime, check_parity, open, status};
use aion_models_registry::conformance::{Golden, check_predictor};
use aion_models_registry::onnx::inspect;
use aion_models_registry::{Layer, Mlp, Predictor};
use shared::{file_of, onnxruntime, random_layer, random_mlp, random_rows};

fn runtime(test: &str) -> Option<&'static Runtime> {
    let path = onnxruntime(test)?;
    Some(Runtime::load(Some(&path)).expect("a library that was looked at is loaded"))
}

#[test]
fn it_passes_the_suite_of_all_predictors() {
    let Some(runtime) = runtime("it_passes_the_suite_of_all_predictors") else {
        return;
    };
    let mut random = SeededRng::new(21);
    for (inputs, hidden) in [(1, &[3][..]), (8, &[]), (48, &[64, 64]), (130, &[31, 17, 5])] {
        let mlp = random_mlp(&mut random, inputs, hidden);
        let predictor = OnnxPredictor::new(runtime, &file_of(&mlp, inputs)).unwrap();
        let rows = random_rows(&mut random, 65, inputs);
        let expected = mlp.predict(&rows).unwrap();
        check_predictor(
            &predictor,
            &Golden {
                rows: rows.clone(),
                expected,
            },
        )
        .unwrap();
        check_parity(&mlp, &predictor, &rows).unwrap();
        // And a model that is almost the same is told from it.
        let mut layers = mlp.layers().to_vec();
        let first = &layers[0];
        let mut biases = first.biases().to_vec();
        biases.iter_mut().for_each(|bias| *bias += 0.01);
        layers[0] = Layer::new(inputs, first.outputs(), first.weights().to_vec(), biases).unwrap();
        assert!(check_parity(&Mlp::new(layers).unwrap(), &predictor, &rows).is_err());
    }
    assert!(status().is_on);
    assert!(status().what.contains(runtime.version()), "{}", status());
}

#[test]
fn quantiles_do_not_cross() {
    let Some(runtime) = runtime("quantiles_do_not_cross") else {
        return;
    };
    let mut random = SeededRng::new(22);
    let hidden = vec![random_layer(&mut random, 12, 33)];
    let head = random_layer(&mut random, 33, 3);
    let trained = Mlp::new(vec![hidden[0].clone(), head.clone()]).unwrap();
    let mlp = Mlp::quantiles(hidden, &head).unwrap();
    let predictor = OnnxPredictor::new(runtime, &file_of(&mlp, 12)).unwrap();
    let rows = random_rows(&mut random, 4_000, 12);
    let crossed = |outputs: &[f32]| {
        outputs
            .chunks_exact(3)
            .filter(|row| row[0] > row[1] || row[1] > row[2])
            .count()
    };
    assert!(
        crossed(&trained.predict(&rows).unwrap()) > 1_000,
        "the test shows nothing"
    );
    assert_eq!(crossed(&predictor.predict(&rows).unwrap()), 0);
}

#[test]
fn a_model_from_python_predicts_what_python_predicts() {
    let artifacts = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../artifacts"));
    let bytes = std::fs::read(artifacts.join("synthetic-1.onnx")).unwrap();
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(artifacts.join("synthetic-1.golden.json")).unwrap()).unwrap();
    let numbers = |key: &str| {
        let numbers = golden[key].as_array().unwrap().iter();
        numbers
            .map(|number| number.as_f64().unwrap() as f32)
            .collect::<Vec<f32>>()
    };
    let golden = Golden {
        rows: numbers("rows"),
        expected: numbers("expected"),
    };
    let Some(runtime) = runtime("a_model_from_python_predicts_what_python_predicts") else {
        return;
    };
    check_predictor(&OnnxPredictor::new(runtime, &bytes).unwrap(), &golden).unwrap();
    let opened = open(&bytes, None, &golden.rows).unwrap();
    assert_eq!((opened.engine, opened.note), (Engine::OnnxRuntime, None));
}

/// What ONNX Runtime would refuse is Unavailable; that these are Corrupt says that it was never asked.
#[test]
fn a_file_that_is_not_accepted_never_reaches_it() {
    let Some(runtime) = runtime("a_file_that_is_not_accepted_never_reaches_it") else {
        return;
    };
    let mlp = random_mlp(&mut SeededRng::new(23), 4, &[4]);
    let bytes = file_of(&mlp, 4);
    assert!(OnnxPredictor::new(runtime, &bytes).is_ok());
    // Valid models for ONNX Runtime: another operator, and a field that says nothing.
    let at = bytes
        .windows(4)
        .position(|four| four == b"Relu")
        .expect("the operator is in the file");
    let mut other = bytes.clone();
    other[at..at + 4].copy_from_slice(b"Sign");
    let mut longer = bytes.clone();
    longer.extend_from_slice(b"\x32\x01x");
    for wrong in [other, longer, bytes[..bytes.len() - 1].to_vec(), Vec::new()] {
        let error = OnnxPredictor::new(runtime, &wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(open(&wrong, None, &[]).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn outputs_that_are_no_numbers_are_an_error() {
    let Some(runtime) = runtime("outputs_that_are_no_numbers_are_an_error") else {
        return;
    };
    let huge = Layer::new(1, 3, vec![f32::MAX; 3], vec![0.0; 3]).unwrap();
    let mlp = Mlp::quantiles(Vec::new(), &huge).unwrap();
    let predictor = OnnxPredictor::new(runtime, &file_of(&mlp, 1)).unwrap();
    assert!(predictor.predict(&[0.5]).is_ok());
    let error = predictor.predict(&[10.0]).unwrap_err();
    assert_eq!(error.state(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
    assert!(predictor.predict(&[0.5]).is_ok(), "it goes on after that");
}

#[test]
fn threads_share_a_model() {
    let Some(runtime) = runtime("threads_share_a_model") else {
        return;
    };
    let mut random = SeededRng::new(24);
    let mlp = random_mlp(&mut random, 48, &[64, 64]);
    let predictor = OnnxPredictor::new(runtime, &file_of(&mlp, 48)).unwrap();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (mlp, predictor) = (&mlp, &predictor);
            scope.spawn(move || {
                let mut random = SeededRng::new(seed);
                for count in 1..60 {
                    let rows = random_rows(&mut random, count, 48);
                    check_parity(mlp, predictor, &rows).unwrap();
                }
            });
        }
    });
}

#[test]
fn what_was_read_is_what_is_run() {
    let mlp = random_mlp(&mut SeededRng::new(25), 5, &[6]);
    let bytes = file_of(&mlp, 5);
    assert_eq!(inspect(&bytes).unwrap().mlp, mlp);
    let wrong = open(&bytes, None, &[1.0]).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Invalid, "probes that are no rows: {wrong}");
}
