//! Threads that share the work of one operation.
//!
//! A decoding step is some two hundred short operations in a row, so what counts is how soon the threads join one.
//! They look for the next operation for a moment after the last, and only then sleep. A thread that comes late finds
//! the work taken and is not waited for.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;

/// Looks at the counter of operations before a thread sleeps: some 50 µs.
const SPINS: usize = if cfg!(miri) { 5 } else { 2_000 };

thread_local! {
    static LIMIT: Cell<Option<usize>> = const { Cell::new(None) };
    /// Whether this thread is at work on an operation: one inside another is done by its own thread alone.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The processor's cores, as far as this process may use them: the number of threads unless a model is loaded with
/// another.
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| num_cpus::get_physical().min(num_cpus::get()).max(1))
}

/// Do `work` with `threads` threads in each operation that this thread starts.
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

/// Call `work` on parts of `0..count`, none larger than `part`, by all threads at once; every number is in one part.
pub(super) fn split(count: usize, part: usize, work: impl Fn(std::ops::Range<usize>) + Sync) {
    let part = part.max(1);
    let threads = LIMIT.get().unwrap_or_else(cores).min(count.div_ceil(part));
    if threads <= 1 || INSIDE.get() {
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
    /// Number of the current operation; what idle threads look at.
    operation: AtomicUsize,
    /// Threads at work on it, beside the one that started it.
    active: AtomicUsize,
    wake: Condvar,
    /// Held by the thread whose operation it is.
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    work: Option<&'static Work<'static>>,
    /// Threads that may still join.
    places: usize,
    asleep: usize,
    /// Threads that were started.
    started: usize,
    panic: Option<Box<dyn std::any::Any + Send>>,
}

fn pool() -> &'static Pool {
    static POOL: Pool = Pool {
        state: Mutex::new(State { work: None, places: 0, asleep: 0, started: 0, panic: None }),
        operation: AtomicUsize::new(0),
        active: AtomicUsize::new(0),
        wake: Condvar::new(),
        turn: Mutex::new(()),
    };
    &POOL
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Call `work` on this thread and on up to `threads − 1` others; back when all have returned.
    fn run(&'static self, threads: usize, work: &Work<'_>) {
        // Another caller has the threads: its operation and this one share the cores all the same.
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            // An operation that panicked has ended all the same.
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return work(),
        };
        // SAFETY: the reference is gone from the state, and every thread that took it has returned, before this
        // function does, also when `work` panics.
        #[allow(unsafe_code)]
        let borrowed = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        {
            let mut state = self.state();
            while state.started < threads - 1 && self.start() {
                state.started += 1;
            }
            (state.work, state.places) = (Some(borrowed), threads - 1);
            self.operation.fetch_add(1, Ordering::Release);
            if state.asleep > 0 {
                self.wake.notify_all();
            }
        }
        INSIDE.set(true);
        let result = catch_unwind(AssertUnwindSafe(work));
        INSIDE.set(false);
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

    /// Whether the system gave a thread.
    fn start(&'static self) -> bool {
        thread::Builder::new().name("mimo-vl".to_owned()).spawn(move || self.serve()).is_ok()
    }

    fn serve(&self) {
        INSIDE.set(true);
        let mut seen = 0;
        loop {
            seen = self.await_operation(seen);
            let work = {
                let mut state = self.state();
                if state.places == 0 {
                    continue;
                }
                let Some(work) = state.work else { continue };
                state.places -= 1;
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

    /// Wait until the current operation is not `seen`; gives its number.
    fn await_operation(&self, seen: usize) -> usize {
        for _ in 0..SPINS {
            let now = self.operation.load(Ordering::Acquire);
            if now != seen {
                return now;
            }
            std::hint::spin_loop();
        }
        let mut state = self.state();
        loop {
            let now = self.operation.load(Ordering::Acquire);
            if now != seen {
                return now;
            }
            state.asleep += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.asleep -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn sum(count: usize, part: usize) -> usize {
        let total = AtomicUsize::new(0);
        split(count, part, |range| {
            assert!(!range.is_empty() && range.len() <= part.max(1));
            total.fetch_add(range.sum::<usize>(), Ordering::Relaxed);
        });
        total.into_inner()
    }

    #[test]
    fn every_number_is_in_one_part() {
        for threads in [1, 2, 3, 8] {
            with_threads(threads, || {
                for (count, part) in [(0, 1), (1, 1), (7, 3), (1000, 1), (1000, 7), (10, 100), (5, 0)] {
                    assert_eq!(sum(count, part), (0..count).sum::<usize>(), "{count} by {part}, {threads} threads");
                }
            });
        }
    }

    #[test]
    fn callers_at_once_and_operations_inside_others() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    with_threads(4, || {
                        for _ in 0..200 {
                            let total = AtomicUsize::new(0);
                            split(6, 1, |_| {
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
    fn a_panic_reaches_the_caller_and_the_threads_live_on() {
        with_threads(3, || {
            for bad in 0..20 {
                let result = catch_unwind(|| split(20, 1, |range| assert!(range.start != bad, "part {bad}")));
                assert!(result.is_err());
                assert_eq!(sum(100, 3), 4950);
            }
        });
        // Two parts that wait for each other need two threads; another test may have them for a while.
        let met = (0..100).any(|_| {
            let arrived = AtomicUsize::new(0);
            with_threads(2, || {
                split(2, 1, |_| {
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
        assert!(met, "one thread did all the work");
    }
}
