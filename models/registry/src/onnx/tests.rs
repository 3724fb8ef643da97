//! The file format: what is written is read, and nothing else is.

use aion_base::rng::SeededRng;
use aion_base::{ErrorKind, SqlState};

use super::protobuf::Writer;
use super::*;
use crate::Layer;
use crate::tests::{features, random_layer, random_mlp, random_rows};

fn small() -> (Mlp, Vec<u8>) {
    let mlp = random_mlp(&mut SeededRng::new(1), 4, &[5]);
    let bytes = export(&mlp, &features(4), &[("trained_by".to_owned(), "test".to_owned())]).unwrap();
    (mlp, bytes)
}

/// The bytes are refused with a message that says `why`.
fn refused(bytes: &[u8], why: &str) {
    let error = inspect(bytes).expect_err(why);
    assert_eq!(
        (error.kind(), error.state()),
        (ErrorKind::Corrupt, SqlState::DATA_CORRUPTED)
    );
    assert!(error.message().contains(why), "{why:?} is expected in: {error}");
    assert!(error.hint().is_some());
}

/// `bytes` with the one place where `from` stands replaced; the lengths around it stay right only if it is as long.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "the lengths around it stay right");
    let places: Vec<usize> = (0..=bytes.len() - from.len())
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    assert!(!places.is_empty(), "{from:?} is not there");
    let mut bytes = bytes.to_vec();
    bytes[places[0]..places[0] + from.len()].copy_from_slice(to);
    bytes
}

#[test]
fn what_is_written_is_read() {
    let mut random = SeededRng::new(9);
    for (inputs, hidden) in [(1, &[][..]), (4, &[5]), (48, &[64, 64]), (300, &[7, 1, 9, 2, 3, 4])] {
        let mlp = random_mlp(&mut random, inputs, hidden);
        let metadata = vec![
            ("trained_at".to_owned(), "1796000000000000".to_owned()),
            ("ü".to_owned(), String::new()),
        ];
        let bytes = export(&mlp, &features(inputs), &metadata).unwrap();
        let facts = inspect(&bytes).unwrap();
        assert_eq!(facts.mlp, mlp);
        assert_eq!(facts.features, features(inputs));
        assert_eq!(facts.metadata, metadata);
        assert_eq!((facts.outputs(), facts.opset()), (3, 17));
        let rows = random_rows(&mut random, 3, inputs);
        assert_eq!(facts.mlp.predict(&rows).unwrap(), mlp.predict(&rows).unwrap());
    }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let (mlp, _) = small();
    let features = features(4);
    let entry = |key: &str, bytes: usize| (key.to_owned(), "x".repeat(bytes));
    let open_ended = Mlp::new(vec![random_layer(&mut SeededRng::new(1), 4, 3)]).unwrap();
    assert!(export(&open_ended, &features, &[]).is_err());
    assert!(
        export(
            &mlp,
            &FeatureSet {
                count: 5,
                ..features.clone()
            },
            &[]
        )
        .is_err()
    );
    assert!(
        export(
            &mlp,
            &FeatureSet {
                name: "A b".to_owned(),
                ..features.clone()
            },
            &[]
        )
        .is_err()
    );
    assert!(export(&mlp, &features, &[entry("k", 1), entry("k", 1)]).is_err());
    assert!(export(&mlp, &features, &[entry("aion.features", 1)]).is_err());
    assert!(export(&mlp, &features, &[entry("k", METADATA_BYTES_MAX + 1)]).is_err());
    let many: Vec<_> = (0..=METADATA_MAX).map(|at| entry(&at.to_string(), 1)).collect();
    assert!(export(&mlp, &features, &many).is_err());
    assert!(export(&mlp, &features, &many[1..]).is_ok());
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let (_, bytes) = small();
    for end in 0..bytes.len() {
        assert!(inspect(&bytes[..end]).is_err(), "cut at {end} of {}", bytes.len());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(inspect(&longer).is_err());
}

/// Each bit of the file is turned: either the file is refused, or another weight or name is read, and only there.
#[test]
fn a_file_with_any_bit_turned_is_refused_or_another_model() {
    let (mlp, bytes) = small();
    let mut accepted = 0;
    for bit in 0..bytes.len() * 8 {
        let mut turned = bytes.clone();
        turned[bit / 8] ^= 1 << (bit % 8);
        if let Ok(facts) = inspect(&turned) {
            accepted += 1;
            let again = export(&facts.mlp, &facts.features, &facts.metadata).unwrap();
            assert_eq!(again, turned, "bit {bit}");
            let is_other_model = facts.mlp != mlp;
            let is_other_text =
                facts.features != features(4) || facts.metadata[0].0 != "trained_by" || facts.metadata[0].1 != "test";
            assert!(is_other_model || is_other_text, "bit {bit} changes nothing");
        }
    }
    // All that can be read is a bit of a weight or of a text.
    let weights: usize = mlp.parameters() * 32;
    let texts = ("subplan".len() + "1".len() + "trained_by".len() + "test".len()) * 8;
    assert!(accepted > weights / 2 && accepted < weights + texts, "{accepted}");
}

#[test]
fn random_bytes_are_refused() {
    let mut random = SeededRng::new(77);
    let (_, good) = small();
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = if round % 2 == 0 {
            (0..random.below(200)).map(|_| random.next_u64() as u8).collect()
        } else {
            good.clone()
        };
        // Of a good file, a stretch is written over, doubled or taken out, before its weights.
        if round % 2 == 1 {
            let at = random.below(120) as usize;
            let count = 1 + random.below(20) as usize;
            match random.below(3) {
                0 => bytes[at..at + count]
                    .iter_mut()
                    .for_each(|byte| *byte = random.next_u64() as u8),
                1 => drop(bytes.drain(at..at + count)),
                _ => {
                    let stretch = bytes[at..at + count].to_vec();
                    bytes.splice(at..at, stretch);
                }
            }
        }
        if let Ok(facts) = inspect(&bytes) {
            assert_eq!(
                export(&facts.mlp, &facts.features, &facts.metadata).unwrap(),
                bytes,
                "seed 77, round {round}"
            );
        }
    }
}

