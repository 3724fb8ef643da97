//! The states of a recommendation, and who may move it.
//!
//! ```text
//!  observed -> proposed -> rehearsing -> ready -> applying -> watching -> kept
//!  ends:  rejected   dismissed   reverted   expired   failed
//! ```
//!
//! The pipeline moves forward along the line, and to an end from where the table in [`State::next`] says. A person's verbs may
//! besides begin again from an end: a rehearsal of what was rejected, has expired, failed or was reverted. What was dismissed
//! stays dismissed, and whoever drops what a recommendation made dismisses it.

use std::fmt;

use aion_base::{Error, SqlState};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An enumeration whose values have a name in SQL, in the ledger and on screen.
macro_rules! named {
    ($(#[$about:meta])* $name:ident: $($(#[$doc:meta])* $value:ident = $text:literal),+ $(,)?) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $value,)+
        }

        impl $name {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$value,)+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)+
                }
            }

            /// The one with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                Self::from_name(&name).ok_or_else(|| D::Error::custom(format_args!("\"{name}\" is no {}", stringify!($name))))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

named! {
    /// What a recommendation changes.
    Kind:
    /// An index.
    Index = "index",
    /// The plan of a statement.
    Plan = "plan",
    /// A learned model.
    Model = "model",
    /// A setting of the engine.
    Knob = "knob",
    /// Statistics of a table.
    Statistics = "statistics",
}

named! {
    /// Where a recommendation stands.
    State:
    /// Something in the workload asks for a change.
    Observed = "observed",
    /// A change is named, and its worth estimated.
    Proposed = "proposed",
    /// It is tried on a clone.
    Rehearsing = "rehearsing",
    /// It was shown to pay, and waits for approval.
    Ready = "ready",
    /// It is being made.
    Applying = "applying",
    /// It was made, and is compared with its promise.
    Watching = "watching",
    /// It kept its promise.
    Kept = "kept",
    /// It was not shown to pay.
    Rejected = "rejected",
    /// A person does not want it.
    Dismissed = "dismissed",
    /// It was made, and taken back.
    Reverted = "reverted",
    /// Nobody approved it in time.
    Expired = "expired",
    /// It could not be tried, made or taken back.
    Failed = "failed",
}

named! {
    /// What a person can ask for.
    Verb:
    /// Try it on a clone, again if need be.
    Rehearse = "rehearse",
    /// Make the change.
    Approve = "approve",
    /// Never propose it again.
    Dismiss = "dismiss",
    /// Take the change back.
    Revert = "revert",
    /// Keep it whatever the watch says.
    Pin = "pin",
    /// Let the watch decide again.
    Unpin = "unpin",
}

named! {
    /// What the learned parts may do. Each mode may do what those before it may.
    Mode:
    /// Nothing runs and nothing is written.
    Off = "off",
    /// Observe and predict.
    Shadow = "shadow",
    /// Rehearse as well, and make the changes that a person approves.
    Advise = "advise",
    /// Make changes without asking, of the kinds that are listed.
    Auto = "auto",
}

impl State {
    /// The states that the pipeline may move to.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Observed => &[Self::Proposed, Self::Expired],
            Self::Proposed => &[Self::Rehearsing, Self::Expired],
            // Back to proposed: the process ended in the middle of it, or the budget of the day is used up.
            Self::Rehearsing => &[Self::Ready, Self::Rejected, Self::Failed, Self::Proposed],
            Self::Ready => &[Self::Applying, Self::Expired],
            // Back to ready: the process ended before the change was made.
            Self::Applying => &[Self::Watching, Self::Failed, Self::Ready],
            // Dismissed: whoever owns the object dropped or changed it, which means that for good.
            Self::Watching => &[Self::Kept, Self::Reverted, Self::Failed, Self::Dismissed],
            Self::Kept => &[Self::Reverted, Self::Failed, Self::Dismissed],
            Self::Rejected | Self::Dismissed | Self::Reverted | Self::Expired | Self::Failed => &[],
        }
    }

    /// Whether the pipeline moves it no further.
    pub const fn is_end(self) -> bool {
        self.next().is_empty()
    }

    /// Whether the change is in force.
    pub const fn is_made(self) -> bool {
        matches!(self, Self::Watching | Self::Kept)
    }
}

