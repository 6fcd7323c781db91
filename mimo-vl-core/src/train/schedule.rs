//! The learning rate over time.

use std::f64::consts::PI;

/// Linear warm-up, then a cosine down to `last` (Loshchilov and Hutter, "SGDR", 2017).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Highest rate, reached at the end of the warm-up.
    pub peak: f64,
    /// Rate at the last step.
    pub last: f64,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Steps in all.
    pub steps: u64,
}

impl Schedule {
    /// The rate of step `step`, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        self.last + (self.peak - self.last) * self.auxiliary_weight(step)
    }

    /// How much the auxiliary losses count at step `step`: 1 until the warm-up ends, then by the cosine down to 0. They show
    /// where things are to be found, and leave the end to the tokens.
    pub fn auxiliary_weight(&self, step: u64) -> f64 {
        let span = self.steps.saturating_sub(self.warmup).max(1);
        let done = (step.saturating_sub(self.warmup) as f64 / span as f64).min(1.0);
        0.5 * (1.0 + (PI * done).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let schedule = Schedule { peak: 1.0, last: 0.1, warmup: 10, steps: 110 };
        assert_eq!(schedule.rate(0), 0.1);
        assert_eq!(schedule.rate(9), 1.0);
        assert!((schedule.rate(60) - 0.55).abs() < 1e-9);
        assert!((schedule.rate(110) - 0.1).abs() < 1e-9);
        assert_eq!([0, 10, 110, 200].map(|step| schedule.auxiliary_weight(step)), [1.0, 1.0, 0.0, 0.0]);
        assert!((schedule.auxiliary_weight(60) - 0.5).abs() < 1e-9);
        assert!((1..110).all(|step| step < 10 || schedule.rate(step) >= schedule.rate(step + 1)));
    }
}
