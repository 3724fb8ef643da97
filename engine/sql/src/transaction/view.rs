//! Where a transaction reads, and how that moves.

use std::collections::BTreeSet;

use super::*;

/// A snapshot, its place in the log, and which generation of the catalog it sees.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub snapshot: Arc<dyn Snapshot>,
    /// 0 for a transaction that writes nothing: only a commit needs it.
    pub read_point: LogIndex,
    pub generation: Option<Generation>,
}

impl View {
    /// Everything acknowledged so far.
    fn now(store: &Store, may_write: bool) -> Result<Self> {
        let before = store.generation();
        let snapshot = store.bounded_snapshot();
        let generation = before.filter(|_| before == store.generation());
        let read_point = match may_write {
            true => snapshot.read_point()?.index,
            false => LogIndex(0),
        };
        Ok(Self {
            snapshot,
            read_point,
            generation,
        })
    }
}

impl State {
    pub(super) fn is_private(&self, key: &[u8]) -> bool {
        self.private.iter().any(|private| private.has(key))
    }
}

impl Transaction {
    pub(super) fn view<'a>(&self, state: &'a mut State) -> Result<&'a View> {
        if state.view.is_none() {
            state.view = Some(View::now(&self.store, self.may_write)?);
            state.has_read = true;
        }
        let view = state.view.as_ref().expect("it was just taken");
        view.snapshot.check()?;
        Ok(view)
    }

    /// The view that a key, or a range that begins with it, is read through.
    pub(super) fn view_of(&self, state: &mut State, key: &[u8]) -> Result<View> {
        match state.is_private(key) {
            true => self.private_view(state),
            false => self.view(state).cloned(),
        }
    }

    pub(super) fn private_view(&self, state: &mut State) -> Result<View> {
        if state.private_view.is_none() {
            state.private_view = Some(View::now(&self.store, self.may_write)?);
        }
        Ok(state.private_view.clone().expect("it was just taken"))
    }

    /// The generation of the catalog that the view sees; None where that is not known. What the transaction itself changes does
    /// not count.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read.
    pub fn generation(&self) -> Result<Option<Generation>> {
        Ok(self.view(&mut self.state.lock())?.generation)
    }

    /// What it reads through.
    ///
    /// # Errors
    /// When the snapshot's place in the log cannot be read.
    pub fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        Ok(self.view(&mut self.state.lock())?.snapshot.clone())
    }

    /// What it is protected from.
    pub fn isolation(&self) -> Isolation {
        self.state.lock().isolation
    }

    /// Protects it from more or less; before the first statement only.
    pub fn set_isolation(&self, isolation: Isolation) {
        self.state.lock().isolation = isolation;
    }

    /// From now on a range is this transaction's alone: what was and will be loaded into it is seen here at once.
    pub fn adopt(&self, private: PrivateRange) {
        let mut state = self.state.lock();
        state.private.push(private);
        state.private_view = None;
    }

    /// A range that this transaction adopted.
    pub fn private(&self, range: &KeyRange) -> Option<PrivateRange> {
        let state = self.state.lock();
        state.private.iter().find(|private| private.range() == range).cloned()
    }

    /// Whether all of a range is this transaction's alone.
    pub fn is_private(&self, range: &KeyRange) -> bool {
        let state = self.state.lock();
        state
            .private
            .iter()
            .any(|private| private.range().contains_range(range))
    }

    /// Whether what was written since some place may have to be taken back alone: a savepoint is there.
    pub fn is_marked(&self) -> bool {
        self.state.lock().is_marked
    }

    /// Something was loaded into a private storage by a commit of its own.
    pub fn see_loaded(&self) {
        self.state.lock().private_view = None;
    }

    /// Moves the view forward to now, if nothing that was read, checked or written has changed since. False if something has: the
    /// view stays, and a commit would be refused. READ COMMITTED always moves.
    ///
    /// # Errors
    /// When that cannot be told: 40001 for a view that is too old.
    pub fn refresh(&self) -> Result<bool> {
        if self.is_past {
            return Ok(true);
        }
        let mut state = self.state.lock();
        if state.view.is_some() && state.isolation == Isolation::ReadCommitted {
            state.view = Some(View::now(&self.store, true)?);
            return Ok(true);
        }
        self.follow(&mut state)
    }

    /// As [`Transaction::refresh`], for one that is to be committed much later: READ COMMITTED too looks at what was checked and written, which
    /// would else be too old to be decided then.
    ///
    /// # Errors
    /// As [`Transaction::refresh`].
    pub fn keep_up(&self) -> Result<bool> {
        self.follow(&mut self.state.lock())
    }

    fn follow(&self, state: &mut State) -> Result<bool> {
        let Some(old) = state.view.clone() else {
            return Ok(true);
        };
        let new = View::now(&self.store, true)?;
        let is_unchanged = |ranges: &[KeyRange], from| self.store.unchanged_since(ranges, from, new.read_point);
        // By the entry that they are relied on since.
        let mut relied: BTreeMap<LogIndex, Vec<KeyRange>> = BTreeMap::new();
        let mut private: BTreeMap<LogIndex, Vec<KeyRange>> = BTreeMap::new();
        for (key, pending) in &state.writes {
            let ranges = match state.is_private(key) {
                true => &mut private,
                false => &mut relied,
            };
            ranges.entry(pending.read_point).or_default().push(KeyRange::point(key));
        }
        for (from, range) in state.checks.of_reads() {
            relied.entry(from).or_default().push(range);
        }
        if state.isolation != Isolation::ReadCommitted {
            let reads = state.reads.ranges().chain(state.statement_reads.ranges());
            relied.entry(old.read_point).or_default().extend(reads);
        }
        for (from, ranges) in &relied {
            if !is_unchanged(ranges, *from)? {
                return Ok(false);
            }
        }
        // What was loaded into a private range meanwhile may be what it writes there: the commit tells.
        let mut stays = BTreeSet::new();
        for (from, ranges) in &private {
            if !is_unchanged(ranges, *from)? {
                stays.insert(*from);
            }
        }
        let mut demanded: BTreeMap<LogIndex, Vec<KeyRange>> = BTreeMap::new();
        for (from, range) in state.checks.of_writes() {
            demanded.entry(from).or_default().push(range);
        }
        let mut stays_behind = BTreeSet::new();
        for (from, ranges) in &demanded {
            if !is_unchanged(ranges, *from)? {
                stays_behind.insert(*from);
            }
        }
        let State {
            writes,
            checks,
            private,
            ..
        } = state;
        checks.move_on(new.read_point, &stays_behind);
        for (key, pending) in writes {
            if !stays.contains(&pending.read_point) || !private.iter().any(|private| private.has(key)) {
                pending.read_point = new.read_point;
            }
        }
        state.view = Some(new);
        Ok(true)
    }
}
