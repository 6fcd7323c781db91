//! Ask the questions of a JSONL file and score the answers: `evaluate QUESTIONS.jsonl`.
//!
//! A line is an object with `question`, `answer`, `kind` and, as far as there are, `id`, `image` or `images`, `video` and
//! `choices`. Results go to QUESTIONS.results.jsonl, one line for each question; a second run goes on where the first was
//! stopped. At the end QUESTIONS.report.md has the scores. A question that fails is part of the results and stops nothing.
//! Ctrl-C ends the run, and pressed again the program.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use mimo_vl_core::{CancelToken, Error, FrameSampling, GenerateOptions, LoadOptions, Model, Thinking, VideoOptions};
use mimo_vl_examples::evaluation::{Item, Kind};
use mimo_vl_examples::tiny_model;
use serde::{Deserialize, Serialize};

const USAGE: &str = "usage: evaluate [OPTION]... QUESTIONS.jsonl

  --model PATH       checkpoint directory, or a GGUF file (default: the mimo-vl-tiny of this repository)
  --device NAME      cpu, ndarray or cuda:0 (default: cpu)
  --weights FORMAT   native, f32, f16, bf16, int8 or int4 (default: native)
  --no-think         answer at once
  --max-tokens N     most tokens of an answer (default: 4096)
  --max-context N    most tokens of question and answer (default: that of the model)
  --temperature T    0 for the likeliest token (default: 0)
  --top-p P          leave out the least likely tokens (default: 1)
  --seed S           of all answers (default: 0)
  --max-frames N     most frames of a video, 2 a second (default: 768)
  --video-tokens N   most tokens of a video, but 134 for two frames at least (default: 115200)
  --help             write this text
";

/// What came of a question.
#[derive(Serialize, Deserialize)]
struct Outcome {
    id: String,
    kind: String,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    answer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    error: Option<String>,
    tokens: usize,
    seconds: f64,
}

struct Arguments {
    questions: PathBuf,
    model: PathBuf,
    load: LoadOptions,
    thinking: Thinking,
    generate: GenerateOptions,
    video: VideoOptions,
}

impl Arguments {
    fn thinking_name(&self) -> &'static str {
        if self.thinking == Thinking::Off { "off" } else { "auto" }
    }

    /// What results depend on.
    fn run(&self) -> String {
        let (load, generate, video) = (&self.load, &self.generate, &self.video);
        format!(
            "{} {} {:?} {} {} tokens of {:?}, temperature {} top-p {} seed {}, {:?} frames of {:?} pixels",
            self.model.display(),
            load.device,
            load.weights,
            self.thinking_name(),
            generate.max_tokens,
            load.max_context,
            generate.temperature,
            generate.top_p,
            generate.seed,
            video.sampling.max_frames,
            video.total_pixels
        )
    }
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => match run(&arguments) {
            Ok(finished) => ExitCode::from(if finished { 0 } else { 130 }),
            Err(reason) => {
                eprintln!("evaluate: {reason}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprint!("evaluate: {reason}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments {
        questions: PathBuf::new(),
        model: tiny_model(),
        load: LoadOptions::new(),
        thinking: Thinking::Auto,
        generate: GenerateOptions::new(),
        video: VideoOptions::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--model" => arguments.model = PathBuf::from(value()?),
            "--device" => arguments.load.device = value()?,
            "--weights" => arguments.load.weights = value()?.parse().map_err(|error: Error| error.to_string())?,
            "--no-think" => arguments.thinking = Thinking::Off,
            "--max-tokens" => arguments.generate.max_tokens = number(&word, &value()?)?,
            "--max-context" => arguments.load.max_context = Some(number(&word, &value()?)?),
            "--temperature" => arguments.generate.temperature = number(&word, &value()?)?,
            "--top-p" => arguments.generate.top_p = number(&word, &value()?)?,
            "--seed" => arguments.generate.seed = number(&word, &value()?)?,
            "--max-frames" => arguments.video.sampling = FrameSampling::new().max_frames(number(&word, &value()?)?),
            "--video-tokens" => {
                arguments.video.total_pixels = Some(number::<u64>(&word, &value()?)?.saturating_mul(28 * 28));
            }
            "--help" => return Ok(None),
            option if option.starts_with("--") => return Err(format!("unknown option {option}")),
            file if arguments.questions.as_os_str().is_empty() => arguments.questions = PathBuf::from(file),
            more => return Err(format!("one file is evaluated at a time, and {more} is another")),
        }
    }
    if arguments.questions.as_os_str().is_empty() {
        return Err("there is no file of questions".to_owned());
    }
    Ok(Some(arguments))
}

fn number<T: FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{option} needs a number, and {text:?} is none"))
}

