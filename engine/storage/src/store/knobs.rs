//! What of a store can be changed while it is open.

use aion_base::Result;

use super::Store;
use crate::rows::Rows;
use crate::rows::knobs::{RowsKnob, RowsSignals};

impl Store {
    /// The knobs of the rows with what they are now; none in memory.
    pub fn knobs(&self) -> Vec<(RowsKnob, u64)> {
        let all = RowsKnob::ALL.into_iter();
        all.filter_map(|knob| Some((knob, self.rows.knob(knob)?))).collect()
    }

    /// Changes a knob of the rows, at once and until the store is closed.
    ///
    /// # Errors
    /// 0A000 in memory; 22023 for a value that the rows do not take: then nothing has changed.
    pub fn set_knob(&self, knob: RowsKnob, value: u64) -> Result<()> {
        self.rows.set_knob(knob, value)
    }

    /// How the rows are; None in memory, where nothing can overflow.
    ///
    /// # Errors
    /// When that cannot be measured.
    pub fn signals(&self) -> Result<Option<RowsSignals>> {
        self.rows.signals()
    }
}
