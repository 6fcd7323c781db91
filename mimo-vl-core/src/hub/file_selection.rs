//! Selects the files of a repository that a checkpoint needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};

/// Bytes of an index file.
const MAX_INDEX_BYTES: u64 = 32 << 20;

/// Index of the weights: the file of each tensor.
const INDEX: &str = "model.safetensors.index.json";

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";

/// Files without weights, by the order of their links. The required ones come last, because a folder counts as complete
/// once they are there.
const CONFIG_FILES: [&str; 7] = [
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "chat_template.json",
    "chat_template.jinja",
    TOKENIZER,
    CONFIG,
];

/// Files to download, in the order in which they are linked.
#[derive(Debug)]
pub(super) struct FileSelection {
    pub(super) files: Vec<String>,
    /// Index of the weights, whose shards must be [added](Self::add_shards).
    pub(super) index: Option<String>,
}

impl FileSelection {
    /// Selects from the file names of repository `id`.
    pub(super) fn new(id: &str, names: &[String]) -> Result<Self> {
        // A checkpoint has no files in subfolders.
        let with_extension = |extension: &'static str| {
            names.iter().filter(move |name| name.ends_with(extension) && !name.contains('/')).cloned()
        };
        let has = |file: &str| names.iter().any(|name| name == file);
        let mut files: Vec<String> =
            CONFIG_FILES.iter().filter(|file| has(file)).map(|&file| file.to_owned()).collect();
        let safetensors: BTreeSet<String> = with_extension(".safetensors").collect();
        let index = has(INDEX).then(|| INDEX.to_owned());
        if index.is_none() && safetensors.is_empty() {
            files.extend(select_gguf(id, with_extension(".gguf").collect())?);
        } else if let Some(missing) = [CONFIG, TOKENIZER].into_iter().find(|file| !has(file)) {
            return Err(Error::hub(id, format!("the repository has no {missing}, which a checkpoint needs")));
        } else if let Some(index) = &index {
            files.push(index.clone());
        } else {
            files.extend(safetensors);
        }
        match files.iter().find(|file| !is_file_name(file)) {
            Some(file) => Err(Error::hub(id, format!("the repository has a file name that is not allowed: {file:?}"))),
            None => Ok(Self { files, index }),
        }
    }

    /// Adds the files that the index names.
    pub(super) fn add_shards(&mut self, id: &str, names: &[String], shards: BTreeSet<String>) -> Result<()> {
        if let Some(missing) = shards.iter().find(|shard| !names.contains(shard)) {
            return Err(Error::hub(id, format!("the repository has no {missing}, which its {INDEX} names")));
        }
        self.files.extend(shards);
        Ok(())
    }
}

/// Returns true for a name that is no path and is valid on every system.
fn is_file_name(name: &str) -> bool {
    let forbidden = |letter: char| letter.is_control() || matches!(letter, '/' | '\\' | ':');
    !name.is_empty() && name.len() <= 255 && name != "." && name != ".." && !name.contains(forbidden)
}

fn is_vision_tower(name: &str) -> bool {
    name.contains("mmproj")
}

/// Returns the GGUF files of vision towers, then the one of the language model.
fn select_gguf(id: &str, names: BTreeSet<String>) -> Result<Vec<String>> {
    let (vision, language): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| is_vision_tower(name));
    match &language[..] {
        [_] => Ok([vision, language].concat()),
        [] => {
            let reason = "the repository has neither safetensors files nor GGUF files of a language model";
            Err(Error::hub(id, reason))
        }
        several => {
            let list = several.join(", ");
            let reason = "the repository has several GGUF files; download one of them, and load it by its path";
            Err(Error::hub(id, format!("{reason}: {list}")))
        }
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reads an index, and returns the file names in it.
pub(super) fn read_index(path: &Path) -> Result<BTreeSet<String>> {
    let size = fs::metadata(path).map_err(|error| Error::io(path, error))?.len();
    if size > MAX_INDEX_BYTES {
        return Err(Error::checkpoint(path, format!("{size} bytes are too many for an index")));
    }
    let text = fs::read(path).map_err(|error| Error::io(path, error))?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| Error::checkpoint(path, error.to_string()))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    match shards.iter().find(|shard| !is_file_name(shard) || !shard.ends_with(".safetensors")) {
        Some(file) => Err(Error::checkpoint(path, format!("it names a file that is not allowed: {file:?}"))),
        None if shards.is_empty() => Err(Error::checkpoint(path, "it names no files")),
        None => Ok(shards),
    }
}

