//! The small checkpoint of `tests/data/tiny`, and what is asked of it.

use std::path::PathBuf;
use std::sync::OnceLock;

use mimo_vl_core::{GenerateOptions, Image, LoadOptions, Message, Model, Part, Session, Video, WeightFormat};

/// The small checkpoint with random weights.
pub fn checkpoint() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/tiny"))
}

/// Its model, as stored in f32.
pub fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::load(checkpoint(), &LoadOptions::new().weights(WeightFormat::F32)).unwrap())
}

/// A short greedy answer.
pub fn short() -> GenerateOptions {
    GenerateOptions::new().max_tokens(12)
}

/// FrameSampling at a high temperature: the tokens depend on all logits, not on the largest alone.
pub fn drawn(seed: u64) -> GenerateOptions {
    short().temperature(1.5).seed(seed)
}

/// A picture of coloured bands and noise.
pub fn picture(seed: u32, width: u32, height: u32) -> Image {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = state >> 28;
            pixels.extend([x * 255 / width, y * 255 / height, (x + y + seed * 40) % 256].map(|v| (v + noise) as u8));
        }
    }
    Image::from_rgb(width, height, width as usize * 3, &pixels).unwrap()
}

/// Five frames.
pub fn video() -> Video {
    let frames = (0..5).map(|index| picture(50 + index, 120, 90)).collect();
    Video::from_frames(frames, 0.8).unwrap().max_pixels(9000).min_pixels(3136)
}

/// The conversation so far.
pub fn messages(session: &Session) -> Vec<Message> {
    session.messages().cloned().collect()
}

/// All text of a message.
pub fn text_of(message: &Message) -> String {
    let texts = message.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// The texts of the small checkpoint, in a folder of its own, with a template for tools beside that for pictures.
pub fn checkpoint_with_tools() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in
        ["config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", "chat_template.jinja"]
    {
        std::fs::copy(checkpoint().join(file), folder.path().join(file)).unwrap();
    }
    let template = std::fs::read_to_string(checkpoint().with_file_name("text").join("tools.jinja")).unwrap();
    let config = serde_json::json!({ "chat_template": template });
    std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    folder
}
