//! Cancellation, time limit and progress, which the options of every long call have.

use std::ffi::c_void;
use std::time::Duration;

use mimo_vl_core::{CallOptions, Progress, Result};

use crate::boundary::change;
use crate::callback::{MIMO_VL_CONTINUE, ProgressCallback, Stage, UserData};
use crate::cancel::CancelToken;
use crate::error::{ErrorObject, Status};

/// Options of a long call, as C holds them: the core's, and the part that C sets through its own types.
pub(crate) trait LongCall {
    /// The core's options.
    type Core: Clone + Default;

    /// Both parts.
    fn parts(&mut self) -> (&mut Self::Core, &mut Call);

    /// The core's options for one call; the defaults for null.
    ///
    /// # Safety
    /// `options` is null or points to living options.
    unsafe fn to_core(options: *const Self) -> Self::Core;
}

/// Implements [`LongCall`] for options with the fields `options` and `call`. cbindgen reads their declaration.
macro_rules! long_call {
    ($type:ident, $core:ty) => {
        impl $crate::call::LongCall for $type {
            type Core = $core;

            fn parts(&mut self) -> (&mut $core, &mut $crate::call::Call) {
                (&mut self.options, &mut self.call)
            }

            unsafe fn to_core(options: *const Self) -> $core {
                // SAFETY: passed on to the caller.
                let Some(Self { options, call }) = (unsafe { options.as_ref() }) else { return Default::default() };
                let mut options = options.clone();
                options.call = call.to_core();
                options
            }
        }
    };
}
pub(crate) use long_call;

/// Sets one of the core's options that C lends.
///
/// # Safety
/// As for [`change`].
pub(crate) unsafe fn set<T: LongCall>(
    options: *mut T,
    error_out: *mut *mut ErrorObject,
    assign: impl FnOnce(&mut T::Core),
) -> Status {
    // SAFETY: passed on to the caller.
    unsafe {
        try_set(options, error_out, |options| {
            assign(options);
            Ok(())
        })
    }
}

/// As [`set`], with a value that may be refused.
///
/// # Safety
/// As for [`change`].
pub(crate) unsafe fn try_set<T: LongCall>(
    options: *mut T,
    error_out: *mut *mut ErrorObject,
    assign: impl FnOnce(&mut T::Core) -> Result<()>,
) -> Status {
    // SAFETY: passed on to the caller.
    unsafe { change(options, "options", error_out, |options| assign(options.parts().0)) }
}

/// Sets the part of options that every long call has.
///
/// # Safety
/// As for [`change`].
pub(crate) unsafe fn set_call<T: LongCall>(
    options: *mut T,
    error_out: *mut *mut ErrorObject,
    assign: impl FnOnce(&mut Call),
) -> Status {
    // SAFETY: passed on to the caller.
    unsafe {
        change(options, "options", error_out, |options| {
            assign(options.parts().1);
            Ok(())
        })
    }
}

/// The part of a long call's options that C sets through its own types.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    options: CallOptions,
    progress: Option<Reporter>,
}

impl Call {
    /// Sets the token that cancels the calls; null removes it.
    ///
    /// # Safety
    /// `token` is null or points to a living token.
    pub(crate) unsafe fn set_cancel(&mut self, token: *const CancelToken) {
        // SAFETY: the caller vouches for a pointer that is not null.
        self.options.cancel = unsafe { token.as_ref() }.map(|token| token.0.clone());
    }

    /// Sets the time limit; none for 0 or less, and for what is not a duration.
    pub(crate) fn set_timeout(&mut self, seconds: f64) {
        self.options.timeout = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
    }

    /// Sets the function that receives the progress; null removes it.
    ///
    /// # Safety
    /// `callback` is null or a function that may be called with `user_data` on any thread that starts a call with these
    /// options.
    pub(crate) unsafe fn set_progress(&mut self, callback: ProgressCallback, user_data: *mut c_void) {
        self.progress = callback.map(|callback| Reporter { callback, user_data: UserData(user_data) });
    }

    /// The core's options for one call. The progress callback cancels that call alone, and not others with its token.
    pub(crate) fn to_core(&self) -> CallOptions {
        let Some(reporter) = self.progress else { return self.options.clone() };
        let token = self.options.cancel.as_ref().map(mimo_vl_core::CancelToken::child).unwrap_or_default();
        let options = self.options.clone().cancel(&token);
        options.on_progress(move |progress| {
            if !reporter.report(progress) {
                token.cancel();
            }
        })
    }
}

/// A progress callback of the caller with its data.
#[derive(Debug, Clone, Copy)]
struct Reporter {
    callback: unsafe extern "C" fn(user_data: *mut c_void, stage: Stage, done: u64, total: u64) -> i32,
    user_data: UserData,
}

impl Reporter {
    /// Calls the function. Returns false if it cancels the call.
    fn report(&self, progress: Progress) -> bool {
        let Some(stage) = Stage::from_core(progress.stage) else { return true };
        // SAFETY: `Call::set_progress` requires that the function may be called with its data.
        unsafe { (self.callback)(self.user_data.0, stage, progress.done, progress.total) == MIMO_VL_CONTINUE }
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::callback::MIMO_VL_CANCEL;

    unsafe extern "C" fn reply(user_data: *mut c_void, _stage: Stage, done: u64, total: u64) -> i32 {
        // SAFETY: the tests pass a number.
        let calls = unsafe { &mut *user_data.cast::<u64>() };
        *calls += 1;
        if done < total { MIMO_VL_CONTINUE } else { MIMO_VL_CANCEL }
    }

    #[test]
    fn a_progress_callback_cancels_its_own_call_only() {
        let token = CancelToken(mimo_vl_core::CancelToken::new());
        let mut calls = 0_u64;
        let mut call = Call::default();
        // SAFETY: token and number outlive the options.
        unsafe {
            call.set_cancel(&token);
            call.set_progress(Some(reply), ptr::from_mut(&mut calls).cast());
        }
        let (first, second) = (call.to_core(), call.to_core());
        let control = first.start();
        assert!(control.step(mimo_vl_core::Stage::Load, 1, 2).is_ok());
        assert!(control.step(mimo_vl_core::Stage::Load, 2, 2).is_err());
        assert!(second.start().check().is_ok() && !token.0.is_cancelled());
        token.0.cancel();
        assert!(second.start().check().is_err());
        assert_eq!(calls, 2);
    }

    #[test]
    fn null_removes_token_and_callback() {
        let token = CancelToken(mimo_vl_core::CancelToken::new());
        token.0.cancel();
        let mut call = Call::default();
        // SAFETY: null is allowed, and the callback is removed before it is called.
        unsafe {
            call.set_cancel(&token);
            call.set_progress(Some(reply), ptr::null_mut());
            call.set_cancel(ptr::null());
            call.set_progress(None, ptr::null_mut());
        }
        assert!(call.to_core().start().step(mimo_vl_core::Stage::Load, 2, 2).is_ok());
    }

    #[test]
    fn times_that_are_not_above_zero_are_no_limit() {
        let mut call = Call::default();
        for (seconds, expected) in
            [(1.5, Some(Duration::from_millis(1500))), (0.0, None), (-1.0, None), (f64::NAN, None)]
        {
            call.set_timeout(seconds);
            assert_eq!(call.to_core().timeout, expected, "{seconds}");
        }
    }
}
