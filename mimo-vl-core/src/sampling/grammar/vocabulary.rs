//! The tokens as the matcher needs them.

use std::fmt;
use std::sync::Arc;

use llguidance::ParserFactory;
use llguidance::toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::error::{Error, Result};

/// Turns text into tokens.
type Tokenize = Arc<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// The bytes of all tokens of a model, prepared for matching. Clones share it.
#[derive(Clone)]
pub struct Vocabulary {
    factory: Arc<ParserFactory>,
    /// Tokens of closing brackets, longest first.
    brackets: Arc<[u32]>,
    /// The same behind a quotation mark.
    quotes: Arc<[u32]>,
    straddling: Arc<[u32]>,
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
    /// From the bytes of each token, empty for those that are not text, and the tokens that end an answer.
    ///
    /// # Errors
    /// [`Error::Internal`] when the matcher does not take them.
    pub fn new(mut words: Vec<Vec<u8>>, ends: &[u32], tokenize: Tokenize) -> Result<Self> {
        let ids = |is: &dyn Fn(&[u8]) -> bool| {
            let mut ids: Vec<u32> = (0..).zip(&words).filter(|(_, word)| is(word)).map(|(id, _)| id).collect();
            ids.sort_by_key(|&id| std::cmp::Reverse(words[id as usize].len()));
            Arc::from(ids)
        };
        let closing = |word: &[u8]| word.iter().all(|byte| b"]}".contains(byte));
        let brackets = ids(&|word| !word.is_empty() && closing(word));
        let quotes = ids(&|word| word.split_first().is_some_and(|(&first, rest)| first == b'"' && closing(rest)));
        let straddles = |word: &[u8]| {
            let behind = word.iter().position(|&byte| byte == b'>').map(|at| &word[at + 1..]);
            behind.is_some_and(|behind| behind.iter().any(|byte| !byte.is_ascii_whitespace()))
        };
        let straddling = ids(&straddles);
        for &id in ends {
            if let Some(word) = words.get_mut(id as usize) {
                *word = [&[TokTrie::SPECIAL_TOKEN_MARKER], format!("<end {id}>").as_bytes()].concat();
            }
        }
        let ends: Vec<u32> = ends.iter().copied().filter(|&id| (id as usize) < words.len()).collect();
        let Some(&end) = ends.first() else { return Err(Error::internal("no token ends an answer")) };
        let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, end), &words).with_eos_tokens(&ends);
        let environment: TokEnv = Arc::new(Environment { trie, tokenize });
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices);
        let mut factory = factory.map_err(|error| Error::internal(format!("grammars: {error}")))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory: Arc::new(factory), brackets, quotes, straddling })
    }

    pub(super) fn factory(&self) -> &ParserFactory {
        &self.factory
    }

    /// The bytes of a token; those of a token that ends an answer have a mark before them.
    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        self.factory.tok_env().tok_trie().token(id)
    }

    /// Tokens that close what is open, in a quoted text or not, longest first.
    pub(super) fn closing(&self, quoted: bool) -> &[u32] {
        if quoted { &self.quotes } else { &self.brackets }
    }

    /// The tokens in which a tag can end with more than space behind it.
    pub fn straddling(&self) -> &[u32] {
        &self.straddling
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").finish_non_exhaustive()
    }
}
