//! A screen with buttons, one of which is to be clicked.

use mimo_vl_core::expert::PreprocessConfig;
use mimo_vl_core::gui::Task;
use mimo_vl_core::{Part, Prompt, Result};

use super::ask::Subject;
use super::backdrop::backdrop;
use super::checkpoint::TOKEN_SIDE;
use super::conversation::{Ask, Asked, resized};
use super::draw::{Mark, Picture};
use super::kinds;
use super::lettering::{HEIGHT, SCALE, whole_tokens, width, write};
use super::palette::shade;
use super::phrases::worded;
use super::random::Random;
use super::scene::Colour;
use super::words::Language;

/// What stands on buttons, in English and in Chinese.
pub(crate) const WORDS: [&[&str]; 2] = [
    &[
        "OK", "Cancel", "Save", "Open", "Close", "Delete", "Edit", "Send", "Help", "Back", "Next", "Login", "Search",
        "Share", "Play", "Stop",
    ],
    &["确定", "取消", "保存", "打开", "关闭", "删除", "编辑", "发送", "帮助", "返回", "搜索", "登录"],
];

/// `@` stands for the word.
const ENGLISH: &[&str] = &[
    "[Click|Tap|Click on] the @ button.",
    "[Click|Tap|Click on] [@|\"@\"].",
    "[Click|Tap|Click on] the button [|that says |with ]\"@\".",
    "[Please click|Click] @[| {p}].",
];
const CHINESE: &[&str] = &["[请|]点击@[按钮|]。", "[请|]点击“@”[按钮|]。", "点一下@[按钮|]。", "点击{p}的@按钮。"];
/// Width of a button's edge.
const EDGE: u32 = 2;
/// Least distance of two buttons.
const GAP: u32 = 2;
/// Distance of the places where words may start: a patch, which is as wide as the widest padding or wider.
const GRID: u32 = TOKEN_SIDE as u32 / 2;
/// Faces of coloured buttons.
const FACES: [Colour; 5] = [Colour::Blue, Colour::Green, Colour::Red, Colour::Purple, Colour::Black];
const TRIES: usize = 80;

/// A screen with 1 to 6 buttons, from top to bottom, and the request to click one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Buttons {
    /// The screen.
    pub picture: Picture,
    /// Edges of every button, in its pixels.
    pub buttons: Vec<[f64; 4]>,
    /// The words on them.
    pub words: Vec<&'static str>,
    /// Which is to be clicked.
    pub target: usize,
    /// The request as the user types it.
    pub text: String,
    /// The language of the request.
    language: Language,
    /// Whether it is put as the goal of a [`Task`], not as a question.
    pub is_task: bool,
}

