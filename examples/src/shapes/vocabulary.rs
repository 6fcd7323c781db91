//! The tokenizer of `mimo-vl-tiny`: byte-level BPE as in Qwen2.5, trained on the texts of the shapes.

use std::collections::BTreeSet;

use mimo_vl_core::expert::PreprocessConfig;
use mimo_vl_core::gui::Task;
use mimo_vl_core::{Image, Part};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Result, SplitDelimiterBehavior,
    Tokenizer, Trainer,
};

use super::ask::{Kind, Subject, yes_or_no};
use super::checkpoint::TOKEN_SIDE;
use super::conversation::{BINS_PER_TOKEN, COORDINATE_BINS, NO_THINK, SYSTEM, TASK_SYSTEM, thinking_response};
use super::phrases::{CHINESE_PLACES, CHINESE_THINGS, phrase, requests, templates};
use super::random::Random;
use super::scene::{Colour, Shape};
use super::words::Language;
use super::{buttons, detection, motion, reading};

/// Special tokens of Qwen2.5, in its order.
pub const SPECIAL_TOKENS: [&str; 14] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
];
/// Added tokens that are part of the text.
pub const ADDED_TOKENS: [&str; 4] = ["<tool_call>", "</tool_call>", "<think>", "</think>"];

/// Pre-tokenization of Qwen2.5, except that a coordinate in JSON is one word, and so one token.
const SPLIT: &str = concat!(
    r" ?\p{N}{1,3}(?=[,\]])|(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
);
/// Bytes and merged tokens; special and added tokens come after them.
const BPE_TOKENS: usize = 1200;

/// Trains the tokenizer on the texts of the generator. The result is deterministic.
///
/// # Errors
/// Those of the `tokenizers` crate; none is expected.
pub fn build_tokenizer() -> Result<Tokenizer> {
    let cut = Split::new(SplitPattern::Regex(SPLIT.into()), SplitDelimiterBehavior::Isolated, false)?;
    let bytes = ByteLevel::new(false, true, false);
    let words = Sequence::new(vec![PreTokenizerWrapper::Split(cut), PreTokenizerWrapper::ByteLevel(bytes)]);

    let mut trainer = BpeTrainer::builder()
        .vocab_size(BPE_TOKENS)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    trainer.feed(text().into_iter(), |piece| byte_words(&words, piece))?;
    let mut model = BPE::default();
    trainer.train(&mut model)?;

    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(words)).with_decoder(Some(bytes));
    tokenizer.add_special_tokens(&SPECIAL_TOKENS.map(|token| AddedToken::from(token, true).normalized(false)));
    tokenizer.add_tokens(&ADDED_TOKENS.map(|token| AddedToken::from(token, false).normalized(false)));
    Ok(tokenizer)
}

/// Embedding rows for a tokenizer: its size, rounded up to a multiple of 64.
pub fn padded_vocab_size(tokenizer: &Tokenizer) -> usize {
    tokenizer.get_vocab_size(true).next_multiple_of(64)
}

fn byte_words(words: &Sequence, piece: &str) -> Result<Vec<String>> {
    let mut cut = PreTokenizedString::from(piece);
    words.pre_tokenize(&mut cut)?;
    let splits = cut.get_splits(OffsetReferential::Original, OffsetType::Byte);
    Ok(splits.into_iter().map(|(word, ..)| word.to_string()).collect())
}

