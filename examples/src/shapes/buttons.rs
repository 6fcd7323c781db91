//! A screen with buttons, one of which is to be clicked.

use mimo_vl_core::expert::PreprocessConfig;
use mimo_vl_core::gui::Task;
use mimo_vl_core::{Part, Prompt, Result};

use super::ask::Subject;
use super::backdrop::backdrop;
use super::checkpoint::TOKEN_SIDE;
use super::conversation::{Grounding, QaPair, resized_bounds};
use super::draw::{AnnotatedImage, Annotation};
use super::lettering::{HEIGHT, SCALE, whole_tokens, width, write};
use super::palette::shade;
use super::patch_class;
use super::phrases::from_templates;
use super::random::Random;
use super::scene::Colour;
use super::words::Language;

/// Words on buttons, in English and in Chinese.
pub(crate) const WORDS: [&[&str]; 2] = [
    &[
        "OK", "Cancel", "Save", "Open", "Close", "Delete", "Edit", "Send", "Help", "Back", "Next", "Login", "Search",
        "Share", "Play", "Stop",
    ],
    &["确定", "取消", "保存", "打开", "关闭", "删除", "编辑", "发送", "帮助", "返回", "搜索", "登录"],
];

/// Templates of requests; `@` stands for the word on the button.
const ENGLISH: &[&str] = &[
    "[Click|Tap|Click on] the @ button.",
    "[Click|Tap|Click on] [@|\"@\"].",
    "[Click|Tap|Click on] the button [|that says |with ]\"@\".",
    "[Please click|Click] @[| {p}].",
];
const CHINESE: &[&str] = &["[请|]点击@[按钮|]。", "[请|]点击“@”[按钮|]。", "点一下@[按钮|]。", "点击{p}的@按钮。"];
/// Width of a button's border, in pixels.
const EDGE: u32 = 2;
/// Smallest distance of two buttons, in pixels.
const GAP: u32 = 2;
/// Spacing of the grid on which words start, in pixels: one patch, which is at least the widest padding.
const GRID: u32 = TOKEN_SIDE as u32 / 2;
/// Faces of coloured buttons.
const FACES: [Colour; 5] = [Colour::Blue, Colour::Green, Colour::Red, Colour::Purple, Colour::Black];
const TRIES: usize = 80;

/// A screen with 1 to 6 buttons, and the request to click one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct ButtonScreen {
    /// The screen.
    pub image: AnnotatedImage,
    /// Left, top, right and bottom of every button, from top to bottom, in pixels of the image.
    pub buttons: Vec<[f64; 4]>,
    /// The word on each button.
    pub words: Vec<&'static str>,
    /// Index of the button to click.
    pub target: usize,
    /// The request as the user types it.
    pub text: String,
    /// The language of the request.
    language: Language,
    /// True for the goal of a [`Task`], false for a plain request.
    pub is_task: bool,
}