impl Verb {
    /// The states from which a person may ask for it.
    pub const fn allowed(self) -> &'static [State] {
        match self {
            Self::Rehearse => &[
                State::Observed,
                State::Proposed,
                State::Ready,
                State::Rejected,
                State::Reverted,
                State::Expired,
                State::Failed,
            ],
            Self::Approve => &[State::Ready],
            Self::Dismiss => &[
                State::Observed,
                State::Proposed,
                State::Ready,
                State::Rejected,
                State::Reverted,
                State::Expired,
                State::Failed,
            ],
            Self::Revert => &[State::Watching, State::Kept],
            Self::Pin | Self::Unpin => &[State::Watching, State::Kept],
        }
    }

    /// The state that it leads to at once; None where the state stays.
    pub const fn leads_to(self) -> Option<State> {
        match self {
            Self::Rehearse => Some(State::Rehearsing),
            Self::Approve => Some(State::Applying),
            Self::Dismiss => Some(State::Dismissed),
            Self::Revert => Some(State::Reverted),
            Self::Pin | Self::Unpin => None,
        }
    }

    /// Checks that it can be asked of a recommendation.
    ///
    /// # Errors
    /// 55000, naming the state and what can be asked instead.
    pub fn check(self, id: u64, state: State) -> aion_base::Result<()> {
        if self.allowed().contains(&state) {
            return Ok(());
        }
        let message = format!("cannot {self} recommendation {id}: it is {state}");
        let others = Self::ALL.iter().filter(|verb| verb.allowed().contains(&state));
        let others: Vec<_> = others.map(|verb| verb.name()).collect();
        let hint = match others.as_slice() {
            [] if state == State::Dismissed => {
                "It was dismissed for good. Rehearse the command itself to try it again.".to_owned()
            }
            [] => "The pipeline is at work on it: wait until it is done.".to_owned(),
            others => format!("What can be done with it: {}.", others.join(", ")),
        };
        Err(Error::conflict(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_hint(hint))
    }
}

impl Mode {
    /// Whether statements are recorded and predictions made.
    pub fn observes(self) -> bool {
        self >= Self::Shadow
    }

    /// Whether changes are rehearsed without being asked.
    pub fn rehearses(self) -> bool {
        self >= Self::Advise
    }

    /// Whether a change of this kind is made without being asked.
    pub fn acts(self, kind: Kind, auto_kinds: &[Kind]) -> bool {
        self == Self::Auto && auto_kinds.contains(&kind)
    }

    /// The mode of a session that asks for one: it can only lower it.
    pub fn lowered_to(self, asked: Self) -> Self {
        self.min(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_values() {
        for &state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
        assert_eq!(State::ALL.len(), 12);
        assert_eq!(Kind::from_name("table"), None);
        assert_eq!(Verb::from_name("approve"), Some(Verb::Approve));
    }

    #[test]
    fn every_state_is_reached_and_every_way_ends() {
        let mut reached = vec![State::Observed];
        let mut at = 0;
        while let Some(&state) = reached.get(at) {
            at += 1;
            let by_verb = Verb::ALL.iter().filter(|verb| verb.allowed().contains(&state));
            let next = state
                .next()
                .iter()
                .copied()
                .chain(by_verb.filter_map(|verb| verb.leads_to()));
            for next in next {
                if !reached.contains(&next) {
                    reached.push(next);
                }
            }
        }
        assert_eq!(reached.len(), State::ALL.len(), "{reached:?}");
        for end in [
            State::Rejected,
            State::Dismissed,
            State::Reverted,
            State::Expired,
            State::Failed,
        ] {
            assert!(end.is_end(), "{end}");
        }
    }

    #[test]
    fn a_verb_in_the_wrong_state_says_what_can_be_asked() {
        for &verb in Verb::ALL {
            for &state in State::ALL {
                let checked = verb.check(17, state);
                assert_eq!(checked.is_ok(), verb.allowed().contains(&state), "{verb} {state}");
                if let Err(error) = checked {
                    assert_eq!(error.state(), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
                }
            }
        }
        let error = Verb::Approve.check(17, State::Rejected).expect_err("it was rejected");
        assert_eq!(error.message(), "cannot approve recommendation 17: it is rejected");
        assert_eq!(error.hint(), Some("What can be done with it: rehearse, dismiss."));
    }

    #[test]
    fn a_session_can_only_lower_the_mode() {
        assert_eq!(Mode::Advise.lowered_to(Mode::Auto), Mode::Advise);
        assert_eq!(Mode::Advise.lowered_to(Mode::Off), Mode::Off);
        assert!(!Mode::Off.observes() && Mode::Shadow.observes());
        assert!(!Mode::Shadow.rehearses() && Mode::Advise.rehearses());
        assert!(Mode::Auto.acts(Kind::Index, &[Kind::Index]));
        assert!(!Mode::Auto.acts(Kind::Index, &[]));
        assert!(!Mode::Advise.acts(Kind::Index, &[Kind::Index]));
    }
}
