//! The workload: parameterised statements of different kinds, with parameters drawn from the data.
//!
//! A *template* is a statement with `$1`, `$2`, ...; a *query* is a template with its parameters. [`Workload`] yields
//! one query of each template in turn, for ever. Each template draws from a random sequence of its own, which depends
//! on the seed and the template's name alone: adding a template does not change the parameters of the others.
//! Parameters come from flights drawn evenly, so a busy airport, carrier or maker comes as often as it flies.
//!
//! The results are made to be compared between engines: each statement has an ORDER BY that is total, and aggregates
//! are counts, sums and maxima of integers. Distances are doubles computed from the single-precision components.

use aion_base::Result;
use aion_base::rng::SeededRng;

use super::archive::FlightsArchive;
use super::hour::UtcHour;
use super::profile::{Profile, ProfileText};

mod pools;
mod templates;

use pools::Pools;
pub use templates::{Kind, TEMPLATES, Template};

/// A value for `$1`, `$2`, ... Its `Display` is the text form of PostgreSQL.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// For a smallint or integer.
    Integer(i32),
    /// For a double precision.
    Double(f64),
    /// For a text.
    Text(String),
    /// For a timestamptz.
    Time(UtcHour),
    /// For a vector(12): the profile of a flight.
    Profile {
        /// `id` of that flight.
        flight: u32,
        /// Its profile.
        components: Profile,
    },
}

impl std::fmt::Display for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Double(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Time(hour) => hour.fmt(f),
            Self::Profile { components, .. } => ProfileText(components).fmt(f),
        }
    }
}

/// A template with its parameters.
#[derive(Clone, Debug)]
pub struct Query {
    /// The template.
    pub template: &'static Template,
    /// The values of `$1`, `$2`, ... in this order.
    pub parameters: Vec<Parameter>,
}

/// Queries without end, one of each template in turn.
#[derive(Debug)]
pub struct Workload {
    pools: Pools,
    /// One for each template.
    sequences: Vec<SeededRng>,
    next: usize,
}

impl Workload {
    /// The workload that `seed` names.
    pub fn new(seed: u64, archive: &FlightsArchive) -> Result<Self> {
        let sequences = TEMPLATES
            .iter()
            .map(|template| SeededRng::new(seed ^ fnv1a(template.name)))
            .collect();
        Ok(Self {
            pools: Pools::read(archive)?,
            sequences,
            next: 0,
        })
    }

    /// The next query of the template called `name`, or `None` where there is no such template.
    pub fn draw(&mut self, name: &str) -> Option<Query> {
        let index = TEMPLATES.iter().position(|template| template.name == name)?;
        Some(self.draw_at(index))
    }

    fn draw_at(&mut self, index: usize) -> Query {
        let template = &TEMPLATES[index];
        Query {
            template,
            parameters: template.draw(&self.pools, &mut self.sequences[index]),
        }
    }
}

impl Iterator for Workload {
    type Item = Query;

    fn next(&mut self) -> Option<Query> {
        let query = self.draw_at(self.next);
        self.next = (self.next + 1) % TEMPLATES.len();
        Some(query)
    }
}

/// The 64-bit FNV-1a hash, which is the same everywhere.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