#[test]
fn hostile_files_are_refused_by_name() {
    let (_, bytes) = small();
    refused(&replaced(&bytes, b"Gemm", b"Conv"), "the operator \"Conv\"");
    refused(&replaced(&bytes, b"Relu", b"Loop"), "the operator \"Loop\"");
    refused(&replaced(&bytes, b"gemm_0", b"gemm_1"), "node 1 is Relu");
    refused(&replaced(&bytes, b"biases_0", b"biases_1"), "not Gemm of");
    refused(&replaced(&bytes, b"mlp", b"lpm"), "not in the one form");
    refused(&replaced(&bytes, b"aion", b"pych"), "not in the one form");
    refused(&replaced(&bytes, b"batch", b"other"), "not in the one form");
    refused(
        &replaced(&bytes, b"aion.features", b"some.features"),
        "\"aion.features\"",
    );
    refused(
        &replaced(&bytes, b"subplan", b"SUBPLAN"),
        "no name of a set of features",
    );
    refused(&replaced(&bytes, b"subplan", b"sub\xffpla"), "not UTF-8");
    // ir_version and opset.
    refused(
        &replaced(&bytes, b"\x08\x08\x12\x04", b"\x08\x0c\x12\x04"),
        "ir_version is 12",
    );
    refused(
        &replaced(&bytes, b"\x42\x02\x10\x11", b"\x42\x02\x10\x12"),
        "opset is 18",
    );
    let with = |write: &dyn Fn(&mut Writer)| {
        let mut writer = Writer { bytes: bytes.clone() };
        write(&mut writer);
        writer.bytes
    };
    refused(&with(&|model| model.message(20, |_| {})), "training information");
    refused(&with(&|model| model.message(25, |_| {})), "functions");
    refused(&with(&|model| model.number(5, 1)), "field 5");
    refused(&with(&|model| model.text(7, "")), "no chain of layers");
    refused(
        &with(&|model| model.message(8, |opset| opset.number(2, 17))),
        "not in the one form",
    );
    refused(
        &with(&|model| {
            model.message(8, |opset| {
                opset.text(1, "com.evil");
                opset.number(2, 17);
            });
        }),
        "domain \"com.evil\"",
    );
    refused(
        &with(&|model| model.bytes.extend_from_slice(&[0x08, 0x88, 0x00])),
        "not in the one form",
    );
    let entries = with(&|model| {
        for _ in 0..40 {
            model.message(14, |entry| {
                entry.text(1, "k");
                entry.text(2, "v");
            });
        }
    });
    refused(&entries, "metadata");
    refused(&vec![0; BYTES_MAX + 1], "more than 16777216");
    refused(b"", "ir_version is missing");
    refused(b"not a model", "the model");
    // A length of 2^63, and groups within groups: nothing is allocated and nothing recurses.
    refused(&[&[0x3a][..], &[0xff; 9], &[0x00]].concat(), "longer than what is left");
    refused(&vec![0x3b; 1 << 20], "wire type 3");
    // A graph in a graph in a graph: field 7 of a graph is none.
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        let mut outer = Writer::default();
        outer.bytes(7, &nested);
        nested = outer.bytes;
    }
    refused(&nested, "field 7");
}