impl Buttons {
    /// Buttons on a screen of about this width and height, of at least 140 by 140 pixels.
    pub fn random((wide, high): (u32, u32), is_task: bool, rng: &mut Random) -> Self {
        let room = (whole_tokens(wide), whole_tokens(high));
        let language = rng.pick(&Language::ALL);
        let all: Vec<&'static str> = WORDS.concat();
        // All screens mix languages now and then, as real ones do.
        let set = if rng.chance(0.2) { &all[..] } else { WORDS[usize::from(language == Language::Chinese)] };
        let mut placed: Vec<([u32; 4], &'static str)> = Vec::new();
        for _ in 0..rng.within(2, 6) {
            let word = rng.pick(set);
            let mut padding = |low, high| rng.within(low, high) as u32 * SCALE;
            let padding = (padding(3, 6), padding(2, 4));
            if placed.iter().all(|(_, other)| *other != word)
                && let Some(edges) = free_place(&placed, room, (width(word), HEIGHT), padding, rng)
            {
                placed.push((edges, word));
            }
        }
        placed.sort_by_key(|([left, top, ..], _)| (*top, *left));
        let mut picture = backdrop(room.0, room.1, rng);
        let coloured = rng.chance(0.4);
        for &(edges @ [left, top, right, bottom], word) in &placed {
            let (face, ink) = if coloured { (shade(rng.pick(&FACES), rng), [255; 3]) } else { grey(rng) };
            picture.fill(edges, face.map(|value| (u16::from(value) * 5 / 8) as u8));
            picture.fill([left + EDGE, top + EDGE, right - EDGE, bottom - EDGE], face);
            let corner = ((left + right - width(word)) / 2, (top + bottom - HEIGHT) as i32 / 2);
            write(&mut picture, word, corner, ink);
            let kind = all.iter().position(|other| *other == word).unwrap_or(0);
            let (x, y) = (f64::from(left + right) / 2.0, f64::from(top + bottom) / 2.0);
            picture.marks.push(Mark { edges: [x, y, x, y], kind: kinds::of_word(kind) });
        }
        let buttons = placed.iter().map(|(edges, _)| edges.map(f64::from)).collect();
        let words = placed.iter().map(|(_, word)| *word).collect();
        let mut screen = Self { picture, buttons, words, target: 0, text: String::new(), language, is_task };
        screen.choose(rng);
        screen
    }

    /// Ask for one of the buttons.
    pub(crate) fn choose(&mut self, rng: &mut Random) {
        self.target = rng.below(self.words.len());
        let templates = if self.language == Language::English { ENGLISH } else { CHINESE };
        self.text = worded(templates, Subject::default(), self.language, rng).replace('@', self.words[self.target]);
    }

    /// The prompt that asks for the click.
    ///
    /// # Errors
    /// Those of [`Task::prompt`].
    pub fn prompt(&self, config: &PreprocessConfig) -> Result<Prompt> {
        let image = self.picture.image()?;
        if self.is_task {
            Task::new(&self.text).prompt(image, config)
        } else {
            Ok(Prompt::user().image(image).text(&self.text))
        }
    }

    pub(crate) fn ask(&self, config: &PreprocessConfig) -> Result<Ask> {
        let question = if self.is_task {
            match self.prompt(config)?.messages().last().and_then(|message| message.parts.last()) {
                Some(Part::Text(text)) => text.clone(),
                _ => self.text.clone(),
            }
        } else {
            self.text.clone()
        };
        let place @ [x, y, ..] = resized(&self.picture, self.picture.marks[self.target].edges);
        let answer = format!("{{\"action\": \"click\", \"start_point\": [{x}, {y}]}}");
        let listed = |(word, mark): (&&str, &Mark)| {
            let [x, y, ..] = resized(&self.picture, mark.edges);
            format!("{word} [{x}, {y}]")
        };
        let thought: Vec<String> = self.words.iter().zip(&self.picture.marks).map(listed).collect();
        let asked = Asked { names: vec![self.words[self.target].to_owned()], places: vec![place] };
        Ok(Ask { question, answer, thought: thought.join(", "), asked })
    }
}

/// Edges of a button around a word of this size that lies apart from the others, the word on the grid.
fn free_place(
    placed: &[([u32; 4], &str)],
    room: (u32, u32),
    size: (u32, u32),
    padding: (u32, u32),
    rng: &mut Random,
) -> Option<[u32; 4]> {
    let free = |room: u32, size: u32, padding: u32| Some(room.checked_sub(size + padding)? / GRID).filter(|&n| n > 0);
    let places = (free(room.0, size.0, padding.0)?, free(room.1, size.1, padding.1)?);
    (0..TRIES).find_map(|_| {
        let mut start = |places: u32| (1 + rng.below(places as usize) as u32) * GRID;
        let (x, y) = (start(places.0), start(places.1));
        let [left, top] = [x - padding.0, y - padding.1];
        let [right, bottom] = [x + size.0 + padding.0, y + size.1 + padding.1];
        let apart = |([x1, y1, x2, y2], _): &([u32; 4], &str)| {
            right + GAP <= *x1 || x2 + GAP <= left || bottom + GAP <= *y1 || y2 + GAP <= top
        };
        placed.iter().all(apart).then_some([left, top, right, bottom])
    })
}

/// Face and ink of a button without a colour.
fn grey(rng: &mut Random) -> ([u8; 3], [u8; 3]) {
    ([rng.within(205, 250) as u8; 3], [rng.within(0, 60) as u8; 3])
}

/// All text of this skill but what is filled in.
pub(crate) fn texts(language: Language) -> impl Iterator<Item = &'static str> {
    let templates = if language == Language::English { ENGLISH } else { CHINESE };
    templates.iter().copied()
}