/// Whether all questions are answered.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let items = questions(&arguments.questions)?;
    let results = arguments.questions.with_extension("results.jsonl");
    let run = arguments.run();
    arguments.generate.validate().map_err(|error| error.to_string())?;
    let mut done = earlier(&results, &run)?;
    done.retain(|id, _| items.iter().any(|(known, _)| known == id));
    let cancel = CancelToken::new();
    interrupt(cancel.clone())?;
    let model = Model::load(&arguments.model, &arguments.load.clone().cancel(&cancel));
    let model = model.map_err(|error| error.to_string())?;
    let is_new = !results.exists();
    let mut file =
        OpenOptions::new().create(true).append(true).open(&results).map_err(|error| named(&results, error))?;
    let mut write = |line: String| {
        // At once, so that a line is there as a whole or not.
        let line = format!("{line}\n");
        file.write_all(line.as_bytes()).map_err(|error| named(&results, error))
    };
    if is_new {
        write(serde_json::json!({ "run": run }).to_string())?;
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed}/{duration} {msg}");
    let bar = ProgressBar::new(items.len() as u64).with_style(style.map_err(|error| error.to_string())?);
    let folder = arguments.questions.parent().unwrap_or(Path::new(""));
    for (id, item) in &items {
        if done.contains_key(id) {
            bar.inc(1);
            continue;
        }
        let Some(outcome) = outcome(id, item, folder, &model, arguments, &cancel) else { break };
        write(serde_json::to_string(&outcome).map_err(|error| error.to_string())?)?;
        done.insert(id.clone(), outcome);
        bar.inc(1);
        let mean = done.values().map(|outcome| outcome.score).sum::<f64>() / done.len() as f64;
        bar.set_message(format!("mean {:.1} %", 100.0 * mean));
    }
    bar.finish_and_clear();
    let finished = items.iter().all(|(id, _)| done.contains_key(id));
    let report = report(&items, &done, arguments);
    print!("{report}");
    if finished {
        let path = arguments.questions.with_extension("report.md");
        fs::write(&path, report).map_err(|error| named(&path, error))?;
    }
    Ok(finished)
}

fn named(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

fn questions(path: &Path) -> Result<Vec<(String, Item)>, String> {
    let text = fs::read_to_string(path).map_err(|error| named(path, error))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let items = lines.map(|(index, line)| {
        let item: Item =
            serde_json::from_str(line).map_err(|error| format!("{}:{}: {error}", path.display(), index + 1))?;
        Ok((item.id.clone().unwrap_or_else(|| (index + 1).to_string()), item))
    });
    let items: Vec<(String, Item)> = items.collect::<Result<_, String>>()?;
    let mut ids: Vec<&String> = items.iter().map(|(id, _)| id).collect();
    ids.sort();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("{}: the id {:?} stands there twice", path.display(), pair[0])),
        None => Ok(items),
    }
}

/// The first line of results.
#[derive(Deserialize)]
struct Head {
    run: String,
}

/// What an earlier run of the same kind found; a last line that was cut short counts as nothing.
fn earlier(path: &Path, run: &str) -> Result<HashMap<String, Outcome>, String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(named(path, error)),
    };
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut lines = bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let head = lines.next().map(serde_json::from_slice::<Head>);
    match head {
        Some(Ok(head)) if head.run == run => {}
        None => {}
        _ => {
            return Err(format!("{} has results of another model or with other options: move it away", path.display()));
        }
    }
    let outcomes = lines.map(serde_json::from_slice::<Outcome>);
    let outcomes: Vec<Outcome> = outcomes.collect::<Result<_, _>>().map_err(|error| named(path, error))?;
    if whole == 0 {
        fs::remove_file(path).map_err(|error| named(path, error))?;
    } else if whole < bytes.len() {
        fs::write(path, &bytes[..whole]).map_err(|error| named(path, error))?;
    }
    Ok(outcomes.into_iter().map(|outcome| (outcome.id.clone(), outcome)).collect())
}

/// The first Ctrl-C ends what is under way, a second one the program.
fn interrupt(run: CancelToken) -> Result<(), String> {
    let handler = move || {
        if run.is_cancelled() {
            std::process::exit(130);
        }
        run.cancel();
    };
    ctrlc::set_handler(handler).map_err(|error| error.to_string())
}

/// What comes of a question; `None` when the run is stopped.
fn outcome(
    id: &str,
    item: &Item,
    folder: &Path,
    model: &Model,
    arguments: &Arguments,
    cancel: &CancelToken,
) -> Option<Outcome> {
    let start = Instant::now();
    let answered = item.prompt(folder, arguments.thinking, &arguments.video).and_then(|prompt| {
        let answer = model.session().ask(&prompt, &arguments.generate.clone().cancel(cancel))?;
        let score = item.score(&answer)?;
        Ok((answer, score))
    });
    let seconds = start.elapsed().as_secs_f64();
    let outcome = Outcome {
        id: id.to_owned(),
        kind: item.kind.name().to_owned(),
        score: 0.0,
        answer: None,
        error: None,
        tokens: 0,
        seconds,
    };
    match answered {
        Ok((answer, score)) => Some(Outcome { score, tokens: answer.tokens, answer: Some(answer.text), ..outcome }),
        Err(Error::Cancelled) => None,
        Err(error) => Some(Outcome { error: Some(error.to_string()), ..outcome }),
    }
}

fn report(items: &[(String, Item)], done: &HashMap<String, Outcome>, arguments: &Arguments) -> String {
    let mut kinds: BTreeMap<Kind, Vec<&Outcome>> = BTreeMap::new();
    for (id, item) in items {
        if let Some(outcome) = done.get(id) {
            kinds.entry(item.kind).or_default().push(outcome);
        }
    }
    let mut text = format!(
        "# {}\n\nModel {}, thinking {:?}, {} of {} questions.\n\n| kind | questions | score | failed | tokens | seconds |\n\
         |---|---:|---:|---:|---:|---:|\n",
        arguments.questions.display(),
        arguments.model.display(),
        arguments.thinking,
        done.len(),
        items.len(),
    );
    for (kind, outcomes) in &kinds {
        let count = outcomes.len() as f64;
        let score = outcomes.iter().map(|outcome| outcome.score).sum::<f64>() / count;
        let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
        let tokens = outcomes.iter().map(|outcome| outcome.tokens).sum::<usize>() as f64 / count;
        let seconds = outcomes.iter().map(|outcome| outcome.seconds).sum::<f64>() / count;
        text += &format!(
            "| {} | {} | {:.1} % | {failed} | {tokens:.1} | {seconds:.2} |\n",
            kind.name(),
            outcomes.len(),
            100.0 * score
        );
    }
    text
}