/// The files that a folder needs to be a complete checkpoint; `None` when it is one.
pub(super) fn missing_from(folder: &Path) -> Option<String> {
    // A dangling link counts as missing.
    let has = |file: &str| folder.join(file).is_file();
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<String> =
        names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| has(name)).collect();
    let safetensors: Vec<&String> = names.iter().filter(|name| name.ends_with(".safetensors")).collect();
    let weights = if has(INDEX) {
        match read_index(&folder.join(INDEX)) {
            Ok(shards) => shards.into_iter().find(|shard| !has(shard)),
            Err(_) => Some(format!("a readable {INDEX}")),
        }
    } else if safetensors.is_empty() {
        let has_gguf = names.iter().any(|name| name.ends_with(".gguf") && !is_vision_tower(name));
        return (!has_gguf).then(|| "the files with weights".to_owned());
    } else {
        safetensors.iter().any(|name| lacks_siblings(name, &safetensors)).then(|| "some files with weights".to_owned())
    };
    weights.or_else(|| [CONFIG, TOKENIZER].into_iter().find(|file| !has(file)).map(str::to_owned))
}

/// Returns true for a shard, such as `model-00001-of-00004.safetensors`, of a set that is not complete.
fn lacks_siblings(name: &str, names: &[&String]) -> bool {
    let stem = name.trim_end_matches(".safetensors");
    let count = stem.rsplit_once("-of-").and_then(|(_, count)| Some((count, count.parse::<usize>().ok()?)));
    count.is_some_and(|(text, count)| {
        let end = format!("-of-{text}.safetensors");
        names.iter().filter(|name| name.ends_with(&end)).count() < count
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(names: &[&str]) -> Result<Vec<String>> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        FileSelection::new("o/n", &names).map(|selection| selection.files)
    }

    #[test]
    fn files_of_the_top_folder_are_selected() {
        let names = [
            "config.json",
            "tokenizer.json",
            "vocab.json",
            "README.md",
            "b.safetensors",
            "a.safetensors",
            "onnx/c.safetensors",
            "../d.safetensors",
            "/e.safetensors",
            "x.gguf",
        ];
        assert_eq!(select(&names).unwrap(), ["tokenizer.json", "config.json", "a.safetensors", "b.safetensors"]);
        assert_eq!(
            select(&["q.gguf", "mmproj-x.gguf", "config.json"]).unwrap(),
            ["config.json", "mmproj-x.gguf", "q.gguf"]
        );
    }

    #[test]
    fn repositories_without_one_usable_checkpoint_are_refused() {
        for (names, part) in [
            (&["q4.gguf", "q8.gguf", "mmproj.gguf"][..], "q4.gguf, q8.gguf"),
            (&["README.md"], "neither"),
            (&["config.json", "model.safetensors"], "tokenizer.json"),
            (&["config.json", "tokenizer.json", "..\\x.safetensors"], "not allowed"),
            (&["config.json", "tokenizer.json", "x\n.safetensors"], "not allowed"),
            (&["c:x.gguf"], "not allowed"),
        ] {
            let error = select(names).unwrap_err();
            assert!(matches!(error, Error::Hub { .. }) && error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn the_missing_files_of_a_folder_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| fs::write(folder.path().join(name), "{}").unwrap();
        assert!(missing_from(folder.path()).unwrap().contains("weights"));
        put("model-00001-of-00002.safetensors");
        assert!(missing_from(folder.path()).unwrap().contains("weights"));
        put("model-00002-of-00002.safetensors");
        assert_eq!(missing_from(folder.path()).as_deref(), Some("config.json"));
        put("config.json");
        put("tokenizer.json");
        assert_eq!(missing_from(folder.path()), None);
        put(INDEX);
        assert!(missing_from(folder.path()).unwrap().contains(INDEX));
        fs::write(folder.path().join(INDEX), r#"{"weight_map": {"a": "s.safetensors"}}"#).unwrap();
        assert_eq!(missing_from(folder.path()).as_deref(), Some("s.safetensors"));
        fs::write(folder.path().join(INDEX), r#"{"weight_map": {"a": "../s.safetensors"}}"#).unwrap();
        assert!(matches!(read_index(&folder.path().join(INDEX)), Err(Error::Checkpoint { .. })));
    }
}
