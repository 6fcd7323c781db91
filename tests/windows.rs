//! The windows of the vision tower, compared with the reference and with their definition.

use std::path::Path;

use mimo_vl_core::expert::{Grid, window_order};
use serde_json::Value;

/// Side of a window, in tokens: 112 pixels of 28 per token.
const SIDE: usize = 4;

fn numbers(json: &Value) -> Vec<usize> {
    serde_json::from_value(json.clone()).unwrap()
}

fn grid([t, h, w]: [usize; 3]) -> Grid {
    Grid { t, h, w }
}

#[test]
fn windows_equal_those_of_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/rope_and_windows.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let vectors = vectors["window"].as_object().unwrap();
    for (name, vector) in vectors {
        let grids = match name.as_str() {
            "two" => vec![grid([1, 10, 6]), grid([1, 4, 12])],
            one => vec![grid(serde_json::from_str(one).unwrap())],
        };
        let order = window_order(&grids, SIDE);
        assert_eq!(order.index, numbers(&vector["window_index"]), "{name}");
        assert_eq!(order.cumulative_patches, numbers(&vector["cu_window_seqlens"]), "{name}");
        if let Some(raw) = vector.get("cu_raw") {
            // The reference's raw list repeats an entry for every empty window.
            let mut raw = numbers(raw);
            raw.dedup();
            assert_eq!(order.cumulative_patches, raw, "{name}");
        }
    }
    assert_eq!(vectors.len(), 7);
}

/// A window has the tokens with the same media item, time, row / 4 and column / 4. Windows are in that order, and their
/// tokens in image order.
#[test]
fn windows_follow_their_definition() {
    for h in (2..=26).step_by(2) {
        for w in (2..=26).step_by(2) {
            let grids = [grid([1, w, h]), grid([3, h, w])];
            let windows = grids.iter().enumerate().flat_map(|(media, grid)| {
                let (rows, columns) = (grid.h / 2, grid.w / 2);
                (0..grid.t * rows * columns).map(move |token| {
                    let (row, column) = (token / columns % rows, token % columns);
                    [media, token / (rows * columns), row / SIDE, column / SIDE]
                })
            });
            let windows: Vec<[usize; 4]> = windows.collect();
            let mut index: Vec<usize> = (0..windows.len()).collect();
            index.sort_by_key(|&token| windows[token]);
            let order = window_order(&grids, SIDE);
            assert_eq!(order.index, index, "{grids:?}");
            let mut cumulative = vec![0];
            for window in index.chunk_by(|&a, &b| windows[a] == windows[b]) {
                cumulative.push(cumulative.last().unwrap() + 4 * window.len());
            }
            assert_eq!(order.cumulative_patches, cumulative, "{grids:?}");
        }
    }
}
