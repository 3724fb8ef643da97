//! How many connections each role has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aion_base::Result;
use aion_security::{Role, RoleId, decide};

/// The connections of each role that has any.
#[derive(Default)]
pub(crate) struct Seats {
    taken: Mutex<HashMap<RoleId, usize>>,
}

/// A connection of a role; dropping it gives the seat back.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    role: RoleId,
}

impl Seats {
    /// Takes a seat for a role that has proved to be the one it claims to be.
    ///
    /// # Errors
    /// 28000 without LOGIN, 53300 at the role's limit.
    pub(crate) fn take(self: &Arc<Self>, role: &Role) -> Result<Seat> {
        // Counted under the lock under which it was looked at: two do not take the last one.
        let mut taken = self.lock();
        let others = taken.get(&role.id).copied().unwrap_or_default();
        decide::admit(role, others)?;
        taken.insert(role.id, others + 1);
        Ok(Seat {
            seats: Arc::clone(self),
            role: role.id,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoleId, usize>> {
        // The map is whole after every statement here.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        match taken.get_mut(&self.role) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.role)),
        }
    }
}

#[cfg(test)]
mod tests {
    use aion_base::SqlState;
    use aion_security::role::FIRST_ID;

    use super::*;

    #[test]
    fn seats_are_given_back() {
        let seats: Arc<Seats> = Arc::default();
        let role = Role {
            can_login: true,
            connection_limit: Some(2),
            ..Role::new("alice", FIRST_ID)
        };
        let one = seats.take(&role).expect("two are free");
        let two = seats.take(&role).expect("one is free");
        let refused = seats.take(&role).err().expect("none is free");
        assert_eq!(refused.state(), SqlState::TOO_MANY_CONNECTIONS);
        drop(one);
        let three = seats.take(&role).expect("one is free again");
        drop((two, three));
        assert!(seats.lock().is_empty());
    }
}
