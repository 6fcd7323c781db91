//! Templates of questions.
//!
//! In a template `[a|b|]` stands for one of the alternatives, and `{x}` for words that depend on the subject of the
//! question: `{n}` its plural ("red circles"), `{a}` its singular with article ("a red circle"), `{s}` the noun alone
//! ("red circle"), `{is}` a predicate ("red", "a star"), `{c}` the word colour, `{k}` the colour of the subject, `{p}`
//! a location ("in the picture"), and `{i}` the image.

use super::ask::{Kind, Subject};
use super::random::Random;
use super::scene::Shape;
use super::words::Language;

/// Draws a question.
pub(crate) fn phrase(kind: Kind, subject: Subject, language: Language, rng: &mut Random) -> String {
    let mut text = from_templates(templates(kind, language), subject, language, rng);
    if text.ends_with(['?', '.', '？', '。']) && rng.chance(0.06) {
        text.push_str(rng.pick(requests(kind, language)));
    }
    text
}

/// Draws one of these templates, fills it in and varies case and punctuation.
pub(crate) fn from_templates(templates: &[&str], subject: Subject, language: Language, rng: &mut Random) -> String {
    let template = rng.pick(templates);
    let mut text = String::with_capacity(96);
    fill(template, subject, language, rng, &mut text);
    vary_typing(&mut text, language, rng);
    text
}

