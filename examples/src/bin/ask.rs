//! Ask a question about pictures or videos: `ask FILE… "QUESTION"`.
//!
//! The answer is written while it comes. Thinking is dimmed on a terminal, and left out when the output goes
//! elsewhere, unless it is asked for. Errors are one line on stderr and exit status 1, wrong usage is status 2, and
//! Ctrl-C, which leaves at once when pressed again, is status 130.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use mimo_vl_core::expert::SimdLevel;
use mimo_vl_core::{
    Answer, CancelToken, Error, Event, GenerateOptions, Image, LoadOptions, Model, Part, Prompt, Session, StopReason,
    Thinking, Timings, Video, VideoOptions, draw_regions,
};
use mimo_vl_examples::progress::{loading_bar, show};
use mimo_vl_examples::tiny_model;

const USAGE: &str = "usage: ask [OPTION]... [FILE]... QUESTION

Ask a question about pictures or videos; the answer goes to the standard output.

  --model PATH         checkpoint directory, or a GGUF file (default: the mimo-vl-tiny of this repository)
  --device NAME        cpu, ndarray or cuda:0 (default: cpu)
  --weights FORMAT     native, f32, f16, bf16, int8 or int4 (default: native)
  --kv-cache-dtype FORMAT    keys and values in f32, f16 or int8 (default: f16 for weights of four or eight bits, else f32)
  --threads N          threads on the CPU (default: one for each core)
  --no-think           answer at once
  --show-thinking      write the thinking even when the output is not a terminal
  --thinking-tokens N  end the thinking after N tokens
  --max-tokens N       most tokens of the answer, thinking included
  --max-pixels N       shrink each picture to at most N pixels
  --temperature T      0 always takes the most likely token (default)
  --seed S             start of the random numbers
  --draw FILE          write the last picture with the boxes and points of the answer to FILE, a PNG
  --stats              write timings to the standard error
  --help               write this text
";

/// Status of a program that Ctrl-C ended, as shells count it.
const INTERRUPTED: u8 = 130;

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

struct Arguments {
    images: Vec<PathBuf>,
    question: OsString,
    model: PathBuf,
    load: LoadOptions,
    think: Thinking,
    show_thinking: bool,
    max_pixels: Option<u32>,
    generate: GenerateOptions,
    draw: Option<PathBuf>,
    stats: bool,
}

/// Why the program ends before its work is done.
enum Ending {
    Help,
    Usage(String),
    Failed(String),
    Interrupted,
    /// Nobody reads the output any more.
    Unread,
}

impl From<Error> for Ending {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled => Self::Interrupted,
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::Failed(format!("writing the answer: {error}")),
        }
    }
}

