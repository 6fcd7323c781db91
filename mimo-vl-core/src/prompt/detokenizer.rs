//! Token ids to text, all at once or one by one.

use std::sync::Arc;

use tokenizers::Tokenizer;

/// The tags around thinking. They decode to text even if a checkpoint lists them as special, because the answer parser
/// needs them.
const THINKING_TAGS: [&str; 2] = ["<think>", "</think>"];

/// The bytes of every token of the vocabulary.
#[derive(Debug)]
pub(super) struct TokenBytes {
    bytes: Vec<u8>,
    /// End of each token's bytes in `bytes`; those of token 0 start at 0.
    ends: Vec<usize>,
}

impl TokenBytes {
    /// Builds the table. Special tokens other than [`THINKING_TAGS`] and ids without a token have no bytes.
    pub(super) fn new(tokenizer: &Tokenizer) -> Self {
        let alphabet = byte_of_char();
        let mut table: Vec<Vec<u8>> = Vec::new();
        let mut set = |id: u32, bytes: Vec<u8>| {
            let index = id as usize;
            if table.len() <= index {
                table.resize(index + 1, Vec::new());
            }
            if let Some(slot) = table.get_mut(index) {
                *slot = bytes;
            }
        };
        for (token, id) in tokenizer.get_vocab(false) {
            set(id, token_bytes(&token, &alphabet));
        }
        for (id, token) in tokenizer.get_added_tokens_decoder() {
            let skipped = token.special && !THINKING_TAGS.contains(&token.content.as_str());
            set(id, if skipped { Vec::new() } else { token_bytes(&token.content, &alphabet) });
        }
        let mut flat = Self { bytes: Vec::new(), ends: Vec::with_capacity(table.len()) };
        for bytes in table {
            flat.bytes.extend(bytes);
            flat.ends.push(flat.bytes.len());
        }
        flat
    }

    /// The bytes of token `id`; empty for an unknown id.
    pub(super) fn get(&self, id: u32) -> &[u8] {
        let index = id as usize;
        let Some(&end) = self.ends.get(index) else { return &[] };
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// Inverse of the byte-level alphabet of GPT-2's BPE, indexed by code point. That alphabet writes the 188 printable
/// bytes of Latin-1 as themselves, and the others, in order, as the characters from U+0100 to U+0143.
fn byte_of_char() -> Vec<Option<u8>> {
    let mut bytes = vec![None; 0x144];
    let mut next = 0x100;
    for byte in 0..=u8::MAX {
        let printable = matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
        let code = if printable { usize::from(byte) } else { next };
        next += usize::from(!printable);
        if let Some(slot) = bytes.get_mut(code) {
            *slot = Some(byte);
        }
    }
    bytes
}

/// The bytes of a token. A token with a character outside the byte-level alphabet was added as text and is UTF-8.
fn token_bytes(token: &str, alphabet: &[Option<u8>]) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = token.chars().map(|c| alphabet.get(c as usize).copied().flatten()).collect();
    bytes.unwrap_or_else(|| token.as_bytes().to_vec())
}

/// Incremental detokenizer: decodes an answer token by token into complete characters.
///
/// The bytes of a character may be spread over several tokens; they are buffered until the character is complete.
/// Invalid bytes become U+FFFD, exactly as when all tokens are decoded at once.
#[derive(Debug, Clone)]
pub struct StreamDecoder {
    table: Arc<TokenBytes>,
    /// Incomplete character: at most three bytes between calls.
    pending: Vec<u8>,
}

impl StreamDecoder {
    pub(super) fn new(table: Arc<TokenBytes>) -> Self {
        Self { table, pending: Vec::new() }
    }

    /// Appends token `id` and returns the text that it completes. Empty for incomplete characters, unknown ids, and
    /// special tokens except `<think>` and `</think>`.
    pub fn push(&mut self, id: u32) -> String {
        self.pending.extend_from_slice(self.table.get(id));
        let mut text = String::new();
        let mut rest = self.pending.as_slice();
        let incomplete = loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    break 0;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(invalid) = error.error_len() else { break after.len() };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = after.get(invalid..).unwrap_or_default();
                }
            }
        };
        self.pending.drain(..self.pending.len() - incomplete);
        text
    }

    /// Returns `true` if the first bytes of a character are buffered.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Ends the stream and resets the decoder. Returns U+FFFD for an incomplete character, else an empty text.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(tokens: &[&[u8]]) -> StreamDecoder {
        let bytes = tokens.concat();
        let ends = tokens.iter().scan(0, |end, token| {
            *end += token.len();
            Some(*end)
        });
        StreamDecoder::new(Arc::new(TokenBytes { ends: ends.collect(), bytes }))
    }

    #[test]
    fn incomplete_characters_are_buffered() {
        let mut decoder = decoder(&["票".as_bytes().split_at(1).0, "票".as_bytes().split_at(1).1, b"ok"]);
        assert_eq!([decoder.push(0), decoder.push(1), decoder.push(2)], ["", "票", "ok"]);
        assert_eq!([decoder.push(0), decoder.push(2)], ["", "\u{FFFD}ok"]);
        assert_eq!([decoder.push(0), decoder.finish(), decoder.finish()], ["", "\u{FFFD}", ""]);
        assert_eq!(decoder.push(99), "");
    }

    #[test]
    fn streamed_pieces_equal_the_text_decoded_at_once_for_any_bytes() {
        // A token per byte; a linear congruential generator yields valid and invalid sequences.
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let tokens: Vec<&[u8]> = all.chunks(1).collect();
        let mut state = 1_u32;
        for _ in 0..500 {
            let ids: Vec<u32> = (0..40)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let byte = state >> 24;
                    if state & 0x800 == 0 { 0x80 | byte & 0x3F } else { byte }
                })
                .collect();
            let mut decoder = decoder(&tokens);
            let mut pieces: String = ids.iter().map(|&id| decoder.push(id)).collect();
            pieces += &decoder.finish();
            let bytes: Vec<u8> = ids.iter().map(|&id| id as u8).collect();
            assert_eq!(pieces, String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn the_alphabet_covers_every_byte_once() {
        let alphabet = byte_of_char();
        let mut bytes: Vec<u8> = alphabet.iter().flatten().copied().collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=u8::MAX).collect::<Vec<_>>());
        assert_eq!(alphabet[usize::from(b'A')], Some(b'A'));
        assert_eq!(alphabet['Ġ' as usize], Some(b' '));
        assert_eq!(alphabet['Ċ' as usize], Some(b'\n'));
    }
}