/// Templates of a kind of question.
pub(crate) fn templates(kind: Kind, language: Language) -> &'static [&'static str] {
    use Kind::{
        ColourOfShape, CountAll, CountColour, CountColouredShape, CountShape, HasColour, HasColouredShape, HasShape,
        ShapeOfColour,
    };
    match (language, kind) {
        (Language::English, CountShape | CountColour | CountColouredShape) => &[
            "How many {n} are there?",
            "How many {n} are there {p}?",
            "How many {n} [are|can you find] {p}?",
            "How many {n} [do|can] you see[| {p}]?",
            "How many {n} does the {i} [have|show|contain]?",
            "How many {n} [are shown|are drawn|are visible|can you count|appear][| {p}]?",
            "Count the {n}[| {p}].",
            "[What is|What's] the number of {n}[| {p}]?",
            "[Tell me|Give me|Say] the number of {n}[| {p}].",
            "[Tell me|Please say|Say] how many {n} there are[| {p}].",
            "How many of the [objects|shapes|figures] are {is}?",
            "[Number|The number] of {n}?",
            "How many {s} [shapes|objects] are there[| {p}]?",
        ],
        (Language::English, CountAll) => &[
            "How many {n} are there[| altogether| in total| in all| overall]?",
            "How many {n} are there {p}[| altogether| in total]?",
            "How many {n} [are|can you find] {p}[| altogether]?",
            "How many {n} [do|can] you see[| altogether| in total| {p}]?",
            "How many {n} does the {i} [have|show|contain][| altogether| in total]?",
            "Count [all |]the {n}[| {p}].",
            "What is the [total |]number of {n}[| {p}]?",
            "[Tell me|Say] how many {n} there are[| altogether| {p}].",
            "[Altogether|In total], how many {n} are there[| {p}]?",
            "[Tell me|Give me|Say] the total number of {n}.",
        ],
        (Language::English, ColourOfShape) => &[
            "[What|Which] {c} is the only {s}?",
            "[What|Which] {c} is the [only |single |]{s}[| {p}]?",
            "What is the {c} of the [only |single |]{s}[| {p}]?",
            "What's the {c} of the [only |single |]{s}?",
            "There is [only |exactly |just |]one {s}[| {p}]. [What|Which] {c} is it?",
            "[What|Which] {c} does the [only |single |]{s} have?",
            "[Tell me|Name|Say|Give] the {c} of the [only |single |]{s}[| {p}].",
            "The [only |]{s} is [what|which] {c}?",
            "In [what|which] {c} is the [only |]{s} drawn?",
        ],
        (Language::English, ShapeOfColour) => &[
            "[What|Which] shape is the only {s}?",
            "[What|Which] shape is the [only |single |]{s}[| {p}]?",
            "[What|Which] shape is {k}?",
            "[What|Which] [kind of |]shape is [the only {k} one|the {k} one|the only one that is {k}]?",
            "What is the shape of the [only |single |]{s}[| {p}]?",
            "What's the shape of the [only |single |]{s}?",
            "There is [only |exactly |just |]one {s}[| {p}]. [What|Which] shape is it?",
            "[What|Which] shape does the [only |single |]{s} have?",
            "[Tell me|Name|Say|Give] the shape of the [only |single |]{s}[| {p}].",
            "What is the [only |]{s}?",
            "The [only |]{s} is [what|which] shape?",
        ],
        (Language::English, HasShape | HasColour | HasColouredShape) => &[
            "Is there {a}?",
            "Is there {a} {p}?",
            "Is there [any {s}|at least one {s}][| {p}]?",
            "Are there any {n}[| {p}]?",
            "[Do|Can] you see {a}[| {p}]?",
            "[Do|Can] you see any {n}[| {p}]?",
            "Does the {i} [have|show|contain|include] {a}?",
            "Can you find {a}[| {p}]?",
            "Is {a} [|shown |visible ]{p}?",
            "Are any of the [objects|shapes|figures] {is}?",
            "[Tell me|Say] [if|whether] there is {a}[| {p}].",
        ],
        (Language::Chinese, CountShape | CountColour | CountColouredShape) => &[
            "{p}有[几个|多少个|多少]{n}？",
            "{p}[|一共|总共|共]有[几个|多少个|多少]{n}？",
            "有[几个|多少个|多少]{n}？",
            "{n}[|一共|总共]有[几个|多少个|多少]？",
            "[请|]数一数{p}有[几个|多少个|多少]{n}。",
            "[请问|你在]{p}[能|可以|]看到[几个|多少个|多少]{n}？",
            "{p}{n}的[数量|个数|数目]是多少？",
            "请问{p}有[几个|多少个|多少]{n}？",
            "[告诉我|请告诉我|请回答]{p}有[几个|多少个]{n}。",
            "{p}[能|可以][看到|找到|数出][几个|多少个]{n}？",
            "{p}画了[几个|多少个]{n}？",
        ],
        (Language::Chinese, CountAll) => &[
            "{p}[一共|总共|共]有[几个|多少个|多少]{n}？",
            "{p}有[几个|多少个|多少]{n}？",
            "[一共|总共]有[几个|多少个|多少]{n}？",
            "{n}[一共|总共]有[几个|多少个|多少]？",
            "[请|]数一数{p}[一共|总共|]有[几个|多少个]{n}。",
            "请问{p}[一共|总共|]有[几个|多少个|多少]{n}？",
            "{p}{n}的[总数|数量|个数]是多少？",
            "[告诉我|请告诉我|请回答]{p}[一共|总共]有[几个|多少个]{n}。",
            "{p}[一共|总共][能|可以]看到[几个|多少个]{n}？",
            "{p}[一共|总共|]画了[几个|多少个]{n}？",
        ],
        (Language::Chinese, ColourOfShape) => &[
            "唯一的{n}是[什么|哪种]颜色？",
            "[唯一的|那个|唯一那个|]{n}是[什么|哪种|哪个]颜色[的|]？",
            "{p}[唯一的|唯一一个|的|]{n}是[什么|哪种]颜色[的|]？",
            "[唯一的|那个|]{n}的颜色是[什么|哪种|哪个]？",
            "{p}[唯一的|的]{n}的颜色是什么？",
            "{p}只有一个{n}，它是[什么|哪种]颜色[的|]？",
            "请[说出|告诉我|回答][唯一的|那个|]{n}的颜色。",
            "[哪种|哪个|什么]颜色是[唯一的|]{n}的颜色？",
            "请问{p}[唯一的|]{n}是[什么|哪种]颜色？",
        ],
        (Language::Chinese, ShapeOfColour) => &[
            "唯一的{n}是什么形状？",
            "[唯一的|那个|唯一那个|]{n}是[什么|哪种]形状[的|]？",
            "{p}[唯一的|唯一一个|的|]{n}是[什么|哪种]形状？",
            "[唯一的|那个|]{n}的形状是[什么|哪种]？",
            "{p}只有一个{n}，它是[什么|哪种]形状[的|]？",
            "请[说出|告诉我|回答][唯一的|那个|]{n}的形状。",
            "[哪种|哪个|什么][形状|图形]是[唯一|]{k}的？",
            "{p}[哪个|什么][形状|图形]是{k}的？",
            "请问{p}[唯一的|]{n}是[什么|哪种]形状？",
            "{p}{k}的是什么[形状|图形]？",
        ],
        (Language::Chinese, HasShape | HasColour | HasColouredShape) => &[
            "{p}有[一个|]{n}吗？",
            "{p}有没有{n}？",
            "有没有{n}？",
            "{p}是否有[一个|]{n}？",
            "{p}[能|可以][看到|找到]{n}吗？",
            "{p}[是否|]存在{n}[吗|]？",
            "{p}是不是有{n}？",
            "请问{p}有[没有{n}|{n}吗]？",
            "你[能|可以]在{p}[看到|找到]{n}吗？",
            "[告诉我|请告诉我|请回答]{p}有没有{n}。",
        ],
    }
}

