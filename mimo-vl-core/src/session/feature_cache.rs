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
    kept: Mutex<LruState>,
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
        Self { budget, kept: Mutex::default() }
    }

    /// Whether anything is kept.
    pub(super) fn is_on(&self) -> bool {
        self.budget > 0
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Features>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let clock = kept.clock;
        let (features, used) = kept.entries.get_mut(key)?;
        *used = clock;
        Some(Arc::clone(features))
    }

    pub(super) fn put(&self, key: Key, features: &Arc<Features>) {
        let size = features.bytes();
        if size > self.budget {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let clock = kept.clock;
        if let Some((old, _)) = kept.entries.insert(key, (Arc::clone(features), clock)) {
            kept.bytes -= old.bytes();
        }
        kept.bytes += size;
        while kept.bytes > self.budget {
            let oldest = kept.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            let Some((gone, _)) = oldest.and_then(|key| kept.entries.remove(&key)) else { return };
            kept.bytes -= gone.bytes();
        }
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> u64 {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes
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
        assert!(cache.get(&key(6)).is_none(), "more than all that may be kept");
        cache.put(key(0), &features(1));
        assert_eq!(cache.bytes(), 68);
    }
}
