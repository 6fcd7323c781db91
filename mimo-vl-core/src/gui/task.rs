//! The prompt that asks for the next action.

use super::action::Action;
use super::action_kind::ActionKind;
use crate::config::PreprocessConfig;
use crate::error::Result;
use crate::media::{Image, Transform};
use crate::preprocess::image_layout;
use crate::prompt::Prompt;

const SYSTEM: &str = "You are a helpful assistant.";

/// The action space of the authors' evaluation.
const DEFAULT_ACTION_SPACE: [ActionKind; 6] =
    [ActionKind::Click, ActionKind::Drag, ActionKind::Input, ActionKind::Press, ActionKind::Wait, ActionKind::Finished];

/// The task of a GUI agent: its goal, its action space, and its steps so far.
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
/// // Perform the action, take the next screenshot, and repeat.
/// task = task.step("Open the settings.", action);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    goal: String,
    instruction: Option<String>,
    action_space: Vec<ActionKind>,
    steps: Vec<(String, Action)>,
}

impl Task {
    /// Creates a task without steps.
    pub fn new(goal: impl Into<String>) -> Self {
        Self { goal: goal.into(), instruction: None, action_space: DEFAULT_ACTION_SPACE.to_vec(), steps: Vec::new() }
    }

    /// Sets an instruction for the next step.
    #[must_use]
    pub fn instruction(mut self, instruction: impl Into<String>) -> Self {
        self.instruction = Some(instruction.into());
        self
    }

    /// Sets the actions that the model may take. Default: click, drag, input, press, wait and finished, as in the
    /// authors' evaluation.
    #[must_use]
    pub fn action_space(mut self, actions: &[ActionKind]) -> Self {
        self.action_space = actions.to_vec();
        self
    }

    /// The actions that the model may take.
    pub fn actions(&self) -> &[ActionKind] {
        &self.action_space
    }

    /// Appends a performed action, in pixels of the caller's screenshots, which must all have the same size.
    /// `explanation` describes it in words and may be empty.
    #[must_use]
    pub fn step(mut self, explanation: impl Into<String>, action: Action) -> Self {
        self.steps.push((explanation.into(), action));
        self
    }

    /// Builds the prompt for the next action, with the screenshot before the text, in the wording that MiMo-VL was
    /// trained and evaluated with. The history has earlier actions in the model's pixels, scrolls as drags, and input
    /// without its point.
    ///
    /// # Errors
    /// [`Error::Image`](crate::Error::Image) when the screenshot cannot be resized for the model.
    pub fn prompt(&self, screenshot: Image, config: &PreprocessConfig) -> Result<Prompt> {
        let transform = image_layout(&screenshot, config)?.transform;
        let inputs = match &self.instruction {
            Some(_) => "a screenshot, a goal, your action history, and an instruction for your next action",
            None => "a screenshot, a goal, and your action history",
        };
        let instruction = self.instruction.as_ref();
        let instruction = instruction.map(|instruction| format!("## Instruction for the next step\n{instruction}\n\n"));
        let signatures: Vec<String> = self.action_space.iter().map(|kind| kind.signature()).collect();
        let text = format!(
            "You are a GUI agent. You will be provided with {inputs}. You need to perform the next action to complete \
             the task.\n\n## Action Space\n{}\n\n## Goal\n{}\n\n## Previous Actions\n{}\n\n{}Now, output the next \
             action in json format [{{\"action\": \"{{action_name}}\"}}, ...].",
            signatures.join("\n"),
            self.goal,
            self.history(&transform),
            instruction.unwrap_or_default(),
        );
        Ok(Prompt::user().system(SYSTEM).image(screenshot).text(text))
    }

    /// The text of the steps so far.
    fn history(&self, transform: &Transform) -> String {
        if self.steps.is_empty() {
            return "None".to_owned();
        }
        let (width, height) = transform.resized;
        let step = |(index, (explanation, action)): (usize, &(String, Action))| {
            let action = match action.to_model(transform).scroll_as_drag(width as f64, height as f64) {
                Action::Input { text, .. } => Action::Input { text, point: None },
                other => other,
            };
            let gap = if explanation.is_empty() { "" } else { " " };
            format!("Step {index}: {explanation}{gap}{}.", action.to_history())
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
        let instructed = text(&Task::new("Pay").instruction("Press the button."));
        assert!(instructed.contains("your action history, and an instruction for your next action. You"));
        assert!(instructed.contains("None\n\n## Instruction for the next step\nPress the button.\n\nNow, output"));
    }

    #[test]
    fn the_history_is_in_the_models_pixels() {
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
