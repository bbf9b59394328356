//! Samples and their medians.

use std::time::Duration;

/// Rates measured in pairs: ours, and the limit's just before it.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    ours: Vec<f64>,
    limit: Vec<f64>,
}

/// The median of some samples, with their extremes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Pairs {
    pub fn add(&mut self, ours: f64, limit: f64) {
        self.ours.push(ours);
        self.limit.push(limit);
    }

    pub fn ours(&self) -> Spread {
        Spread::of(&self.ours)
    }

    pub fn limit(&self) -> Spread {
        Spread::of(&self.limit)
    }

    /// Ours over the limit, pair by pair.
    pub fn ratio(&self) -> Spread {
        let ratios: Vec<f64> = self.ours.iter().zip(&self.limit).map(|(ours, limit)| ours / limit).collect();
        Spread::of(&ratios)
    }
}

impl Spread {
    /// Of at least one sample.
    pub fn of(samples: &[f64]) -> Self {
        Self { least: quantile(samples, 0.0), median: quantile(samples, 0.5), most: quantile(samples, 1.0) }
    }
}

/// The sample below which that part of all lies; 0 of none.
pub fn quantile(samples: &[f64], part: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among some thousand samples"
    )]
    let place = (last as f64 * part).round() as usize;
    sorted.get(place).copied().unwrap_or(0.0)
}

/// Things a second.
pub fn rate(things: usize, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some thousand things")]
    let things = things as f64;
    things / took.as_secs_f64()
}
