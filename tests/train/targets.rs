//! Targets of the shapes in tokenized batches.

use std::collections::HashSet;

use mimo_vl_core::train::Dataset;
use mimo_vl_examples::shapes::{COORDINATE_BINS, CoordinateTarget, PATCH_CLASSES, Recipe};

use super::{dataset, small_checkpoint};

#[test]
fn only_tokens_of_the_assistant_are_targets() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let token = |text: &str| dataset.tokenizer.token_id(text).unwrap();
    let header = dataset.tokenizer.encode("<|im_start|>assistant\n").unwrap();
    for index in 0..8 {
        let batch = dataset.batch(index).unwrap().inputs;
        let indices: Vec<usize> = batch.targets.iter().map(|target| target.row as usize + 1).collect();
        assert!(indices.len() >= 2 * batch.size, "every example has an answer and its end");
        for (target, &index_of_token) in batch.targets.iter().zip(&indices) {
            let id = target.token;
            assert!(batch.ids[index_of_token] == id && target.weight > 0.0);
            let first = !indices.contains(&(index_of_token - 1));
            let after_header = batch.ids[..index_of_token].ends_with(&header);
            assert!(!first || after_header, "batch {index}: an answer starts after the header of its message");
            let last = !indices.contains(&(index_of_token + 1));
            assert_eq!(last, id == token("<|im_end|>"), "batch {index}: an answer ends with its end token");
        }
    }
}

#[test]
fn prompts_know_the_names_and_bounds_of_what_is_asked_for() {
    let folder = small_checkpoint();
    let mut dataset = dataset(folder.path());
    let header = dataset.tokenizer.encode("<|im_start|>assistant\n").unwrap();
    let cases =
        [([0, 1, 0, 0, 0], [0, 21, 21, 84]), ([0, 0, 0, 1, 0], [21, 21, 0, 0]), ([0, 0, 0, 0, 1], [11, 0, 0, 0])];
    for (skill_weights, min_counts) in cases {
        dataset.stages[0].recipe = Recipe { skill_weights, ..Recipe::default() };
        let (mut prompts, mut coordinates, mut more_boxes, mut label_rows) = (0, 0, 0, 0);
        let (mut label_starts, mut label_ends) = (0, 0);
        for index in 0..12 {
            let batch = dataset.batch(index).unwrap();
            let inputs = &batch.inputs;
            let decode = |ids: &[u32]| dataset.tokenizer.decode(ids);
            let is_image_row = |row: u32| {
                let mut ranges = inputs.placeholders.iter().map(|range| range.start..range.start + range.len);
                ranges.any(|range| range.contains(&(row as usize)))
            };
            for target in &batch.middle_tokens {
                assert_eq!(target.weight == 1.0, is_image_row(target.row), "names at image tokens have weight 1");
            }
            for &CoordinateTarget { row, bounds } in &batch.late_bounds {
                assert!(!is_image_row(row) && bounds.iter().all(|&bin| (bin as usize) < COORDINATE_BINS));
            }
            let bounds_at = |targets: &[CoordinateTarget], row: u32| {
                targets.iter().find(|target| target.row == row).map(|target| target.bounds)
            };
            let late = |row| bounds_at(&batch.late_bounds, row);
            let middle = |row| bounds_at(&batch.middle_bounds, row);
            // Before the answer, clicks and directions are supervised at all rows from the end of the user's text on.
            let is_supervised = |row: usize| {
                batch.middle_tokens.iter().any(|target| target.row as usize == row) && late(row as u32).is_some()
            };
            for start in (header.len()..inputs.ids.len()).filter(|&row| inputs.ids[..row].ends_with(&header)) {
                let is_target = inputs.targets.iter().any(|target| target.row as usize == start - 1);
                if is_target && skill_weights[1] == 0 {
                    assert!((start - header.len() - 3..start).all(is_supervised), "batch {index}: {start}");
                    prompts += 1;
                }
            }
            let (mut last_bounds, mut last_weight) = (None, 0.0);
            for target in &inputs.targets {
                let row = target.row as usize;
                let text = decode(&[target.token]);
                // The last supervised row is the one that predicts the first coordinate.
                let [key, bracket] = [1, 0].map(|back| decode(&[inputs.ids[row - back]]));
                if key.ends_with("\":") && bracket.ends_with('[') {
                    let answer = decode(&inputs.ids[row + 1..inputs.ids.len().min(row + 12)]);
                    let pixels = late(target.row).unwrap().map(|bin| (7 * bin).to_string());
                    let pixels = if skill_weights[1] > 0 { &pixels[..] } else { &pixels[..2] };
                    assert!(answer.starts_with(&format!("{}]", pixels.join(", "))), "{answer} {pixels:?}");
                    assert_eq!(late(target.row + 1), None);
                    last_bounds = late(target.row);
                    coordinates += 1;
                }
                // The rows that predict a label have the bounds of its box.
                if let Some(bounds) = middle(target.row) {
                    assert!(Some(bounds) == last_bounds && text.parse::<u32>().is_err(), "batch {index}: {text}");
                    label_rows += 1;
                }
                // A label weighs more than the text around it.
                let starts = decode(&inputs.ids[row - 2..=row]).ends_with("label\": \"");
                let ends = text.starts_with("\"}");
                if starts || ends {
                    let (label, other) =
                        if starts { (target.weight, last_weight) } else { (last_weight, target.weight) };
                    assert_eq!(label, 4.0 * other, "batch {index}: {text}");
                }
                label_starts += usize::from(starts);
                label_ends += usize::from(ends);
                last_weight = target.weight;
                // Another box follows the label.
                if text.starts_with("\"},") {
                    assert!(late(target.row).is_some() && late(target.row - 1).is_none(), "batch {index}");
                    more_boxes += 1;
                }
            }
        }
        let counts = [prompts, coordinates, more_boxes, label_rows];
        assert!(counts.iter().zip(&min_counts).all(|(count, min)| count >= min), "{skill_weights:?}: {counts:?}");
        assert_eq!(label_starts, label_ends, "{skill_weights:?}");
        assert_eq!(label_starts > 0, skill_weights[1] > 0, "{skill_weights:?}: {label_starts}");
    }
}

#[test]
fn patch_labels_are_in_the_coordinate_bins_of_the_answers() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let (mut classes, mut names) = (HashSet::new(), HashSet::new());
    for index in 0..40 {
        let batch = dataset.batch(index).unwrap();
        assert_eq!(batch.patch_labels.len(), batch.inputs.patch_count());
        let shown = batch.middle_tokens.iter().filter(|target| target.weight == 1.0);
        names.extend(shown.map(|target| dataset.tokenizer.decode(&[target.token])));
        for block in batch.patch_labels.chunks_exact(4) {
            assert!(block.iter().any(|label| label.bounds.is_some()), "every token has a position");
            for label in block {
                classes.insert(label.class);
                assert!((label.class as usize) < PATCH_CLASSES && (label.class == 0 || label.bounds.is_some()));
                assert!(label.bounds.iter().flatten().all(|bin| (*bin as usize) < COORDINATE_BINS));
            }
        }
    }
    assert!(classes.len() > 20, "{classes:?}");
    assert!(["7", "K"].iter().all(|character| names.contains(*character)) && names.len() > 30, "{names:?}");
}
