//! The feature cache: features of images and videos that all sessions of a model share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::model::Features;

/// SHA-256 of everything that the features depend on.
pub(super) type Key = [u8; 32];

/// Computes a [`Key`].
pub(super) struct KeyHasher(Sha256);

impl KeyHasher {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn update_numbers(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|number| self.0.update(number.to_le_bytes()));
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Key {
        self.0.finalize().into()
    }
}

/// A cache of features up to `budget` bytes. The least recently used features are evicted first.
pub(super) struct FeatureCache {
    budget: u64,
    state: Mutex<LruState>,
}

#[derive(Default)]
struct LruState {
    entries: HashMap<Key, Entry>,
    /// Bytes of all entries.
    bytes: u64,
    /// Number of uses so far.
    clock: u64,
}

struct Entry {
    features: Arc<Features>,
    /// Value of the clock at the last use.
    last_used: u64,
}

impl FeatureCache {
    pub(super) fn new(budget: u64) -> Self {
        Self { budget, state: Mutex::default() }
    }

    /// True if the cache may hold anything.
    pub(super) fn is_enabled(&self) -> bool {
        self.budget > 0
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Features>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let clock = state.clock;
        let entry = state.entries.get_mut(key)?;
        entry.last_used = clock;
        Some(Arc::clone(&entry.features))
    }

    pub(super) fn insert(&self, key: Key, features: &Arc<Features>) {
        let size = features.bytes();
        if size > self.budget {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let clock = state.clock;
        let entry = Entry { features: Arc::clone(features), last_used: clock };
        if let Some(replaced) = state.entries.insert(key, entry) {
            state.bytes -= replaced.features.bytes();
        }
        state.bytes += size;
        while state.bytes > self.budget {
            let oldest = state.entries.iter().min_by_key(|(_, entry)| entry.last_used).map(|(key, _)| *key);
            let Some(evicted) = oldest.and_then(|key| state.entries.remove(&key)) else { return };
            state.bytes -= evicted.features.bytes();
        }
    }

    /// Bytes of all cached features.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_features_are_evicted() {
        let features = |count| Arc::new(Features { values: vec![0.0; count], width: 1 });
        let cache = FeatureCache::new(100);
        let key = |number| [number; 32];
        for number in 0..5 {
            cache.insert(key(number), &features(5));
        }
        assert_eq!(cache.bytes(), 100);
        assert!(cache.get(&key(0)).is_some());
        cache.insert(key(5), &features(6));
        assert_eq!(cache.bytes(), 84);
        let cached: Vec<u8> = (0..6).filter(|&number| cache.get(&key(number)).is_some()).collect();
        assert_eq!(cached, [0, 3, 4, 5]);
        cache.insert(key(6), &features(26));
        assert!(cache.get(&key(6)).is_none(), "larger than the budget");
        cache.insert(key(0), &features(1));
        assert_eq!(cache.bytes(), 68);
    }
}
