//! Texts that name an image, a video or a document where a question is expected.

use std::path::Path;

/// Endings of the names of media files.
const SUFFIXES: &[&str] = &[
    "png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "heic", "avif", "mp4", "m4v", "mov", "mkv", "webm",
    "avi", "mpg", "mpeg", "ts", "pdf", "flv", "wmv",
];

/// Returns why a text is taken for the name of a file or a URL: it names an existing file, or it is one word and a URL
/// or ends like the name of a media file. The model would see only the name.
pub fn media_name(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let is_word = !text.is_empty() && !text.contains(char::is_whitespace);
    let start = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    if is_word && ["http://", "https://", "file://", "data:"].iter().any(|scheme| start.starts_with(scheme)) {
        return Some("is a URL");
    }
    // Longer texts are no names; asking the system about them would fail.
    if text.len() < 4096 && !text.is_empty() && Path::new(text).is_file() {
        return Some("is the name of a file");
    }
    let suffix = Path::new(text).extension().and_then(|suffix| suffix.to_str()).map(str::to_ascii_lowercase);
    let is_media = suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix.as_str()));
    (is_word && is_media).then_some("looks like the name of a file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_questions() {
        for name in [
            "photo.jpg",
            "C:\\x\\Photo.JPG",
            "/nowhere/clip.mp4",
            " invoice.pdf ",
            "https://a.example/x?y=1",
            "HTTP://a",
            "data:image/png;base64,AA",
            "src/lib.rs",
        ] {
            assert!(media_name(name).is_some(), "{name}");
        }
        for text in [
            "",
            "What is this?",
            "Describe photo.jpg",
            "Read https://a.example aloud.",
            "3.5",
            "e.g.",
            "main.rs",
            "Is it a.png?",
            "src",
            "\0",
        ] {
            assert_eq!(media_name(text), None, "{text}");
        }
    }
}
