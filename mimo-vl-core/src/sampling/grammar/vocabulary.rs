//! The vocabulary, prepared for grammars.

use std::fmt;
use std::sync::Arc;

use llguidance::ParserFactory;
use llguidance::toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::error::{Error, Result};

/// Encodes text as tokens.
type Tokenize = Arc<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// The bytes of every token of a model, prepared for grammars. Clones share them.
#[derive(Clone)]
pub struct Vocabulary {
    factory: Arc<ParserFactory>,
    /// Tokens of closing brackets only, longest first.
    closing_brackets: Arc<[u32]>,
    /// Tokens of a quotation mark and closing brackets, longest first.
    closing_quotes: Arc<[u32]>,
    /// Tokens with visible text after a `>`.
    tag_straddling: Arc<[u32]>,
    /// Tokens that begin with a digit.
    digits: Arc<[u32]>,
}

struct Environment {
    trie: TokTrie,
    tokenize: Tokenize,
}

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| (self.tokenize)(text))
    }
}

impl Vocabulary {
    /// Creates a vocabulary from the bytes of each token, empty for tokens that are not text, and the end-of-sequence
    /// tokens.
    ///
    /// # Errors
    /// [`Error::Internal`] when llguidance rejects the vocabulary.
    pub fn new(mut token_bytes: Vec<Vec<u8>>, eos_token_ids: &[u32], tokenize: Tokenize) -> Result<Self> {
        let ids = |matches: &dyn Fn(&[u8]) -> bool| {
            let mut ids: Vec<u32> =
                (0..).zip(&token_bytes).filter(|(_, bytes)| matches(bytes)).map(|(id, _)| id).collect();
            ids.sort_by_key(|&id| std::cmp::Reverse(token_bytes[id as usize].len()));
            Arc::from(ids)
        };
        let closing = |bytes: &[u8]| bytes.iter().all(|byte| b"]}".contains(byte));
        let closing_brackets = ids(&|bytes| !bytes.is_empty() && closing(bytes));
        let closing_quotes =
            ids(&|bytes| bytes.split_first().is_some_and(|(&first, rest)| first == b'"' && closing(rest)));
        let straddles = |bytes: &[u8]| {
            let after = bytes.iter().position(|&byte| byte == b'>').map(|at| &bytes[at + 1..]);
            after.is_some_and(|after| after.iter().any(|byte| !byte.is_ascii_whitespace()))
        };
        let tag_straddling = ids(&straddles);
        let digits = ids(&|bytes| bytes.first().is_some_and(u8::is_ascii_digit));
        for &id in eos_token_ids {
            if let Some(bytes) = token_bytes.get_mut(id as usize) {
                *bytes = [&[TokTrie::SPECIAL_TOKEN_MARKER], format!("<end {id}>").as_bytes()].concat();
            }
        }
        let eos: Vec<u32> = eos_token_ids.iter().copied().filter(|&id| (id as usize) < token_bytes.len()).collect();
        let Some(&first) = eos.first() else { return Err(Error::internal("there is no end-of-sequence token")) };
        let info = TokRxInfo::new(token_bytes.len() as u32, first);
        let trie = TokTrie::from(&info, &token_bytes).with_eos_tokens(&eos);
        let environment: TokEnv = Arc::new(Environment { trie, tokenize });
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices);
        let mut factory = factory.map_err(|error| Error::internal(format!("grammars: {error}")))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory: Arc::new(factory), closing_brackets, closing_quotes, tag_straddling, digits })
    }

    /// The factory of llguidance parsers.
    pub(super) fn factory(&self) -> &ParserFactory {
        &self.factory
    }

    /// The bytes of a token; those of an end-of-sequence token start with a marker.
    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        self.factory.tok_env().tok_trie().token(id)
    }

    /// Tokens that close brackets, after the open string if `in_string`, longest first.
    pub(super) fn closing_tokens(&self, in_string: bool) -> &[u32] {
        if in_string { &self.closing_quotes } else { &self.closing_brackets }
    }

    /// Tokens that begin with a digit.
    pub(super) fn digit_tokens(&self) -> &[u32] {
        &self.digits
    }

    /// Tokens that can end a tag and have visible text after it.
    pub fn tag_straddling(&self) -> &[u32] {
        &self.tag_straddling
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").finish_non_exhaustive()
    }
}
