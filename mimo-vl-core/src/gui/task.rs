//! The prompt that asks for the next action.

use super::action::Action;
use super::kind::ActionKind;
use crate::config::PreprocessConfig;
use crate::error::Result;
use crate::media::{Image, Transform};
use crate::preprocess::image_layout;
use crate::prompt::Prompt;
use crate::sampling::Grammar;

const SYSTEM: &str = "You are a helpful assistant.";

/// The actions that the authors' evaluation offers.
const OFFERED: [ActionKind; 6] =
    [ActionKind::Click, ActionKind::Drag, ActionKind::Input, ActionKind::Press, ActionKind::Wait, ActionKind::Finished];

/// What an agent is to reach on a screen, and what it did so far.
///
/// ```no_run
/// # fn main() -> mimo_vl_core::Result<()> {
/// use mimo_vl_core::gui::{Action, Task};
/// use mimo_vl_core::{GenerateOptions, Image, LoadOptions, Model, Thinking};
///
/// let model = Model::load("path/to/checkpoint", &LoadOptions::new())?;
/// let mut task = Task::new("Turn on dark mode");
/// let screenshot = Image::open("screenshot.png")?;
/// let prompt = task.prompt(screenshot, model.preprocess_config())?;
/// let answer = model.session().ask(&prompt.thinking(Thinking::Off), &GenerateOptions::new())?;
/// let action = Action::parse(&answer.text)?.to_original(&answer.transforms[0]);
/// // Do it, then look again.
/// task = task.step("Open the settings.", action);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    goal: String,
    instruction: Option<String>,
    offered: Vec<ActionKind>,
    steps: Vec<(String, Action)>,
}

impl Task {
    /// A task of which nothing is done yet.
    pub fn new(goal: impl Into<String>) -> Self {
        Self { goal: goal.into(), instruction: None, offered: OFFERED.to_vec(), steps: Vec::new() }
    }

    /// Say what the next step is.
    #[must_use]
    pub fn instruction(mut self, instruction: impl Into<String>) -> Self {
        self.instruction = Some(instruction.into());
        self
    }

    /// Offer these actions; without it click, drag, input, press, wait and finished, as the authors' evaluation does.
    #[must_use]
    pub fn offer(mut self, actions: &[ActionKind]) -> Self {
        self.offered = actions.to_vec();
        self
    }

    /// The form of an answer that is one of the actions offered.
    pub fn grammar(&self) -> Grammar {
        Grammar::Actions(self.offered.iter().map(|kind| kind.name().to_owned()).collect())
    }

    /// Add what was done, in the pixels of the caller's screenshots, which are all of one size; `explanation` says it in
    /// words and may be empty.
    #[must_use]
    pub fn step(mut self, explanation: impl Into<String>, action: Action) -> Self {
        self.steps.push((explanation.into(), action));
        self
    }

    /// The prompt that asks for the next action, with the screenshot before the text, in the words that MiMo-VL was
    /// trained and evaluated with. Earlier actions stand in it in the model's pixels, scrolls as drags, and input without
    /// its point.
    ///
    /// # Errors
    /// [`Error::Image`](crate::error::Error::Image) when the screenshot cannot be brought to the model's size.
    pub fn prompt(&self, screenshot: Image, config: &PreprocessConfig) -> Result<Prompt> {
        let transform = image_layout(&screenshot, config)?.transform;
        let given = match &self.instruction {
            Some(_) => "a screenshot, a goal, your action history, and an instruction for your next action",
            None => "a screenshot, a goal, and your action history",
        };
        let next = self.instruction.as_ref();
        let next = next.map(|instruction| format!("## Instruction for the next step\n{instruction}\n\n"));
        let offered: Vec<String> = self.offered.iter().map(|kind| kind.signature()).collect();
        let text = format!(
            "You are a GUI agent. You will be provided with {given}. You need to perform the next action to complete the \
             task.\n\n## Action Space\n{}\n\n## Goal\n{}\n\n## Previous Actions\n{}\n\n{}Now, output the next action in \
             json format [{{\"action\": \"{{action_name}}\"}}, ...].",
            offered.join("\n"),
            self.goal,
            self.history(&transform),
            next.unwrap_or_default(),
        );
        Ok(Prompt::user().system(SYSTEM).image(screenshot).text(text))
    }

    fn history(&self, transform: &Transform) -> String {
        if self.steps.is_empty() {
            return "None".to_owned();
        }
        let (width, height) = transform.resized;
        let step = |(index, (explanation, action)): (usize, &(String, Action))| {
            let seen = match action.to_model(transform).scroll_as_drag(width as f64, height as f64) {
                Action::Input { text, .. } => Action::Input { text, point: None },
                other => other,
            };
            let gap = if explanation.is_empty() { "" } else { " " };
            format!("Step {index}: {explanation}{gap}{}.", seen.to_history())
        };
        self.steps.iter().enumerate().map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::gui::Direction;
    use crate::prompt::Part;

    fn text(task: &Task) -> String {
        let screenshot = Image::from_rgb(560, 280, 1680, &vec![0; 560 * 280 * 3]).unwrap();
        let config = PreprocessConfig { max_pixels: 28 * 28 * 50, ..PreprocessConfig::default() };
        let prompt = task.prompt(screenshot, &config).unwrap();
        match &prompt.messages()[1].parts[..] {
            [Part::Image(_), Part::Text(text)] => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_prompt_is_the_published_one() {
        let expected = "You are a GUI agent. You will be provided with a screenshot, a goal, and your action history. \
            You need to perform the next action to complete the task.\n\n## Action Space\n\
            {\"action\": \"click\", \"start_point\": [x,y]}\n\
            {\"action\": \"drag\", \"start_point\": [x,y], \"end_point\": [x,y]}\n\
            {\"action\": \"input\", \"text\": \"text\"}\n\
            {\"action\": \"press\", \"keys\": [key1, key2, ...]}\n\
            {\"action\": \"wait\"}\n\
            {\"action\": \"finished\", \"status\": \"status\"}\n\n## Goal\nPay\n\n## Previous Actions\nNone\n\n\
            Now, output the next action in json format [{\"action\": \"{action_name}\"}, ...].";
        assert_eq!(text(&Task::new("Pay")), expected);
        let with = text(&Task::new("Pay").instruction("Press the button."));
        assert!(with.contains("your action history, and an instruction for your next action. You"));
        assert!(with.contains("None\n\n## Instruction for the next step\nPress the button.\n\nNow, output"));
    }

    #[test]
    fn history_is_in_the_models_pixels() {
        // 560 × 280 becomes 280 × 140.
        let task = Task::new("Pay")
            .step("点击确定。", Action::Click { point: [100.0, 50.0], text: None })
            .step("", Action::Scroll { direction: Direction::Down, distance: Some(5.0) })
            .step("Type.", Action::Input { text: "é".to_owned(), point: Some([1.0, 1.0]) });
        let history = "## Previous Actions\nStep 0: 点击确定。 {\"action_name\": \"click\", \"start_point\": [50, 25]}.\
            Step 1: {\"action_name\": \"drag\", \"start_point\": [140, 70], \"end_point\": [140, 28]}.\
            Step 2: Type. {\"action_name\": \"input\", \"text\": \"é\"}.\n\n";
        assert!(text(&task).contains(history), "{}", text(&task));
    }
}