fn main() -> ExitCode {
    match parse(std::env::args_os().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(()) | Err(Ending::Unread) => ExitCode::SUCCESS,
        Err(Ending::Help) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(Ending::Usage(reason)) => {
            eprint!("ask: {reason}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(Ending::Failed(reason)) => {
            eprintln!("ask: {}", reason.replace(['\n', '\r'], " "));
            ExitCode::FAILURE
        }
        Err(Ending::Interrupted) => {
            eprintln!("ask: interrupted");
            ExitCode::from(INTERRUPTED)
        }
    }
}

fn parse(words: impl Iterator<Item = OsString>) -> Result<Arguments, Ending> {
    let mut arguments = Arguments {
        images: Vec::new(),
        question: OsString::new(),
        model: tiny_model(),
        load: LoadOptions::new(),
        think: Thinking::Auto,
        show_thinking: false,
        max_pixels: None,
        generate: GenerateOptions::new(),
        draw: None,
        stats: false,
    };
    let mut words = words;
    let mut positional: Vec<OsString> = Vec::new();
    while let Some(word) = words.next() {
        // A file name need not be UTF-8; an option is.
        let option = word.to_str().filter(|word| word.starts_with("--")).map(str::to_owned);
        match option.as_deref() {
            None => positional.push(word),
            Some("--") => positional.extend(words.by_ref()),
            Some(option) => {
                let (name, value) = match option.split_once('=') {
                    Some((name, value)) => (name, Some(OsString::from(value))),
                    None => (option, None),
                };
                set(&mut arguments, name, value, &mut words)?;
            }
        }
    }
    arguments.question = positional.pop().ok_or_else(|| Ending::Usage("there is no question".to_owned()))?;
    arguments.images = positional.into_iter().map(PathBuf::from).collect();
    Ok(arguments)
}

fn set(
    arguments: &mut Arguments,
    name: &str,
    value: Option<OsString>,
    words: &mut impl Iterator<Item = OsString>,
) -> Result<(), Ending> {
    let flag = matches!(name, "--no-think" | "--show-thinking" | "--stats" | "--help");
    if flag && value.is_some() {
        return Err(Ending::Usage(format!("{name} takes no value")));
    }
    let mut value =
        || value.clone().or_else(|| words.next()).ok_or_else(|| Ending::Usage(format!("{name} needs a value")));
    match name {
        "--no-think" => arguments.think = Thinking::Off,
        "--show-thinking" => arguments.show_thinking = true,
        "--stats" => arguments.stats = true,
        "--help" => return Err(Ending::Help),
        "--model" => arguments.model = PathBuf::from(value()?),
        "--device" => arguments.load.device = value()?.to_string_lossy().into_owned(),
        "--weights" => {
            let parsed = value()?.to_string_lossy().parse();
            arguments.load.weights = parsed.map_err(|error: Error| Ending::Usage(error.to_string()))?;
        }
        "--kv-cache-dtype" => {
            let parsed = value()?.to_string_lossy().parse();
            arguments.load.kv_cache_dtype = Some(parsed.map_err(|error: Error| Ending::Usage(error.to_string()))?);
        }
        "--threads" => arguments.load.threads = Some(number(name, &value()?)?),
        "--thinking-tokens" => arguments.generate.thinking_budget = Some(number(name, &value()?)?),
        "--draw" => arguments.draw = Some(PathBuf::from(value()?)),
        "--max-tokens" => arguments.generate.max_tokens = number(name, &value()?)?,
        "--max-pixels" => arguments.max_pixels = Some(number(name, &value()?)?),
        "--temperature" => arguments.generate.temperature = number(name, &value()?)?,
        "--seed" => arguments.generate.seed = number(name, &value()?)?,
        _ => return Err(Ending::Usage(format!("unknown option {name}"))),
    }
    Ok(())
}

fn number<T: FromStr>(name: &str, value: &OsStr) -> Result<T, Ending> {
    let parsed = value.to_str().and_then(|value| value.parse().ok());
    parsed.ok_or_else(|| Ending::Usage(format!("{name}: {:?} is not a number that fits", value.to_string_lossy())))
}

fn run(arguments: &Arguments) -> Result<(), Ending> {
    let prompt = prompt(arguments)?;
    let cancel = CancelToken::new();
    interrupt(cancel.clone());
    let bar = loading_bar();
    let shown = bar.clone();
    let load = arguments.load.clone().cancel(&cancel).on_progress(move |progress| show(&shown, progress));
    let model = Model::load(&arguments.model, &load);
    bar.finish_and_clear();
    let model = model?;
    let mut session = model.session();
    let plan = if arguments.stats { Some(session.plan(&prompt, &arguments.generate)?) } else { None };
    let answer = write_answer(&mut session, &prompt, arguments, &cancel)?;
    if let Some(plan) = plan {
        write_stats(&model, &answer.timings);
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        eprintln!(
            "memory     {:8.3} GB planned, {:.3} GB for weights, {:.3} GB for the cache, {:.3} GB for media",
            gigabytes(plan.peak_bytes),
            gigabytes(answer.memory.weights),
            gigabytes(answer.memory.cache),
            gigabytes(answer.memory.pixels + answer.memory.features)
        );
    }
    if let Some(file) = &arguments.draw {
        write_drawing(&answer, &prompt, file)?;
    }
    match answer.stop {
        StopReason::MaxTokens => eprintln!("ask: the answer is cut off at {} tokens", answer.tokens),
        StopReason::ContextFull => eprintln!("ask: the answer is cut off: the context is full"),
        _ => {}
    }
    Ok(())
}

fn prompt(arguments: &Arguments) -> Result<Prompt, Ending> {
    let question = arguments.question.to_str();
    let question = question.ok_or_else(|| Ending::Failed("the question is not valid UTF-8".to_owned()))?;
    let mut prompt = Prompt::user().thinking(arguments.think);
    for path in &arguments.images {
        prompt = match arguments.max_pixels {
            pixels if is_video(path) => {
                let options = VideoOptions::new();
                prompt.video(Video::open(path, &pixels.map_or(options.clone(), |pixels| options.max_pixels(pixels)))?)
            }
            Some(pixels) => prompt.image(Image::open(path)?.max_pixels(pixels)),
            None => prompt.image(Image::open(path)?),
        };
    }
    Ok(prompt.text(question))
}

fn is_video(path: &Path) -> bool {
    const ENDINGS: [&str; 8] = ["avi", "flv", "m4v", "mkv", "mov", "mp4", "webm", "wmv"];
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// Write the last picture with what the answer locates in it.
fn write_drawing(answer: &Answer, prompt: &Prompt, file: &Path) -> Result<(), Ending> {
    let mut pictures = prompt.messages().iter().flat_map(|message| &message.parts).filter_map(|part| match part {
        Part::Image(image) => Some(image),
        Part::Video(video) => video.frames().last(),
        _ => None,
    });
    let last = pictures.next_back().ok_or_else(|| Ending::Failed("--draw needs a picture".to_owned()))?;
    let drawn = draw_regions(last, &answer.regions)?.to_png()?;
    std::fs::write(file, drawn).map_err(|error| Ending::Failed(format!("{}: {error}", file.display())))
}

/// The first Ctrl-C ends loading or the answer, a second one the program.
fn interrupt(cancel: CancelToken) {
    let handler = move || {
        if cancel.is_cancelled() {
            std::process::exit(INTERRUPTED.into());
        }
        cancel.cancel();
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("ask: Ctrl-C will not be handled: {error}");
    }
}

fn write_answer(
    session: &mut Session,
    prompt: &Prompt,
    arguments: &Arguments,
    cancel: &CancelToken,
) -> Result<Answer, Ending> {
    let mut out = io::stdout().lock();
    let terminal = out.is_terminal();
    let (dim, plain) = if terminal { (DIM, PLAIN) } else { ("", "") };
    let show_thinking = terminal || arguments.show_thinking;
    let mut thought = false;
    let mut stream = session.stream(prompt, &arguments.generate.clone().cancel(cancel))?;
    let mut ended = Ok(());
    for event in &mut stream {
        match event {
            Ok(Event::Thinking(text)) if show_thinking => {
                write!(out, "{dim}{text}{plain}")?;
                thought = true;
            }
            Ok(Event::Text(text)) => {
                let gap = if std::mem::take(&mut thought) { "\n\n" } else { "" };
                write!(out, "{gap}{text}")?;
            }
            Ok(_) => {}
            Err(error) => ended = Err(error),
        }
        out.flush()?;
    }
    writeln!(out)?;
    ended?;
    Ok(stream.answer()?)
}

fn write_stats(model: &Model, timings: &Timings) {
    let seconds = |duration: std::time::Duration| format!("{:8.3} s", duration.as_secs_f64());
    eprintln!("device     {}", model.device());
    if model.device() == "cpu" {
        eprintln!("kernels    {}", SimdLevel::current().name());
    }
    eprintln!("load       {}", seconds(timings.load));
    eprintln!("media      {}", seconds(timings.media));
    eprintln!("preprocess {}", seconds(timings.preprocess));
    eprintln!("encode     {}", seconds(timings.encode));
    eprintln!(
        "prefill    {}  {} tokens, {} of them cached, {:.1} tokens/s",
        seconds(timings.prefill),
        timings.prompt_tokens,
        timings.cached_tokens,
        timings.prefill_tokens_per_second()
    );
    eprintln!(
        "decode     {}  {} tokens, {:.1} tokens/s, {} of {} guesses right",
        seconds(timings.decode),
        timings.tokens,
        timings.decode_tokens_per_second(),
        timings.accepted,
        timings.drafted
    );
}
