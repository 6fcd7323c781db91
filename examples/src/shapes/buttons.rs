//! A screen with buttons, one of which is to be clicked.

use mimo_vl_core::config::PreprocessConfig;
use mimo_vl_core::gui::Task;
use mimo_vl_core::{Part, Prompt, Result};

use super::ask::Subject;
use super::backdrop::backdrop;
use super::conversation::{Ask, resized};
use super::draw::{Mark, Picture};
use super::kinds;
use super::lettering::{HEIGHT, width, write};
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
const TRIES: usize = 80;

/// A screen with 2 to 5 buttons, and the request to click one of them.
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
    /// Whether it is put as the goal of a [`Task`], not as a question.
    pub is_task: bool,
}

impl Buttons {
    /// Buttons on a screen of this width and height, of at least 140 by 140 pixels.
    pub fn random((wide, high): (u32, u32), is_task: bool, rng: &mut Random) -> Self {
        let language = rng.pick(&Language::ALL);
        let mut picture = backdrop(wide, high, rng);
        let mut screen =
            Self { picture: picture.clone(), buttons: vec![], words: vec![], target: 0, text: String::new(), is_task };
        let all: Vec<&'static str> = WORDS.concat();
        // All screens mix languages now and then, as real ones do.
        let set = if rng.chance(0.2) { &all[..] } else { WORDS[usize::from(language == Language::Chinese)] };
        let colour = rng.chance(0.4);
        for _ in 0..rng.within(2, 5) {
            let word = rng.pick(set);
            let largest = if width(word) * 2 + 20 <= wide { 2 } else { 1 };
            let scale = rng.within(1, largest).max(rng.within(1, largest)) as u32;
            let (padding, above) = (rng.within(6, 12) as u32, rng.within(3, 8) as u32);
            let size = (width(word) * scale + 2 * padding, HEIGHT * scale + 2 * above);
            if screen.words.contains(&word) || size.0 > wide || size.1 > high {
                continue;
            }
            let Some((left, top)) = screen.free_place((wide, high), size, rng) else { continue };
            let edges = [left, top, left + size.0, top + size.1];
            let (face, ink) = if colour {
                (
                    shade(rng.pick(&[Colour::Blue, Colour::Green, Colour::Red, Colour::Purple, Colour::Black]), rng),
                    [255; 3],
                )
            } else {
                ([rng.within(205, 250) as u8; 3], [rng.within(0, 60) as u8; 3])
            };
            picture.fill(edges, face.map(|value| (u16::from(value) * 5 / 8) as u8));
            picture.fill([left + EDGE, top + EDGE, edges[2] - EDGE, edges[3] - EDGE], face);
            write(&mut picture, word, (left + padding, top + above), scale, ink);
            let kind = all.iter().position(|other| other == &word).unwrap_or(0);
            screen.buttons.push(edges.map(f64::from));
            let (x, y) = (f64::from(left + edges[2]) / 2.0, f64::from(top + edges[3]) / 2.0);
            picture.marks.push(Mark { edges: [x, y, x, y], kind: kinds::of_word(kind) });
            screen.words.push(word);
        }
        screen.target = rng.below(screen.buttons.len());
        let templates = if language == Language::English { ENGLISH } else { CHINESE };
        screen.text = worded(templates, Subject::default(), language, rng).replace('@', screen.words[screen.target]);
        Self { picture, ..screen }
    }

    fn free_place(&self, room: (u32, u32), size: (u32, u32), rng: &mut Random) -> Option<(u32, u32)> {
        (0..TRIES).find_map(|_| {
            let left = rng.below((room.0 - size.0 + 1) as usize) as u32;
            let top = rng.below((room.1 - size.1 + 1) as usize) as u32;
            let [x1, y1, x2, y2] = [left, top, left + size.0, top + size.1].map(f64::from);
            let apart = |other: &[f64; 4]| {
                x2 + 2.0 <= other[0] || other[2] + 2.0 <= x1 || y2 + 2.0 <= other[1] || other[3] + 2.0 <= y1
            };
            self.buttons.iter().all(apart).then_some((left, top))
        })
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
        let prompt = self.prompt(config)?;
        let question = match prompt.messages().last().and_then(|message| message.parts.last()) {
            Some(Part::Text(text)) => text.clone(),
            _ => self.text.clone(),
        };
        let [x, y, ..] = resized(&self.picture, self.picture.marks[self.target].edges);
        let answer = format!("{{\"action\": \"click\", \"start_point\": [{x}, {y}]}}");
        Ok(Ask { question, answer, thought: self.words.join(", ") })
    }
}

/// All text of this skill but what is filled in.
pub(crate) fn texts(language: Language) -> impl Iterator<Item = &'static str> {
    let templates = if language == Language::English { ENGLISH } else { CHINESE };
    templates.iter().copied()
}