/// Appends a template with its alternatives drawn and its slots filled in.
fn fill(template: &str, subject: Subject, language: Language, rng: &mut Random, text: &mut String) {
    let mut rest = template;
    while let Some(start) = rest.find(['[', '{']) {
        text.push_str(&rest[..start]);
        let close = if rest[start..].starts_with('[') { ']' } else { '}' };
        let Some(length) = rest[start..].find(close) else { break };
        let inside = &rest[start + 1..start + length];
        rest = &rest[start + length + 1..];
        if close == ']' {
            let count = inside.split('|').count();
            let chosen = inside.split('|').nth(rng.below(count)).unwrap_or_default();
            fill(chosen, subject, language, rng, text);
        } else {
            match language {
                Language::English => english(inside, subject, rng, text),
                Language::Chinese => chinese(inside, subject, rng, text),
            }
        }
    }
    text.push_str(rest);
}

pub(crate) const ENGLISH_PICTURES: &[&str] = &["picture", "picture", "image", "image", "photo", "drawing"];
pub(crate) const ENGLISH_THINGS: &[&str] = &["object", "object", "shape", "shape", "thing", "figure", "item"];
pub(crate) const CHINESE_PLACES: &[&str] =
    &["图中", "图中", "图里", "图片中", "图片里", "画面中", "图像中", "图上", "图片上", "这张图中", "这张图里"];
pub(crate) const CHINESE_THINGS: &[&str] = &["图形", "图形", "形状", "物体", "东西"];

fn english(slot: &str, subject: Subject, rng: &mut Random, text: &mut String) {
    let colour = subject.colour.map(|colour| colour.word(Language::English));
    let shape = subject.shape.map(|shape| shape.word(Language::English));
    match slot {
        "i" => text.push_str(rng.pick(ENGLISH_PICTURES)),
        "p" => {
            let place = ["in the ", "in the ", "in the ", "in this ", "on the "][rng.below(5)];
            text.push_str(place);
            text.push_str(rng.pick(ENGLISH_PICTURES));
        }
        "c" => text.push_str(rng.pick(&["colour", "color"])),
        "k" => text.push_str(colour.unwrap_or_default()),
        "is" => match (colour, shape) {
            (Some(colour), None) => text.push_str(colour),
            _ => english("n", subject, rng, text),
        },
        _ => {
            if slot != "s" && rng.chance(0.1) && english_clause(slot, colour, shape, rng, text) {
                return;
            }
            let noun = shape.unwrap_or_else(|| rng.pick(ENGLISH_THINGS));
            let first = colour.unwrap_or(noun);
            if slot == "a" {
                text.push_str(if first.starts_with(['a', 'e', 'i', 'o', 'u']) { "an " } else { "a " });
            }
            if let Some(colour) = colour {
                text.push_str(colour);
                text.push(' ');
            }
            text.push_str(noun);
            if slot == "n" {
                text.push('s');
            }
        }
    }
}