/// Training text. English comes as sentences. Chinese has no spaces, so it comes as the parts of its templates and
/// words, and no token spans two of them.
fn text() -> Vec<String> {
    let mut text = Vec::new();
    let mut add = |piece: &str, times: usize| text.extend(std::iter::repeat_n(piece.to_string(), times));
    for format in [SYSTEM, "system\n", "user\n", "assistant\n", NO_THINK, "\n", "\n\n", ", ", "，", "？", "。"] {
        add(format, 2000);
    }
    for (colour, shape) in Colour::ALL.into_iter().flat_map(|colour| Shape::ALL.map(|shape| (colour, shape))) {
        let [colour, shape] = [colour.word(Language::English), shape.word(Language::English)];
        add(&thinking_response(&format!("{colour} {shape}, {colour} {shape}"), colour), 40);
        add(&format!("{shape} {colour} {colour} {shape}s"), 40);
    }
    for word in chinese_words() {
        add(word, 1000);
    }
    for language in Language::ALL {
        for kind in Kind::ALL {
            for piece in templates(kind, language).iter().chain(requests(kind, language)) {
                if language == Language::Chinese {
                    template_parts(piece).for_each(|part| add(part, 20));
                }
            }
        }
    }
    for word in yes_or_no(true, Language::English)[..1].iter().chain(&yes_or_no(false, Language::English)[..1]) {
        add(word, 500);
    }
    for piece in JSON {
        add(piece, 1000);
    }
    for bin in 0..COORDINATE_BINS {
        let pixel = bin * TOKEN_SIDE / BINS_PER_TOKEN;
        add(&format!("[{pixel}, {pixel}]"), 1000);
    }
    for word in buttons::WORDS.concat() {
        add(word, 500);
        add(&format!(" {word}"), 500);
    }
    for language in Language::ALL {
        let skills = detection::texts(language).chain(reading::texts(language));
        for piece in skills.chain(buttons::texts(language)).chain(motion::texts(language)) {
            template_parts(piece).for_each(|part| add(part, 50));
        }
    }
    for goal in ["Click the OK button.", "点击确定。"] {
        if let Some(prompt) = task_text(goal) {
            add(&prompt, 1000);
        }
    }
    text.extend(english_questions());
    text
}

/// Parts of answers in JSON.
const JSON: [&str; 6] = [
    "[{\"bbox_2d\": [1, 2, 3, 4], \"label\": \"",
    "\"}, {\"bbox_2d\": [",
    "\"}]",
    "[]",
    "{\"action\": \"click\", \"start_point\": [1, 2]}",
    TASK_SYSTEM,
];

/// Text of the user message of a GUI task.
fn task_text(goal: &str) -> Option<String> {
    let screen = Image::from_rgb(140, 140, 420, &[0; 420 * 140]).ok()?;
    let prompt = Task::new(goal).prompt(screen, &PreprocessConfig::default()).ok()?;
    match prompt.messages().last()?.parts.last()? {
        Part::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn chinese_words() -> BTreeSet<&'static str> {
    let colours = Colour::ALL.iter().map(|colour| colour.word(Language::Chinese));
    let shapes = Shape::ALL.iter().flat_map(|shape| shape.names(Language::Chinese));
    let has = [true, false].map(|has| yes_or_no(has, Language::Chinese)[0]);
    colours.chain(shapes.copied()).chain(has).chain(CHINESE_PLACES.iter().chain(CHINESE_THINGS).copied()).collect()
}

/// Literal text of a template, between its slots and alternatives.
fn template_parts(template: &str) -> impl Iterator<Item = &str> {
    let outside =
        template.split('{').flat_map(|part| part.split_once('}').map_or([part, ""], |(_, after)| [after, ""]));
    outside.flat_map(|part| part.split(['[', ']', '|', '？', '。', '，'])).filter(|part| !part.is_empty())
}

fn english_questions() -> Vec<String> {
    let mut rng = Random::new(0, 0);
    let mut questions = Vec::new();
    for kind in Kind::ALL {
        let counts_all = kind == Kind::CountAll;
        for _ in 0..2000 {
            let colour = (!matches!(kind, Kind::CountShape | Kind::ColourOfShape | Kind::HasShape) && !counts_all)
                .then(|| rng.pick(&Colour::ALL));
            let shape = (!matches!(kind, Kind::CountColour | Kind::ShapeOfColour | Kind::HasColour) && !counts_all)
                .then(|| rng.pick(&Shape::ALL));
            questions.push(phrase(kind, Subject { colour, shape }, Language::English, &mut rng));
        }
    }
    questions
}
