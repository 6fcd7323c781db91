//! Features of pictures and videos that a model keeps for all its sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::model::Features;

/// The SHA-256 of what the features depend on.
pub(super) type Key = [u8; 32];

/// Puts a [`Key`] together.
pub(super) struct KeyHasher(Sha256);

impl KeyHasher {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn numbers(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|number| self.0.update(number.to_le_bytes()));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Key {
        self.0.finalize().into()
    }
}

/// Keeps features up to so many bytes; the ones that were not used for the longest time go first.
pub(super) struct FeatureCache {
    budget: u64,
    state: Mutex<LruState>,
}

#[derive(Default)]
struct LruState {
    entries: HashMap<Key, (Arc<Features>, u64)>,
    bytes: u64,
    /// Counts uses.
    clock: u64,
}

impl FeatureCache {
    pub(super) fn new(budget: u64) -> Self {
        Self { budget, state: Mutex::default() }
    }

    /// Whether anything is state.
    pub(super) fn is_enabled(&self) -> bool {
        self.budget > 0
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Features>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let clock = state.clock;
        let (features, used) = state.entries.get_mut(key)?;
        *used = clock;
        Some(Arc::clone(features))
    }

    pub(super) fn put(&self, key: Key, features: &Arc<Features>) {
        let size = features.bytes();
        if size > self.budget {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let clock = state.clock;
        if let Some((old, _)) = state.entries.insert(key, (Arc::clone(features), clock)) {
            state.bytes -= old.bytes();
        }
        state.bytes += size;
        while state.bytes > self.budget {
            let oldest = state.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            let Some((gone, _)) = oldest.and_then(|key| state.entries.remove(&key)) else { return };
            state.bytes -= gone.bytes();
        }
    }

    /// Bytes that are state.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_long_goes_first() {
        let features = |count| Arc::new(Features { values: vec![0.0; count], width: 1 });
        let cache = FeatureCache::new(100);
        let key = |number| [number; 32];
        for number in 0..5 {
            cache.put(key(number), &features(5));
        }
        assert_eq!(cache.bytes(), 100);
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(5), &features(6));
        assert_eq!(cache.bytes(), 84);
        let there: Vec<u8> = (0..6).filter(|&number| cache.get(&key(number)).is_some()).collect();
        assert_eq!(there, [0, 3, 4, 5]);
        cache.put(key(6), &features(26));
        assert!(cache.get(&key(6)).is_none(), "more than all that may be state");
        cache.put(key(0), &features(1));
        assert_eq!(cache.bytes(), 68);
    }
}