/// Appends "circles that are red" or "anything red" where the subject allows it. Returns true when it did.
fn english_clause(slot: &str, colour: Option<&str>, shape: Option<&str>, rng: &mut Random, text: &mut String) -> bool {
    match (slot, colour, shape) {
        ("a", Some(colour), Some(shape)) => {
            let joint = rng.pick(&["that is ", "in ", "which is "]);
            text.extend(["a ", shape, " ", joint, colour]);
        }
        ("n", Some(colour), Some(shape)) => {
            let joint = rng.pick(&["that are ", "in ", "which are "]);
            text.extend([shape, "s ", joint, colour]);
        }
        ("a", Some(colour), None) => text.extend([rng.pick(&["anything ", "something "]), colour]),
        _ => return false,
    }
    true
}

fn chinese(slot: &str, subject: Subject, rng: &mut Random, text: &mut String) {
    let colour = subject.colour.map(|colour| colour.word(Language::Chinese));
    match slot {
        "p" => text.push_str(rng.pick(CHINESE_PLACES)),
        "k" => text.push_str(colour.unwrap_or_default()),
        _ => {
            if let Some(colour) = colour {
                text.push_str(colour);
                let joined = subject.shape.is_some() && rng.chance(0.5);
                text.push_str(if joined { "" } else { "的" });
            }
            match subject.shape {
                Some(shape) => text.push_str(chinese_shape(shape, rng)),
                None => text.push_str(rng.pick(CHINESE_THINGS)),
            }
        }
    }
}

/// Draws the word that answers use or, less often, a synonym.
fn chinese_shape(shape: Shape, rng: &mut Random) -> &'static str {
    let names = shape.names(Language::Chinese);
    if rng.chance(0.8) { names[0] } else { rng.pick(&names[..names.len().min(3)]) }
}

/// Requests for a short answer; the answers are short anyway.
pub(crate) fn requests(kind: Kind, language: Language) -> &'static [&'static str] {
    match (language, kind) {
        (Language::English, Kind::HasShape | Kind::HasColour | Kind::HasColouredShape) => {
            &[" Answer yes or no.", " Yes or no?", " Answer with one word."]
        }
        (Language::English, Kind::ColourOfShape | Kind::ShapeOfColour) => {
            &[" Answer with one word.", " Answer in one word.", " Just one word."]
        }
        (Language::English, _) => &[" Answer with a number.", " Just the number.", " Answer with one number."],
        (Language::Chinese, Kind::HasShape | Kind::HasColour | Kind::HasColouredShape) => {
            &["请回答有或没有。", "只回答有或没有。"]
        }
        (Language::Chinese, Kind::ColourOfShape | Kind::ShapeOfColour) => &["请用一个词回答。", "只回答一个词。"],
        (Language::Chinese, _) => &["请用数字回答。", "只回答数字。"],
    }
}

/// Varies case and punctuation as typed text does: no capital, no final mark, another mark.
fn vary_typing(text: &mut String, language: Language, rng: &mut Random) {
    if text.ends_with('？') {
        match rng.weighted(&[85, 8, 7]) {
            0 => {}
            1 => {
                text.pop();
                text.push('?');
            }
            _ => {
                text.pop();
            }
        }
    } else if text.ends_with('?') && rng.chance(0.05) {
        text.pop();
    }
    if language == Language::English && rng.chance(0.06) {
        let lower = text.remove(0).to_ascii_lowercase();
        text.insert(0, lower);
    }
}
