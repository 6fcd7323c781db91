//! What the options leave open, from the variables that `huggingface_hub` reads.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{HubOptions, Rehearsal};
use crate::error::{Error, Result};

/// How long a server may send nothing before the transfer counts as stalled.
const PATIENCE: Duration = Duration::from_secs(30);

/// All that a download is told.
pub(super) struct Settings {
    pub(super) revision: String,
    pub(super) token: Option<String>,
    /// Without a slash at its end.
    pub(super) endpoint: String,
    pub(super) cache: PathBuf,
    pub(super) offline: bool,
    pub(super) patience: Duration,
    /// Whether the proxies that the environment names are used.
    pub(super) proxies: bool,
}

impl Settings {
    pub(super) fn new(options: &HubOptions) -> Result<Self> {
        let rehearsal = options.rehearsal.as_ref();
        let variables = Variables(rehearsal);
        let offline = options.offline.unwrap_or_else(|| variables.offline());
        let token = match &options.token {
            Some(token) => Some(token.clone()),
            // Nobody gets it offline.
            None if offline => None,
            None => variables.token()?,
        };
        Ok(Self {
            revision: revision(options.revision.as_deref().unwrap_or("main"))?,
            token,
            endpoint: endpoint(options.endpoint.clone().or_else(|| variables.text("HF_ENDPOINT")))?,
            cache: options.cache.clone().map_or_else(|| variables.cache(), Ok)?,
            offline,
            patience: rehearsal.map_or(PATIENCE, |rehearsal| rehearsal.patience),
            proxies: rehearsal.is_none(),
        })
    }
}

/// It becomes part of an address and of a path.
fn revision(text: &str) -> Result<String> {
    let fits = |part: &str| {
        let odd = |letter: char| letter.is_control() || matches!(letter, '\\' | ':');
        !part.is_empty() && part != "." && part != ".." && !part.contains(odd)
    };
    if !text.split('/').all(fits) {
        return Err(Error::option("revision", format!("{text:?} is no name of a branch or tag, and no commit")));
    }
    Ok(text.to_owned())
}

fn endpoint(text: Option<String>) -> Result<String> {
    let text = text.unwrap_or_else(|| "https://huggingface.co".to_owned());
    if !text.starts_with("https://") && !text.starts_with("http://") {
        return Err(Error::option("endpoint", format!("{text:?}: it must start with https:// or http://")));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The variables of the process, or those of a test.
struct Variables<'a>(Option<&'a Rehearsal>);

impl Variables<'_> {
    /// The value of a variable; one that is empty counts as absent.
    fn get(&self, name: &str) -> Option<OsString> {
        let value = match self.0 {
            Some(rehearsal) => rehearsal.variables.get(name).cloned(),
            None => env::var_os(name),
        };
        value.filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.into_string().ok()
    }

    /// A path, in which `~` may stand for the home folder.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.get(name)?);
        match path.strip_prefix("~") {
            Ok(rest) => Some(self.get("HOME").or_else(|| self.get("USERPROFILE")).map(PathBuf::from)?.join(rest)),
            Err(_) => Some(path),
        }
    }

    /// The folder of everything that `huggingface_hub` keeps.
    fn home(&self) -> Result<PathBuf> {
        let home = || Some(self.path("XDG_CACHE_HOME")?.join("huggingface"));
        let user = |name| Some(PathBuf::from(self.get(name)?).join(".cache/huggingface"));
        let found = self.path("HF_HOME").or_else(home).or_else(|| user("HOME")).or_else(|| user("USERPROFILE"));
        found.ok_or_else(|| Error::option("cache", "there is no home folder: name the folder of the cache"))
    }

    fn cache(&self) -> Result<PathBuf> {
        let named = self.path("HF_HUB_CACHE").or_else(|| self.path("HUGGINGFACE_HUB_CACHE"));
        named.map_or_else(|| Ok(self.home()?.join("hub")), Ok)
    }

    fn offline(&self) -> bool {
        let said = self.text("HF_HUB_OFFLINE").or_else(|| self.text("TRANSFORMERS_OFFLINE"));
        said.is_some_and(|said| ["1", "true", "yes", "on"].contains(&said.to_lowercase().as_str()))
    }

    fn token(&self) -> Result<Option<String>> {
        let named = self.text("HF_TOKEN").or_else(|| self.text("HUGGING_FACE_HUB_TOKEN"));
        if let Some(token) = named.as_deref().and_then(trimmed) {
            return Ok(Some(token));
        }
        match self.path("HF_TOKEN_PATH").or_else(|| Some(self.home().ok()?.join("token"))) {
            Some(path) => saved(&path),
            None => Ok(None),
        }
    }
}

