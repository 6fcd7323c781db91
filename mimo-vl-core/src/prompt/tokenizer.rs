//! The tokenizer, from `tokenizer.json`: text to token ids and back.

use std::path::PathBuf;
use std::sync::Arc;

use tokenizers::{AddedToken, DecoderWrapper};

use super::detokenizer::{StreamDecoder, TokenBytes};
use super::escape::SpecialTokenEscaper;
use super::special_tokens::{Piece, SpecialTokens};
use crate::config::CheckpointFiles;
use crate::error::{Error, Result};

const FILE: &str = "tokenizer.json";

/// Largest supported token id: far above every published vocabulary, and small enough for a table of all ids.
const MAX_ID: u32 = 1 << 22;

/// Tokens that a message must never produce, even if a checkpoint lists one of them as an ordinary added token.
const RESERVED: [&str; 8] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
];

/// A checkpoint's tokenizer: byte-level BPE. Clones share the vocabulary.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Encodes special tokens as ordinary text; `special_tokens` finds the intended ones.
    encoder: tokenizers::Tokenizer,
    special_tokens: SpecialTokens,
    bytes: Arc<TokenBytes>,
}

impl Tokenizer {
    /// Loads `tokenizer.json` of a checkpoint directory.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the file is missing, is not a tokenizer, or is not byte-level BPE; [`Error::Io`]
    /// when it cannot be read.
    pub fn load(files: impl Into<CheckpointFiles>) -> Result<Self> {
        let files = files.into();
        let path = files.directory().join(FILE);
        let Some(text) = files.read(FILE)? else {
            return Err(Error::checkpoint(path, "tokenizer.json is missing: copy it from the published checkpoint"));
        };
        let encoder = tokenizers::Tokenizer::from_bytes(text)
            .map_err(|error| Error::checkpoint(&path, format!("not a tokenizer: {error}")))?;
        Self::new(encoder, path)
    }

    fn new(mut encoder: tokenizers::Tokenizer, path: PathBuf) -> Result<Self> {
        let unsupported = |reason: String| Err(Error::checkpoint(&path, reason));
        if !matches!(encoder.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
            return unsupported("its decoder is not ByteLevel: only byte-level BPE is supported".into());
        }
        let added = encoder.get_added_tokens_decoder().into_iter().map(|(id, _)| id);
        if let Some(id) = encoder.get_vocab(false).into_values().chain(added).find(|&id| id > MAX_ID) {
            return unsupported(format!("one of its tokens has id {id}: ids up to {MAX_ID} are supported"));
        }
        encoder.with_padding(None);
        if let Err(error) = encoder.with_truncation(None) {
            return unsupported(format!("its truncation cannot be switched off: {error}"));
        }
        let mut special = Vec::new();
        for (id, mut token) in encoder.get_added_tokens_decoder() {
            token.special |= RESERVED.contains(&token.content.as_str());
            if !token.special {
                continue;
            }
            if token.lstrip || token.rstrip || token.single_word || token.content.chars().nth(1).is_none() {
                let text = token.content;
                return unsupported(format!(
                    "special token {text:?} strips whitespace, matches only between words, or is a single character: \
                     this is not supported"
                ));
            }
            special.push((id, token));
        }
        let tokens: Vec<AddedToken> = special.iter().map(|(_, token)| token.clone()).collect();
        encoder.add_special_tokens(&tokens);
        encoder.set_encode_special_tokens(true);
        let special_tokens = SpecialTokens::new(special.into_iter().map(|(id, token)| (token.content, id)));
        let bytes = Arc::new(TokenBytes::new(&encoder));
        Ok(Self { inner: Arc::new(Inner { encoder, special_tokens, bytes }) })
    }

