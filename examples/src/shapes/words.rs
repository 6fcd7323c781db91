//! English and Chinese words for colours and shapes.

use super::scene::{Colour, Shape};

/// The language of a question and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese, in simplified characters.
    Chinese,
}

impl Language {
    /// Both languages.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];
}

impl Colour {
    /// The word that answers use.
    pub fn word(self, language: Language) -> &'static str {
        self.names(language)[0]
    }

    /// The word that answers use, then its synonyms.
    pub(crate) fn names(self, language: Language) -> &'static [&'static str] {
        match (language, self) {
            (Language::English, Self::Red) => &["red"],
            (Language::English, Self::Green) => &["green"],
            (Language::English, Self::Blue) => &["blue"],
            (Language::English, Self::Yellow) => &["yellow"],
            (Language::English, Self::Purple) => &["purple", "violet"],
            (Language::English, Self::Orange) => &["orange"],
            (Language::English, Self::Black) => &["black"],
            (Language::Chinese, Self::Red) => &["红色", "红"],
            (Language::Chinese, Self::Green) => &["绿色", "绿"],
            (Language::Chinese, Self::Blue) => &["蓝色", "蓝"],
            (Language::Chinese, Self::Yellow) => &["黄色", "黄"],
            (Language::Chinese, Self::Purple) => &["紫色", "紫"],
            (Language::Chinese, Self::Orange) => &["橙色", "橙", "橘色", "橘黄色"],
            (Language::Chinese, Self::Black) => &["黑色", "黑"],
        }
    }
}

impl Shape {
    /// The word that answers use.
    pub fn word(self, language: Language) -> &'static str {
        self.names(language)[0]
    }

    /// The word that answers use, then its synonyms.
    pub(crate) fn names(self, language: Language) -> &'static [&'static str] {
        match (language, self) {
            (Language::English, Self::Circle) => &["circle", "disc", "disk"],
            (Language::English, Self::Square) => &["square"],
            (Language::English, Self::Triangle) => &["triangle"],
            (Language::English, Self::Star) => &["star"],
            (Language::Chinese, Self::Circle) => &["圆形", "圆", "圆圈"],
            (Language::Chinese, Self::Square) => &["正方形", "方形", "方块"],
            (Language::Chinese, Self::Triangle) => &["三角形", "三角"],
            (Language::Chinese, Self::Star) => &["星形", "星星", "五角星", "星"],
        }
    }
}
