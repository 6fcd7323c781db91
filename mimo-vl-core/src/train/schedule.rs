//! Learning rate schedules.

use std::f64::consts::PI;

/// Linear warm-up to `max_lr`, then a cosine down to `min_lr` (Loshchilov and Hutter, "SGDR", arXiv 1608.03983).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineSchedule {
    /// Learning rate at the end of the warm-up, the highest.
    pub max_lr: f64,
    /// Learning rate at the end.
    pub min_lr: f64,
    /// Optimizer steps of warm-up.
    pub warmup_steps: u64,
    /// Optimizer steps in all; training ends with the last.
    pub total_steps: u64,
}

impl CosineSchedule {
    /// Learning rate of step `step`, counted from 0.
    pub fn learning_rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.max_lr * (step + 1) as f64 / self.warmup_steps as f64;
        }
        self.min_lr + (self.max_lr - self.min_lr) * self.decay(step)
    }

    /// The cosine factor of step `step`: 1 until the warm-up ends, 0 at the last step and after it.
    pub fn decay(&self, step: u64) -> f64 {
        let span = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let done = (step.saturating_sub(self.warmup_steps) as f64 / span as f64).min(1.0);
        0.5 * (1.0 + (PI * done).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_linearly_and_falls_as_a_cosine() {
        let schedule = CosineSchedule { max_lr: 1.0, min_lr: 0.1, warmup_steps: 10, total_steps: 110 };
        assert_eq!(schedule.learning_rate(0), 0.1);
        assert_eq!(schedule.learning_rate(9), 1.0);
        assert!((schedule.learning_rate(60) - 0.55).abs() < 1e-9);
        assert!((schedule.learning_rate(110) - 0.1).abs() < 1e-9);
        assert_eq!([0, 10, 110, 200].map(|step| schedule.decay(step)), [1.0, 1.0, 0.0, 0.0]);
        assert!((schedule.decay(60) - 0.5).abs() < 1e-9);
        assert!((1..110).all(|step| step < 10 || schedule.learning_rate(step) >= schedule.learning_rate(step + 1)));
    }
}
