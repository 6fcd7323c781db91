//! A model whose network is replaced by a script, so that every answer can be tried.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mimo_vl_core::expert::{Engine, Features, Patches, PrefillInput, Sequence, TaskControl};
use mimo_vl_core::{
    Answer, GenerateOptions, Image, LoadOptions, Model, ModelConfig, Prompt, Result, Session, ThinkingStyle,
};

use crate::fixture::checkpoint;

/// The network: says the script token by token, whatever it is asked.
struct Scripted {
    config: ModelConfig,
    script: Arc<Mutex<Script>>,
}

/// What the network says.
#[derive(Default)]
pub struct Script {
    /// The tokens.
    pub ids: Vec<u32>,
    /// How much more likely the script's token is than any other, as a difference of logits.
    pub lead: f32,
    /// How long each step takes.
    pub pause: Duration,
    /// How many images and videos were encoded.
    pub encoded: usize,
    /// How often tokens were taken in, or began to be.
    pub prefills: usize,
}

impl Engine for Scripted {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn encode_all(&self, patches: &[&Patches], control: &TaskControl) -> Result<Vec<Features>> {
        control.check()?;
        let mut script = self.script.lock().unwrap();
        script.encoded += patches.len();
        std::thread::sleep(script.pause);
        let width = self.config.text.hidden_size;
        Ok(patches.iter().map(|p| Features { values: vec![0.0; p.grid.tokens() * width], width }).collect())
    }

    fn sequence(&self) -> Box<dyn Sequence> {
        let (script, vocabulary) = (Arc::clone(&self.script), self.config.text.vocab_size);
        Box::new(Conversation { script, vocabulary, len: 0, asked: 0 })
    }
}

struct Conversation {
    script: Arc<Mutex<Script>>,
    vocabulary: usize,
    len: usize,
    /// Tokens up to the end of the question.
    asked: usize,
}

impl Sequence for Conversation {
    fn len(&self) -> usize {
        self.len
    }

    fn reserve(&mut self, _tokens: usize) -> Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }

    fn fork(&self) -> Box<dyn Sequence> {
        let Self { ref script, vocabulary, len, asked } = *self;
        Box::new(Self { script: Arc::clone(script), vocabulary, len, asked })
    }

    fn step(&mut self, id: u32, position: u32, control: &TaskControl) -> Result<Vec<f32>> {
        self.prefill(&PrefillInput { ids: &[id], positions: &[[position; 3]], media: Vec::new() }, 1, true, control)
    }

    fn prefill(
        &mut self,
        segment: &PrefillInput<'_>,
        _chunk: usize,
        all: bool,
        control: &TaskControl,
    ) -> Result<Vec<f32>> {
        control.check()?;
        let pause = {
            let mut script = self.script.lock().unwrap();
            script.prefills += 1;
            script.pause
        };
        let end = Instant::now() + pause;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::sleep(left.min(Duration::from_millis(5)));
            control.check()?;
        }
        let script = self.script.lock().unwrap();
        self.len += segment.ids.len();
        // A step asks for the logits of every token, a question for those of the last.
        if !all {
            self.asked = self.len;
        }
        let mut logits = vec![0.0; self.vocabulary];
        if let Some(&id) = script.ids.get(self.len - self.asked) {
            logits[id as usize] = script.lead;
        }
        Ok(logits)
    }
}

/// A model that says what it is told.
pub struct Actor {
    /// The model.
    pub model: Model,
    /// What it says.
    pub script: Arc<Mutex<Script>>,
}

impl Actor {
    /// A model that says this text.
    pub fn new(says: &str) -> Self {
        Self::styled(says, ThinkingStyle::Slash)
    }

    /// The same for a checkpoint of that style.
    pub fn styled(says: &str, style: ThinkingStyle) -> Self {
        Self::at(&checkpoint(), says, style)
    }

    /// The same with these options.
    pub fn loaded(says: &str, options: LoadOptions) -> Self {
        Self::of(&checkpoint(), says, &options)
    }

    /// The same with the texts in another folder.
    pub fn at(folder: &Path, says: &str, style: ThinkingStyle) -> Self {
        Self::of(folder, says, &LoadOptions::new().thinking_style(style))
    }

    fn of(folder: &Path, says: &str, options: &LoadOptions) -> Self {
        let script = Arc::new(Mutex::new(Script { lead: 50.0, ..Script::default() }));
        let config = ModelConfig::load(checkpoint()).unwrap();
        let engine = Scripted { config, script: Arc::clone(&script) };
        let actor = Self { model: Model::with_engine(folder, options, Box::new(engine)).unwrap(), script };
        actor.says(says);
        actor
    }

    /// Say this from now on.
    pub fn says(&self, text: &str) {
        let mut ids = self.model.tokenizer().encode(text).unwrap();
        ids.push(self.model.eos_token_ids()[0]);
        self.script.lock().unwrap().ids = ids;
    }

    /// Ask about a picture of 280 × 140 pixels.
    pub fn ask(&self, generate: &GenerateOptions) -> Answer {
        self.session().ask(&Prompt::user().image(picture(280, 140)).text("Where?"), generate).unwrap()
    }

    /// A new session.
    pub fn session(&self) -> Session {
        self.model.session()
    }
}

/// Of a size that the model sees unchanged when both sides are multiples of 28.
pub fn picture(width: u32, height: u32) -> Image {
    Image::from_rgb(width, height, width as usize * 3, &vec![90; (width * height * 3) as usize]).unwrap()
}

/// Without guesses, which the script knows nothing of.
pub fn one_at_a_time() -> GenerateOptions {
    GenerateOptions::new().num_draft_tokens(0)
}