/// The token in a file, if there is one.
fn saved(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(trimmed(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, error)),
    }
}

fn trimmed(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)], options: HubOptions) -> Settings {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        Settings::new(&options.rehearse(variables, PATIENCE)).unwrap()
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cache = |variables: &[(&str, &str)]| settings(variables, HubOptions::new()).cache;
        let mut variables = vec![("HOME", "/home/me")];
        for (name, value, expected) in [
            ("HOME", "/home/me", "/home/me/.cache/huggingface/hub"),
            ("XDG_CACHE_HOME", "/xdg", "/xdg/huggingface/hub"),
            ("HF_HOME", "~/hf", "/home/me/hf/hub"),
            ("HUGGINGFACE_HUB_CACHE", "/old", "/old"),
            ("HF_HUB_CACHE", "/new", "/new"),
        ] {
            variables.push((name, value));
            assert_eq!(cache(&variables), Path::new(expected));
        }
        assert_eq!(settings(&variables, HubOptions::new().cache("/mine")).cache, Path::new("/mine"));
        assert_eq!(cache(&[("HOME", "/home/me"), ("HF_HOME", "")]), Path::new("/home/me/.cache/huggingface/hub"));
    }

    #[test]
    fn endpoint_and_offline() {
        let plain = settings(&[("HOME", "/home/me")], HubOptions::new());
        assert_eq!(
            (plain.endpoint.as_str(), plain.offline, plain.revision.as_str()),
            ("https://huggingface.co", false, "main")
        );
        let named = settings(
            &[("HOME", "/h"), ("HF_ENDPOINT", "http://mirror/"), ("HF_HUB_OFFLINE", "Yes")],
            HubOptions::new(),
        );
        assert_eq!((named.endpoint.as_str(), named.offline), ("http://mirror", true));
        assert!(settings(&[("HOME", "/h"), ("TRANSFORMERS_OFFLINE", "1")], HubOptions::new()).offline);
        assert!(!settings(&[("HOME", "/h"), ("HF_HUB_OFFLINE", "1")], HubOptions::new().offline(false)).offline);
    }

    #[test]
    fn the_token_is_the_nearest_one() {
        let folder = tempfile::tempdir().unwrap();
        let (home, other) = (folder.path().to_str().unwrap(), folder.path().join("other"));
        fs::write(folder.path().join("token"), "saved\n").unwrap();
        fs::write(&other, " other ").unwrap();
        let token = |variables: &[(&str, &str)]| {
            settings(&[&[("HF_HOME", home)], variables].concat(), HubOptions::new()).token.unwrap_or_default()
        };
        assert_eq!(token(&[]), "saved");
        assert_eq!(token(&[("HF_TOKEN_PATH", other.to_str().unwrap())]), "other");
        assert_eq!(token(&[("HF_TOKEN_PATH", "/nowhere/at/all")]), "");
        assert_eq!(token(&[("HUGGING_FACE_HUB_TOKEN", "old")]), "old");
        assert_eq!(token(&[("HUGGING_FACE_HUB_TOKEN", "old"), ("HF_TOKEN", "new")]), "new");
    }

    #[test]
    fn refused() {
        for options in [
            HubOptions::new().revision("../x"),
            HubOptions::new().revision(""),
            HubOptions::new().revision("/x"),
            HubOptions::new().revision("a\\b"),
            HubOptions::new().endpoint("ftp://host"),
        ] {
            assert!(matches!(Settings::new(&options.cache("/c")), Err(Error::Option { .. })));
        }
    }
}
