//! Frames that stand in for those that cannot be decoded.

/// Largest difference between the clocks of packets and decoder, in frames.
const MAX_DELAY: f64 = 2.5;

/// The frames to decode, and their times.
#[derive(Debug, PartialEq)]
pub(super) struct Choice {
    /// Places in the order of presentation, among the frames that can be decoded; ascending, with repeats.
    indices: Vec<usize>,
    /// Presentation time of each, in seconds.
    pub(super) times: Vec<f64>,
    /// Number of frames that stand in for another.
    pub(super) replaced: usize,
}

impl Choice {
    /// The sampled frames themselves. `times` are those of all frames.
    pub(super) fn all(times: &[f64], sampled: &[usize]) -> Self {
        Self { indices: sampled.to_vec(), times: sampled.iter().map(|&index| times[index]).collect(), replaced: 0 }
    }

    /// The places without repeats.
    pub(super) fn distinct(&self) -> Vec<usize> {
        let mut indices = self.indices.clone();
        indices.dedup();
        indices
    }

    /// Number of times that each of [`distinct`](Self::distinct) is shown.
    pub(super) fn repeats(&self) -> Vec<usize> {
        self.indices.chunk_by(|a, b| a == b).map(<[usize]>::len).collect()
    }
}

/// Returns `true` if the decoded frames are those that were sampled. `times` are the presentation times of all frames.
///
/// The clock of the decoder may differ from that of the packets by the constant delay of reordered frames, as in AVI.
pub(super) fn match_times(times: &[f64], sampled: &[usize], decoded: &[f64]) -> bool {
    let (Some(&first), Some(start)) = (sampled.first(), decoded.first()) else { return false };
    let delay = delay(times, start - times[first]);
    let matches = |(&index, time): (&usize, &f64)| (time - delay - times[index]).abs() <= tolerance(times, index);
    sampled.len() == decoded.len() && sampled.iter().zip(decoded).all(matches)
}

/// The difference of two clocks, if it is at most that of reordered frames; else 0.
fn delay(times: &[f64], difference: f64) -> f64 {
    let duration = times.last().zip(times.first()).map_or(0.0, |(last, first)| last - first);
    let interval = duration / times.len().saturating_sub(1).max(1) as f64;
    if difference.abs() <= MAX_DELAY * interval { difference } else { 0.0 }
}

/// Half of the distance to the nearer neighbour, and what rounding to six digits takes.
fn tolerance(times: &[f64], index: usize) -> f64 {
    let before = index.checked_sub(1).map(|before| times[index] - times[before]);
    let after = times.get(index + 1).map(|after| after - times[index]);
    let gap = before.into_iter().chain(after).fold(f64::INFINITY, f64::min);
    (if gap.is_finite() { gap / 2.0 } else { 1.0 }) + 1e-5 * times[index].abs() + 1e-6
}

/// Chooses the frames nearest in time to those that were sampled, among those that can be decoded; `None` if none can.
/// `times` are the presentation times of all frames, ascending, and `decodable` those of the frames that can be
/// decoded.
pub(super) fn choose(times: &[f64], sampled: &[usize], decodable: &[f64]) -> Option<Choice> {
    if decodable.len() == times.len() {
        return Some(Choice::all(times, sampled));
    }
    // Without times the frames are taken as the first ones of the file.
    let known: Vec<f64> = match decodable.iter().any(|time| time.is_nan()) || !decodable.is_sorted() {
        true => times.iter().copied().take(decodable.len()).collect(),
        false => decodable.to_vec(),
    };
    let last = known.len().checked_sub(1)?;
    // The first or the last frame tells the difference of the clocks, unless it is missing itself.
    let ends = [known[0] - times[0], known[last] - times[times.len() - 1]];
    let nearer = if ends[0].abs() <= ends[1].abs() { ends[0] } else { ends[1] };
    let delay = delay(times, nearer);
    let known: Vec<f64> = known.iter().map(|time| time - delay).collect();
    let indices: Vec<usize> = sampled
        .iter()
        .map(|&index| {
            let after = known.partition_point(|&time| time < times[index]).min(last);
            let before = after.saturating_sub(1);
            if times[index] - known[before] < known[after] - times[index] { before } else { after }
        })
        .collect();
    let found = |(&index, &place): (&usize, &usize)| (known[place] - times[index]).abs() <= tolerance(times, index);
    let replaced = sampled.iter().zip(&indices).filter(|pair| !found(*pair)).count();
    Some(Choice { times: indices.iter().map(|&place| known[place]).collect(), indices, replaced })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(count: usize) -> Vec<f64> {
        (0..count).map(|index| index as f64 / 10.0).collect()
    }

    #[test]
    fn the_nearest_frame_stands_in() {
        let all = times(10);
        // Frames 0, 1 and 6 cannot be decoded.
        let decodable: Vec<f64> = all.iter().copied().filter(|time| ![0.0, 0.1, 0.6].contains(time)).collect();
        let choice = choose(&all, &[0, 3, 6, 9], &decodable).unwrap();
        assert_eq!((choice.indices.as_slice(), choice.replaced), (&[0, 1, 4, 6][..], 2));
        assert_eq!(choice.times, [0.2, 0.3, 0.7, 0.9]);
        let choice = choose(&all, &[0, 1, 2, 9], &decodable).unwrap();
        assert_eq!((choice.distinct(), choice.repeats(), choice.replaced), (vec![0, 6], vec![3, 1], 2));
        assert_eq!(choose(&all, &[0, 9], &[]), None);
        assert_eq!(choose(&all, &[2, 9], &all), Some(Choice::all(&all, &[2, 9])));
        // Frames without times are counted from the first one.
        let choice = choose(&all, &[0, 9], &[f64::NAN; 8]).unwrap();
        assert_eq!((choice.indices.as_slice(), choice.replaced), (&[0, 7][..], 1));
    }

    #[test]
    fn times_of_six_digits_match() {
        let all: Vec<f64> = (0..100).map(|index| 12_345.678_9 + f64::from(index) / 60.0).collect();
        assert!(match_times(&all, &[0, 50], &[12_345.7, 12_346.5]));
        assert!(!match_times(&all, &[0, 50], &[12_345.7]));
        assert!(!match_times(&times(10), &[0, 5], &[0.0, 0.6]));
        assert!(match_times(&times(10), &[0, 5], &[0.2, 0.7]), "a constant delay");
        assert!(!match_times(&times(10), &[0, 5], &[0.5, 1.0]), "missing frames");
        assert!(!match_times(&times(10), &[0, 5], &[0.0, f64::NAN]));
    }
}