    /// Encodes a rendered prompt. The text of a special token becomes that token.
    ///
    /// Not for text from users: [`ChatTemplate::encode`](crate::expert::ChatTemplate::encode) escapes it.
    ///
    /// # Errors
    /// [`Error::Prompt`] when the tokenizer cannot encode the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_pieces(text, None)
    }

    /// Encodes `text` as ordinary text: special tokens in it are not recognised.
    ///
    /// # Errors
    /// [`Error::Prompt`] when the tokenizer cannot encode the text.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encoder.encode_fast(text, false);
        let encoding = encoding.map_err(|error| Error::prompt(format!("its text cannot be tokenized: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Encodes a rendered prompt whose messages were escaped by `escaper`.
    pub(super) fn encode_escaped(&self, rendered: &str, escaper: SpecialTokenEscaper) -> Result<Vec<u32>> {
        self.encode_pieces(rendered, Some(escaper))
    }

    fn encode_pieces(&self, text: &str, escaper: Option<SpecialTokenEscaper>) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for piece in self.inner.special_tokens.split(text) {
            match (piece, escaper) {
                (Piece::Special(id), _) => ids.push(id),
                (Piece::Text(text), None) => ids.extend(self.encode_text(text)?),
                (Piece::Text(text), Some(escaper)) => ids.extend(self.encode_text(&escaper.unescape(text))?),
            }
        }
        Ok(ids)
    }

    /// The special tokens.
    pub(super) fn special_tokens(&self) -> &SpecialTokens {
        &self.inner.special_tokens
    }

    /// Decodes `ids`. Skips unknown ids and special tokens except `<think>` and `</think>`. Invalid UTF-8 becomes
    /// U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.inner.bytes.get(id)).copied().collect();
        lossy_text(bytes)
    }

    /// Decodes `ids` including special tokens; otherwise as [`decode`](Self::decode).
    pub fn decode_with_special_tokens(&self, ids: &[u32]) -> String {
        let Inner { special_tokens, bytes, .. } = &*self.inner;
        let bytes = ids.iter().flat_map(|&id| special_tokens.text(id).map_or_else(|| bytes.get(id), str::as_bytes));
        lossy_text(bytes.copied().collect())
    }

    /// The bytes of a token's text; empty for special tokens except `<think>` and `</think>`.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.inner.bytes.get(id)
    }

    /// Creates a decoder for a stream of tokens.
    pub fn stream_decoder(&self) -> StreamDecoder {
        StreamDecoder::new(Arc::clone(&self.inner.bytes))
    }

    /// The id of `token`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.encoder.token_to_id(token)
    }

    /// Number of tokens, added ones included. A model's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.inner.encoder.get_vocab_size(true)
    }
}

/// Bytes as text; invalid UTF-8 becomes U+FFFD.
fn lossy_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    /// A tokenizer with `h`, the two bytes of `é`, one special token, and `<think>` as an ordinary added token.
    fn tokenizer() -> Tokenizer {
        let added = |id: u32, content: &str, special: bool| {
            json!({"id": id, "content": content, "special": special, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false})
        };
        let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        let json = json!({
            "version": "1.0",
            "added_tokens": [added(3, "<|im_end|>", true), added(4, "<think>", false)],
            "pre_tokenizer": level,
            "decoder": level,
            "model": {"type": "BPE", "vocab": {"h": 0, "Ã": 1, "©": 2}, "merges": []},
        });
        Tokenizer::new(tokenizers::Tokenizer::from_bytes(json.to_string()).unwrap(), PathBuf::new()).unwrap()
    }

    #[test]
    fn special_tokens_are_decoded_only_on_request() {
        let tokenizer = tokenizer();
        let ids = [4, 0, 1, 2, 99, 3];
        assert_eq!(tokenizer.decode_with_special_tokens(&ids), "<think>hé<|im_end|>");
        assert_eq!(tokenizer.decode(&ids), "<think>hé");
        assert_eq!(tokenizer.decode_with_special_tokens(&[1, 3]), "\u{FFFD}<|im_end|>");
        assert_eq!(tokenizer.encode("<think>hé<|im_end|>").unwrap(), [4, 0, 1, 2, 3]);
    }
}