/// A file that is put together by hand, so that one thing in it can be wrong.
fn by_hand(edit_node: &dyn Fn(&mut Writer), edit_tensor: &dyn Fn(&mut Writer), dims: [u64; 2], raw: &[u8]) -> Vec<u8> {
    let mut model = Writer::default();
    model.number(1, IR_VERSION);
    model.text(2, "aion");
    model.message(7, |graph| {
        graph.message(1, |node| {
            ["features", "weights_0", "biases_0"]
                .iter()
                .for_each(|name| node.text(1, name));
            node.text(2, "quantiles");
            node.text(4, "Gemm");
            edit_node(node);
        });
        graph.message(5, |tensor| {
            dims.iter().for_each(|dim| tensor.number(1, *dim));
            tensor.number(2, 1);
            tensor.text(8, "weights_0");
            tensor.bytes(9, raw);
            edit_tensor(tensor);
        });
    });
    model.bytes
}

#[test]
fn hostile_nodes_and_tensors_are_refused_by_name() {
    let raw = [0; 4 * 6];
    let nothing = |_: &mut Writer| {};
    let node = |edit: &dyn Fn(&mut Writer), why: &str| refused(&by_hand(edit, &nothing, [2, 3], &raw), why);
    let tensor = |edit: &dyn Fn(&mut Writer), why: &str| refused(&by_hand(&nothing, edit, [2, 3], &raw), why);
    node(&nothing, "1 nodes and 1 tensors");
    node(
        &|node| node.message(5, |attribute| attribute.text(1, "alpha")),
        "attribute",
    );
    node(&|node| node.text(7, "com.evil"), "domain \"com.evil\"");
    node(&|node| node.text(1, "x"), "more than three inputs");
    node(&|node| node.text(2, &"x".repeat(65)), "more than 64 bytes");
    node(&|node| node.number(4, 1), "op_type is a number");
    tensor(&|tensor| tensor.number(14, 1), "another file");
    tensor(
        &|tensor| {
            tensor.message(13, |entry| {
                entry.text(1, "location");
                entry.text(2, "/etc/passwd");
            });
        },
        "another file",
    );
    tensor(&|tensor| tensor.number(1, 1), "more than two dimensions");
    tensor(&|tensor| tensor.number(2, 7), "data type 7");
    tensor(&|tensor| tensor.bytes(4, &raw), "field 4");
    let shape = |dims: [u64; 2], why: &str| refused(&by_hand(&nothing, &nothing, dims, &raw), why);
    shape([2, 4], "has 24 bytes");
    shape([0, 3], "a dimension of 0");
    shape([u64::MAX, 3], "a dimension of 18446744073709551615");
    shape([1 << 20, 1 << 20], "has 24 bytes");
}

#[test]
fn wrong_shapes_weights_and_sizes_are_refused() {
    let (mlp, bytes) = small();
    // The width that the input and the output declare: dim_value is field 1 of the second dimension.
    refused(
        &replaced(&bytes, b"batch\x0a\x02\x08\x04", b"batch\x0a\x02\x08\x05"),
        "of width 5",
    );
    refused(
        &replaced(&bytes, b"batch\x0a\x02\x08\x03", b"batch\x0a\x02\x08\x02"),
        "of width 2",
    );
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let first = mlp.layers()[0].weights()[0].to_le_bytes();
        refused(&replaced(&bytes, &first, &wrong.to_le_bytes()), "not a finite number");
    }
    // The last layer, which keeps quantiles from crossing, with one sign turned.
    let join: Vec<u8> = mlp.layers()[2]
        .weights()
        .iter()
        .flat_map(|weight| weight.to_le_bytes())
        .collect();
    let mut other = join.clone();
    other[3] ^= 0x80;
    refused(&replaced(&bytes, &join, &other), "keeps quantiles from crossing");
    // More weights than are allowed, in layers that each are.
    let wide = Layer::new(1_024, 1_024, vec![0.5; 1 << 20], vec![0.0; 1_024]).unwrap();
    assert!(Mlp::new(vec![wide]).is_err());
}
