//! Thread pool that shares the work of one operation at a time.
//!
//! A decode step is about two hundred short operations in sequence, so the latency until threads join an operation
//! matters. Threads spin for a short time after each operation before they sleep. A thread that joins late finds no
//! work left, and nobody waits for it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;

/// Polls of the operation counter before a thread sleeps: about 50 µs.
const SPINS: usize = if cfg!(miri) { 5 } else { 2_000 };

thread_local! {
    /// Number of threads set by [`with_threads`].
    static LIMIT: Cell<Option<usize>> = const { Cell::new(None) };
    /// True while this thread works on an operation. Nested operations run on their own thread only.
    static IN_OPERATION: Cell<bool> = const { Cell::new(false) };
}

/// Number of physical cores available to this process: the default number of threads.
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| num_cpus::get_physical().min(num_cpus::get()).max(1))
}

/// Runs `work` with `threads` threads for each operation that it starts on the current thread.
pub(crate) fn with_threads<T>(threads: usize, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<usize>);
    impl Drop for Restore {
        fn drop(&mut self) {
            LIMIT.set(self.0);
        }
    }
    let _restore = Restore(LIMIT.replace(Some(threads.max(1))));
    work()
}

/// Splits `0..count` into parts of at most `part` indices and calls `work` with each part, on all threads.
pub(super) fn parallel_for(count: usize, part: usize, work: impl Fn(std::ops::Range<usize>) + Sync) {
    let part = part.max(1);
    let threads = LIMIT.get().unwrap_or_else(cores).min(count.div_ceil(part));
    if threads <= 1 || IN_OPERATION.get() {
        return (0..count).step_by(part).for_each(|start| work(start..(start + part).min(count)));
    }
    let next = AtomicUsize::new(0);
    pool().run(threads, &|| {
        loop {
            let start = next.fetch_add(part, Ordering::Relaxed);
            if start >= count {
                break;
            }
            work(start..(start + part).min(count));
        }
    });
}

type Work<'a> = dyn Fn() + Sync + 'a;

struct Pool {
    state: Mutex<State>,
    /// Number of the current operation, polled by idle threads.
    operation: AtomicUsize,
    /// Threads that work on the operation, besides the one that started it.
    active: AtomicUsize,
    wake: Condvar,
    /// Locked by the thread that started the operation.
    owner: Mutex<()>,
}

#[derive(Default)]
struct State {
    work: Option<&'static Work<'static>>,
    /// Number of threads that may still join.
    helpers_wanted: usize,
    /// Number of sleeping threads.
    sleeping: usize,
    /// Number of threads in the pool.
    started: usize,
    panic: Option<Box<dyn std::any::Any + Send>>,
}

fn pool() -> &'static Pool {
    static POOL: Pool = Pool {
        state: Mutex::new(State { work: None, helpers_wanted: 0, sleeping: 0, started: 0, panic: None }),
        operation: AtomicUsize::new(0),
        active: AtomicUsize::new(0),
        wake: Condvar::new(),
        owner: Mutex::new(()),
    };
    &POOL
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `work` on this thread and on up to `threads − 1` others, and returns when all calls have returned.
    fn run(&'static self, threads: usize, work: &Work<'_>) {
        // If another caller uses the pool, this operation runs on its own thread.
        let _owner = match self.owner.try_lock() {
            Ok(owner) => owner,
            // The operation that panicked has ended.
            Err(TryLockError::Poisoned(owner)) => owner.into_inner(),
            Err(TryLockError::WouldBlock) => return work(),
        };
        // SAFETY: before this function returns, even if `work` panics, the reference is removed from the state and
        // every thread that copied it has returned from `work`.
        #[allow(unsafe_code)]
        let borrowed = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        {
            let mut state = self.state();
            while state.started < threads - 1 && self.start() {
                state.started += 1;
            }
            (state.work, state.helpers_wanted) = (Some(borrowed), threads - 1);
            self.operation.fetch_add(1, Ordering::Release);
            if state.sleeping > 0 {
                self.wake.notify_all();
            }
        }
        IN_OPERATION.set(true);
        let result = catch_unwind(AssertUnwindSafe(work));
        IN_OPERATION.set(false);
        self.state().work = None;
        let mut spins = 0;
        while self.active.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let panic = self.state().panic.take();
        if let Some(panic) = result.err().or(panic) {
            resume_unwind(panic);
        }
    }

    /// Starts a thread. Returns false if the system refused.
    fn start(&'static self) -> bool {
        thread::Builder::new().name("mimo-vl".to_owned()).spawn(move || self.serve()).is_ok()
    }

    fn serve(&self) {
        IN_OPERATION.set(true);
        let mut last = 0;
        loop {
            last = self.await_operation(last);
            let work = {
                let mut state = self.state();
                if state.helpers_wanted == 0 {
                    continue;
                }
                let Some(work) = state.work else { continue };
                state.helpers_wanted -= 1;
                self.active.fetch_add(1, Ordering::Relaxed);
                work
            };
            let result = catch_unwind(AssertUnwindSafe(work));
            if let Err(panic) = result {
                self.state().panic.get_or_insert(panic);
            }
            self.active.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits until the operation counter differs from `last` and returns it.
    fn await_operation(&self, last: usize) -> usize {
        for _ in 0..SPINS {
            let now = self.operation.load(Ordering::Acquire);
            if now != last {
                return now;
            }
            std::hint::spin_loop();
        }
        let mut state = self.state();
        loop {
            let now = self.operation.load(Ordering::Acquire);
            if now != last {
                return now;
            }
            state.sleeping += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn sum(count: usize, part: usize) -> usize {
        let total = AtomicUsize::new(0);
        parallel_for(count, part, |range| {
            assert!(!range.is_empty() && range.len() <= part.max(1));
            total.fetch_add(range.sum::<usize>(), Ordering::Relaxed);
        });
        total.into_inner()
    }

    #[test]
    fn every_index_is_in_exactly_one_part() {
        for threads in [1, 2, 3, 8] {
            with_threads(threads, || {
                for (count, part) in [(0, 1), (1, 1), (7, 3), (1000, 1), (1000, 7), (10, 100), (5, 0)] {
                    assert_eq!(sum(count, part), (0..count).sum::<usize>(), "{count} by {part}, {threads} threads");
                }
            });
        }
    }

    #[test]
    fn concurrent_callers_and_nested_operations_complete() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    with_threads(4, || {
                        for _ in 0..200 {
                            let total = AtomicUsize::new(0);
                            parallel_for(6, 1, |_| {
                                total.fetch_add(sum(10, 2), Ordering::Relaxed);
                            });
                            assert_eq!(total.into_inner(), 6 * 45);
                        }
                    });
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_stays_usable() {
        with_threads(3, || {
            for bad in 0..20 {
                let result = catch_unwind(|| parallel_for(20, 1, |range| assert!(range.start != bad, "part {bad}")));
                assert!(result.is_err());
                assert_eq!(sum(100, 3), 4950);
            }
        });
        // Two parts that wait for each other need two threads; another test may occupy the pool for a while.
        let met = (0..100).any(|_| {
            let arrived = AtomicUsize::new(0);
            with_threads(2, || {
                parallel_for(2, 1, |_| {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    let start = Instant::now();
                    while arrived.load(Ordering::SeqCst) == 1 && start.elapsed() < Duration::from_millis(200) {
                        thread::yield_now();
                    }
                    if arrived.load(Ordering::SeqCst) == 1 {
                        arrived.fetch_add(10, Ordering::SeqCst);
                    }
                });
            });
            arrived.into_inner() == 2
        });
        assert!(met, "one thread ran both parts");
    }
}
