//! `cargo run --release -p aion-bench --example point_select -- KEYS SECONDS THREADS on|off [DIRECTORY]`

use std::time::Duration;

use aion_bench::point_select::{Options, run};

fn main() -> aion_base::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let report = run(Options {
        keys: u32::try_from(number(0, 100_000)).unwrap_or(u32::MAX),
        duration: Duration::from_secs(number(1, 5)),
        threads: usize::try_from(number(2, 1)).unwrap_or(1),
        is_direct: arguments.get(3).is_none_or(|text| text != "off"),
        directory: arguments.get(4).map(Into::into),
        ..Options::default()
    })?;
    println!("{report}");
    Ok(())
}
