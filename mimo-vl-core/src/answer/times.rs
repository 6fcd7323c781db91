//! Time spans in answers about videos.

/// Returns start and end of the first time span in a text, in seconds; `None` without one.
///
/// Accepts `[mm:ss, mm:ss]` as MiMo-VL writes it, with or without `\boxed{}`, hours and fractions of seconds. Start and
/// end are swapped where the end comes first.
pub fn time_span(text: &str) -> Option<(f64, f64)> {
    let starts = text.match_indices('[').map(|(at, _)| at + 1);
    let spans = starts.filter_map(|start| {
        let (inside, _) = text.get(start..)?.split_once(']')?;
        let (start, end) = inside.split_once(',')?;
        Some((seconds(start)?, seconds(end)?))
    });
    spans.map(|(a, b)| if a <= b { (a, b) } else { (b, a) }).next()
}

/// Parses `mm:ss` or `hh:mm:ss`, with or without a fraction, as seconds.
fn seconds(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.trim().split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    let (last, larger) = parts.split_last()?;
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !larger.iter().all(digits) || !last.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let seconds: f64 = last.parse().ok()?;
    larger
        .iter()
        .try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
        .map(|sum| sum * 60.0 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_parsed() {
        for (text, span) in [
            ("\\boxed{[01:05, 01:10]}", Some((65.0, 70.0))),
            ("It happens in [0:07,0:03].", Some((3.0, 7.0))),
            ("[1, 2] then [1:02:03, 1:02:04.5]", Some((3723.0, 3724.5))),
            ("[[00:01, 00:02]]", Some((1.0, 2.0))),
            ("from 01:05 to 01:10", None),
            ("[01:05]", None),
            ("[a:b, c:d]", None),
            ("[-1:05, 01:00]", None),
            ("[1:2:3:4, 01:00]", None),
            ("[", None),
        ] {
            assert_eq!(time_span(text), span, "{text}");
        }
    }
}
