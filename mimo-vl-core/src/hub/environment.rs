//! Settings of a download: the options, and the environment variables of `huggingface_hub` for those that are not set.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::{HubOptions, TestEnvironment};
use crate::error::{Error, Result};

/// Time without data after which a transfer counts as stalled.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings of one download.
pub(super) struct Settings {
    pub(super) revision: String,
    pub(super) token: Option<String>,
    /// URL without a trailing slash.
    pub(super) endpoint: String,
    pub(super) cache: PathBuf,
    pub(super) offline: bool,
    pub(super) stall_timeout: Duration,
    /// Use the proxies of the environment variables.
    pub(super) use_proxies: bool,
}

impl Settings {
    pub(super) fn new(options: &HubOptions) -> Result<Self> {
        let test = options.test_environment.as_ref();
        let variables = Variables(test);
        let offline = options.offline.unwrap_or_else(|| variables.offline());
        let token = match &options.token {
            Some(token) => Some(token.clone()),
            // Offline nothing needs it.
            None if offline => None,
            None => variables.token()?,
        };
        Ok(Self {
            revision: revision(options.revision.as_deref().unwrap_or("main"))?,
            token,
            endpoint: endpoint(options.endpoint.clone().or_else(|| variables.text("HF_ENDPOINT")))?,
            cache: options.cache.clone().map_or_else(|| variables.cache(), Ok)?,
            offline,
            stall_timeout: test.map_or(STALL_TIMEOUT, |test| test.stall_timeout),
            use_proxies: test.is_none(),
        })
    }
}

/// Checks a revision, which becomes part of a URL and of a path.
fn revision(text: &str) -> Result<String> {
    let is_valid = |part: &str| {
        let forbidden = |letter: char| letter.is_control() || matches!(letter, '\\' | ':');
        !part.is_empty() && part != "." && part != ".." && !part.contains(forbidden)
    };
    if !text.split('/').all(is_valid) {
        return Err(Error::option("revision", format!("{text:?} is not the name of a branch, a tag or a commit")));
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

/// Environment variables of the process or of a test.
struct Variables<'a>(Option<&'a TestEnvironment>);

impl Variables<'_> {
    /// The value of a variable; `None` if it is empty or not set.
    fn get(&self, name: &str) -> Option<OsString> {
        let value = match self.0 {
            Some(test) => test.variables.get(name).cloned(),
            None => env::var_os(name),
        };
        value.filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.into_string().ok()
    }

    /// The value of a variable that is a path; a leading `~` is the home folder.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.get(name)?);
        match path.strip_prefix("~") {
            Ok(rest) => Some(self.get("HOME").or_else(|| self.get("USERPROFILE")).map(PathBuf::from)?.join(rest)),
            Err(_) => Some(path),
        }
    }

    /// The root folder of `huggingface_hub`.
    fn home(&self) -> Result<PathBuf> {
        let home = || Some(self.path("XDG_CACHE_HOME")?.join("huggingface"));
        let user = |name| Some(PathBuf::from(self.get(name)?).join(".cache/huggingface"));
        let found = self.path("HF_HOME").or_else(home).or_else(|| user("HOME")).or_else(|| user("USERPROFILE"));
        found.ok_or_else(|| Error::option("cache", "there is no home folder: set the cache folder"))
    }

    fn cache(&self) -> Result<PathBuf> {
        let named = self.path("HF_HUB_CACHE").or_else(|| self.path("HUGGINGFACE_HUB_CACHE"));
        named.map_or_else(|| Ok(self.home()?.join("hub")), Ok)
    }

    fn offline(&self) -> bool {
        let value = self.text("HF_HUB_OFFLINE").or_else(|| self.text("TRANSFORMERS_OFFLINE"));
        value.is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str()))
    }

    fn token(&self) -> Result<Option<String>> {
        let named = self.text("HF_TOKEN").or_else(|| self.text("HUGGING_FACE_HUB_TOKEN"));
        if let Some(token) = named.as_deref().and_then(non_empty) {
            return Ok(Some(token));
        }
        match self.path("HF_TOKEN_PATH").or_else(|| Some(self.home().ok()?.join("token"))) {
            Some(path) => read_token(&path),
            None => Ok(None),
        }
    }
}

/// Reads a token file; `None` if it is empty or does not exist.
fn read_token(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(non_empty(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, error)),
    }
}

fn non_empty(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)], options: HubOptions) -> Settings {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        Settings::new(&options.with_test_environment(variables, STALL_TIMEOUT)).unwrap()
    }

    #[test]
    fn the_cache_folder_is_that_of_huggingface_hub() {
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
    fn variables_set_the_endpoint_and_offline_mode() {
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
    fn the_token_of_a_variable_goes_before_the_saved_one() {
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
    fn invalid_revisions_and_endpoints_are_refused() {
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
