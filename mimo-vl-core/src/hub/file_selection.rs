//! Which files of a repository a checkpoint needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::http::MOST_JSON;
use crate::error::{Error, Result};

/// The list of the files that hold the weights.
const INDEX: &str = "model.safetensors.index.json";

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";

/// The files beside the weights. Those that a checkpoint cannot do without come last, because a folder counts as whole when
/// they are there.
const TEXTS: [&str; 7] = [
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "chat_template.json",
    "chat_template.jinja",
    TOKENIZER,
    CONFIG,
];

/// The files to have, in the order in which they get their names.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) files: Vec<String>,
    /// The list of the files with the weights, when they are still to be [taken](Self::take) from it.
    pub(super) index: Option<String>,
}

impl Wanted {
    /// Choose among the names of a repository's files.
    pub(super) fn new(id: &str, names: &[String]) -> Result<Self> {
        // Names with a slash are in folders, where no checkpoint has anything.
        let ends =
            |end: &'static str| names.iter().filter(move |name| name.ends_with(end) && !name.contains('/')).cloned();
        let has = |file: &str| names.iter().any(|name| name == file);
        let mut files: Vec<String> = TEXTS.iter().filter(|file| has(file)).map(|&file| file.to_owned()).collect();
        let tensors: BTreeSet<String> = ends(".safetensors").collect();
        let index = has(INDEX).then(|| INDEX.to_owned());
        if index.is_none() && tensors.is_empty() {
            files.extend(gguf(id, ends(".gguf").collect())?);
        } else if let Some(lacks) = [CONFIG, TOKENIZER].into_iter().find(|file| !has(file)) {
            return Err(Error::hub(id, format!("it has no {lacks}, without which it is no checkpoint")));
        } else if let Some(index) = &index {
            files.push(index.clone());
        } else {
            files.extend(tensors);
        }
        match files.iter().find(|file| !is_plain(file)) {
            Some(odd) => Err(Error::hub(id, format!("it has a file with a name that is not allowed: {odd:?}"))),
            None => Ok(Self { files, index }),
        }
    }

    /// Add the files that the index names.
    pub(super) fn take(&mut self, id: &str, names: &[String], shards: BTreeSet<String>) -> Result<()> {
        if let Some(lacks) = shards.iter().find(|shard| !names.contains(shard)) {
            return Err(Error::hub(id, format!("it has no {lacks}, which its {INDEX} names")));
        }
        self.files.extend(shards);
        Ok(())
    }
}

/// A name that is no path and can be a file on every system.
fn is_plain(name: &str) -> bool {
    let odd = |letter: char| letter.is_control() || matches!(letter, '/' | '\\' | ':');
    !name.is_empty() && name.len() <= 255 && name != "." && name != ".." && !name.contains(odd)
}

fn is_vision(name: &str) -> bool {
    name.contains("mmproj")
}

/// The one GGUF file of the language model, after those of vision towers.
fn gguf(id: &str, names: BTreeSet<String>) -> Result<Vec<String>> {
    let (vision, language): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| is_vision(name));
    match &language[..] {
        [_] => Ok([vision, language].concat()),
        [] => Err(Error::hub(id, "it has neither safetensors files nor GGUF files of a language model")),
        several => {
            let list = several.join(", ");
            Err(Error::hub(
                id,
                format!("it has several GGUF files; download one of them, and load it by its path: {list}"),
            ))
        }
    }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that an index names.
pub(super) fn shards(path: &Path) -> Result<BTreeSet<String>> {
    let size = fs::metadata(path).map_err(|error| Error::io(path, error))?.len();
    if size > MOST_JSON {
        return Err(Error::checkpoint(path, format!("{size} bytes are too many for an index")));
    }
    let text = fs::read(path).map_err(|error| Error::io(path, error))?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| Error::checkpoint(path, error.to_string()))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    match shards.iter().find(|shard| !is_plain(shard) || !shard.ends_with(".safetensors")) {
        Some(odd) => Err(Error::checkpoint(path, format!("it names a file that is not allowed: {odd:?}"))),
        None if shards.is_empty() => Err(Error::checkpoint(path, "it names no files")),
        None => Ok(shards),
    }
}

/// What a folder lacks of a whole checkpoint; `None` when it is one.
pub(super) fn lacks(folder: &Path) -> Option<String> {
    // A link to a file that is gone counts as nothing.
    let has = |file: &str| folder.join(file).is_file();
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<String> =
        names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| has(name)).collect();
    let tensors: Vec<&String> = names.iter().filter(|name| name.ends_with(".safetensors")).collect();
    let weights = if has(INDEX) {
        match shards(&folder.join(INDEX)) {
            Ok(shards) => shards.into_iter().find(|shard| !has(shard)),
            Err(_) => Some(format!("a readable {INDEX}")),
        }
    } else if tensors.is_empty() {
        let whole = names.iter().any(|name| name.ends_with(".gguf") && !is_vision(name));
        return (!whole).then(|| "files with weights".to_owned());
    } else {
        tensors.iter().any(|name| is_one_of_more(name, &tensors)).then(|| "some files with weights".to_owned())
    };
    weights.or_else(|| [CONFIG, TOKENIZER].into_iter().find(|file| !has(file)).map(str::to_owned))
}

/// Whether a name like `model-00001-of-00004.safetensors` is without its fellows.
fn is_one_of_more(name: &str, names: &[&String]) -> bool {
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

    fn wanted(names: &[&str]) -> Result<Vec<String>> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Wanted::new("o/n", &names).map(|wanted| wanted.files)
    }

    #[test]
    fn what_is_taken() {
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
        assert_eq!(wanted(&names).unwrap(), ["tokenizer.json", "config.json", "a.safetensors", "b.safetensors"]);
        assert_eq!(
            wanted(&["q.gguf", "mmproj-x.gguf", "config.json"]).unwrap(),
            ["config.json", "mmproj-x.gguf", "q.gguf"]
        );
    }

    #[test]
    fn what_is_refused() {
        for (names, part) in [
            (&["q4.gguf", "q8.gguf", "mmproj.gguf"][..], "q4.gguf, q8.gguf"),
            (&["README.md"], "neither"),
            (&["config.json", "model.safetensors"], "tokenizer.json"),
            (&["config.json", "tokenizer.json", "..\\x.safetensors"], "not allowed"),
            (&["config.json", "tokenizer.json", "x\n.safetensors"], "not allowed"),
            (&["c:x.gguf"], "not allowed"),
        ] {
            let error = wanted(names).unwrap_err();
            assert!(matches!(error, Error::Hub { .. }) && error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn what_a_folder_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| fs::write(folder.path().join(name), "{}").unwrap();
        assert!(lacks(folder.path()).unwrap().contains("weights"));
        put("model-00001-of-00002.safetensors");
        assert!(lacks(folder.path()).unwrap().contains("weights"));
        put("model-00002-of-00002.safetensors");
        assert_eq!(lacks(folder.path()).as_deref(), Some("config.json"));
        put("config.json");
        put("tokenizer.json");
        assert_eq!(lacks(folder.path()), None);
        put(INDEX);
        assert!(lacks(folder.path()).unwrap().contains(INDEX));
        fs::write(folder.path().join(INDEX), r#"{"weight_map": {"a": "s.safetensors"}}"#).unwrap();
        assert_eq!(lacks(folder.path()).as_deref(), Some("s.safetensors"));
        fs::write(folder.path().join(INDEX), r#"{"weight_map": {"a": "../s.safetensors"}}"#).unwrap();
        assert!(matches!(shards(&folder.path().join(INDEX)), Err(Error::Checkpoint { .. })));
    }
}