impl ButtonScreen {
    /// Draws a screen of about this width and height, of at least 140 by 140 pixels.
    pub fn random((wide, high): (u32, u32), is_task: bool, rng: &mut Random) -> Self {
        let room = (whole_tokens(wide), whole_tokens(high));
        let language = rng.pick(&Language::ALL);
        let all: Vec<&'static str> = WORDS.concat();
        // Some screens mix languages, as real ones do.
        let set = if rng.chance(0.2) { &all[..] } else { WORDS[usize::from(language == Language::Chinese)] };
        let mut placed: Vec<([u32; 4], &'static str)> = Vec::new();
        for _ in 0..rng.within(2, 6) {
            let word = rng.pick(set);
            let mut padding = |low, high| rng.within(low, high) as u32 * SCALE;
            let padding = (padding(3, 6), padding(2, 4));
            if placed.iter().all(|(_, other)| *other != word)
                && let Some(bounds) = free_position(&placed, room, (width(word), HEIGHT), padding, rng)
            {
                placed.push((bounds, word));
            }
        }
        placed.sort_by_key(|([left, top, ..], _)| (*top, *left));
        let mut image = backdrop(room.0, room.1, rng);
        let coloured = rng.chance(0.4);
        for &(bounds @ [left, top, right, bottom], word) in &placed {
            let (face, ink) = if coloured { (shade(rng.pick(&FACES), rng), [255; 3]) } else { grey(rng) };
            image.fill(bounds, face.map(|value| (u16::from(value) * 5 / 8) as u8));
            image.fill([left + EDGE, top + EDGE, right - EDGE, bottom - EDGE], face);
            let corner = ((left + right - width(word)) / 2, (top + bottom - HEIGHT) as i32 / 2);
            write(&mut image, word, corner, ink);
            let index = all.iter().position(|other| *other == word).unwrap_or(0);
            let (x, y) = (f64::from(left + right) / 2.0, f64::from(top + bottom) / 2.0);
            image.annotations.push(Annotation { bounds: [x, y, x, y], class: patch_class::of_word(index) });
        }
        let buttons = placed.iter().map(|(bounds, _)| bounds.map(f64::from)).collect();
        let words = placed.iter().map(|(_, word)| *word).collect();
        let mut screen = Self { image, buttons, words, target: 0, text: String::new(), language, is_task };
        screen.choose(rng);
        screen
    }

    /// Draws another request.
    pub(crate) fn choose(&mut self, rng: &mut Random) {
        self.target = rng.below(self.words.len());
        let templates = if self.language == Language::English { ENGLISH } else { CHINESE };
        self.text =
            from_templates(templates, Subject::default(), self.language, rng).replace('@', self.words[self.target]);
    }

    /// The prompt that asks for the click.
    ///
    /// # Errors
    /// Those of [`Task::prompt`].
    pub fn prompt(&self, config: &PreprocessConfig) -> Result<Prompt> {
        let image = self.image.to_image()?;
        if self.is_task {
            Task::new(&self.text).prompt(image, config)
        } else {
            Ok(Prompt::user().image(image).text(&self.text))
        }
    }

    pub(crate) fn qa_pair(&self, config: &PreprocessConfig) -> Result<QaPair> {
        let question = if self.is_task {
            match self.prompt(config)?.messages().last().and_then(|message| message.parts.last()) {
                Some(Part::Text(text)) => text.clone(),
                _ => self.text.clone(),
            }
        } else {
            self.text.clone()
        };
        let center @ [x, y, ..] = resized_bounds(&self.image, self.image.annotations[self.target].bounds);
        let answer = format!("{{\"action\": \"click\", \"start_point\": [{x}, {y}]}}");
        let listed = |(word, annotation): (&&str, &Annotation)| {
            let [x, y, ..] = resized_bounds(&self.image, annotation.bounds);
            format!("{word} [{x}, {y}]")
        };
        let reasoning: Vec<String> = self.words.iter().zip(&self.image.annotations).map(listed).collect();
        let grounding = Grounding { names: vec![self.words[self.target].to_owned()], boxes: vec![center] };
        Ok(QaPair { question, answer, reasoning: reasoning.join(", "), grounding })
    }
}

/// Bounds of a button that overlaps no other, around a word of this size that starts on the grid.
fn free_position(
    placed: &[([u32; 4], &str)],
    room: (u32, u32),
    size: (u32, u32),
    padding: (u32, u32),
    rng: &mut Random,
) -> Option<[u32; 4]> {
    let free = |room: u32, size: u32, padding: u32| Some(room.checked_sub(size + padding)? / GRID).filter(|&n| n > 0);
    let positions = (free(room.0, size.0, padding.0)?, free(room.1, size.1, padding.1)?);
    (0..TRIES).find_map(|_| {
        let mut start = |positions: u32| (1 + rng.below(positions as usize) as u32) * GRID;
        let (x, y) = (start(positions.0), start(positions.1));
        let [left, top] = [x - padding.0, y - padding.1];
        let [right, bottom] = [x + size.0 + padding.0, y + size.1 + padding.1];
        let apart = |([x1, y1, x2, y2], _): &([u32; 4], &str)| {
            right + GAP <= *x1 || x2 + GAP <= left || bottom + GAP <= *y1 || y2 + GAP <= top
        };
        placed.iter().all(apart).then_some([left, top, right, bottom])
    })
}

/// Face and ink of a grey button.
fn grey(rng: &mut Random) -> ([u8; 3], [u8; 3]) {
    ([rng.within(205, 250) as u8; 3], [rng.within(0, 60) as u8; 3])
}

/// Templates of this skill.
pub(crate) fn texts(language: Language) -> impl Iterator<Item = &'static str> {
    let templates = if language == Language::English { ENGLISH } else { CHINESE };
    templates.iter().copied()
}
