//! Answers a prompt about images and videos: `ask FILE… PROMPT`.
//!
//! The answer is streamed to stdout. Thinking is dimmed on a terminal and left out elsewhere, unless `--show-thinking`
//! is set. An error is one line on stderr and exit status 1; wrong usage is status 2. The first Ctrl-C ends the answer
//! with status 130, a second one ends the program at once.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use mimo_vl_core::expert::SimdLevel;
use mimo_vl_core::expert::media_name;
use mimo_vl_core::{
    Answer, CancelToken, Error, Event, FrameSampling, GenerateOptions, Image, LoadOptions, Model, Part, Prompt,
    Session, StopReason, Thinking, Timings, Video, VideoOptions, draw_regions,
};
use mimo_vl_examples::progress::{loading_bar, show};
use mimo_vl_examples::tiny_model;

const USAGE: &str = "usage: ask [OPTION]... [FILE]... PROMPT

Answer a prompt about images and videos on the standard output.

  --model PATH          checkpoint directory or GGUF file (default: mimo-vl-tiny of this repository)
  --device NAME         cpu (the default); ndarray and cuda:0 in builds with that feature
  --weights FORMAT      native, f32, f16, bf16, int8 or int4 (default: native)
  --kv-cache-dtype TYPE f32, f16 or int8 (default: f16 with int8 and int4 weights, else f32)
  --threads N           CPU threads (default: one per physical core)
  --no-think            answer without thinking
  --show-thinking       print the thinking even if the output is not a terminal
  --thinking-budget N   end the thinking after N tokens
  --max-tokens N        maximum tokens of the answer, thinking included (default: 4096)
  --max-context N       maximum tokens of the conversation with the answer (default: the model's)
  --max-pixels N        downscale each image or frame to at most N pixels
  --fps N               frames per second of a video (default: 2)
  --max-frames N        maximum frames of a video (default: 768)
  --temperature T       sampling temperature; 0 is greedy (default: 0)
  --seed N              seed of the sampler (default: 0)
  --draw FILE           write the last image with the answer's boxes and points to FILE (PNG)
  --stats               print timings and memory to the standard error
  --help                print this text
";

/// Exit status after Ctrl-C: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

struct Arguments {
    files: Vec<PathBuf>,
    prompt: OsString,
    model: PathBuf,
    load: LoadOptions,
    thinking: Thinking,
    show_thinking: bool,
    max_pixels: Option<u32>,
    /// Frames of videos.
    sampling: FrameSampling,
    options: GenerateOptions,
    draw: Option<PathBuf>,
    stats: bool,
}

/// The reason why the program ends before its work is done.
enum Exit {
    Help,
    Usage(String),
    Failed(String),
    Interrupted,
    /// The reader of the output has closed it.
    BrokenPipe,
}

impl From<Error> for Exit {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled => Self::Interrupted,
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<io::Error> for Exit {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::Failed(format!("writing the answer: {error}")),
        }
    }
}

fn main() -> ExitCode {
    match parse(std::env::args_os().skip(1)).and_then(|arguments| run(&arguments)) {
        Ok(()) | Err(Exit::BrokenPipe) => ExitCode::SUCCESS,
        Err(Exit::Help) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(Exit::Usage(reason)) => {
            eprint!("ask: {reason}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(Exit::Failed(reason)) => {
            eprintln!("ask: {}", reason.replace(['\n', '\r'], " "));
            ExitCode::FAILURE
        }
        Err(Exit::Interrupted) => {
            eprintln!("ask: interrupted");
            ExitCode::from(INTERRUPTED)
        }
    }
}

fn parse(words: impl Iterator<Item = OsString>) -> Result<Arguments, Exit> {
    let mut arguments = Arguments {
        files: Vec::new(),
        prompt: OsString::new(),
        model: tiny_model(),
        load: LoadOptions::new(),
        thinking: Thinking::Auto,
        show_thinking: false,
        max_pixels: None,
        sampling: FrameSampling::new(),
        options: GenerateOptions::new(),
        draw: None,
        stats: false,
    };
    let mut words = words;
    let mut positional: Vec<OsString> = Vec::new();
    while let Some(word) = words.next() {
        // File names may be other than UTF-8, options may not.
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
    arguments.prompt = positional.pop().ok_or_else(|| Exit::Usage("no prompt".to_owned()))?;
    if let Some(kind) = arguments.prompt.to_str().and_then(media_name) {
        return Err(Exit::Usage(format!("no prompt: the last argument, {:?}, {kind}", arguments.prompt)));
    }
    arguments.files = positional.into_iter().map(PathBuf::from).collect();
    Ok(arguments)
}

fn set(
    arguments: &mut Arguments,
    name: &str,
    value: Option<OsString>,
    words: &mut impl Iterator<Item = OsString>,
) -> Result<(), Exit> {
    let flag = matches!(name, "--no-think" | "--show-thinking" | "--stats" | "--help");
    if flag && value.is_some() {
        return Err(Exit::Usage(format!("{name} takes no value")));
    }
    let mut value =
        || value.clone().or_else(|| words.next()).ok_or_else(|| Exit::Usage(format!("{name} needs a value")));
    match name {
        "--no-think" => arguments.thinking = Thinking::Off,
        "--show-thinking" => arguments.show_thinking = true,
        "--stats" => arguments.stats = true,
        "--help" => return Err(Exit::Help),
        "--model" => arguments.model = PathBuf::from(value()?),
        "--device" => arguments.load.device = value()?.to_string_lossy().into_owned(),
        "--weights" => {
            let parsed = value()?.to_string_lossy().parse();
            arguments.load.weights = parsed.map_err(|error: Error| Exit::Usage(error.to_string()))?;
        }
        "--kv-cache-dtype" => {
            let parsed = value()?.to_string_lossy().parse();
            arguments.load.kv_cache_dtype = Some(parsed.map_err(|error: Error| Exit::Usage(error.to_string()))?);
        }
        "--threads" => arguments.load.threads = Some(number(name, &value()?)?),
        "--thinking-budget" => arguments.options.thinking_budget = Some(number(name, &value()?)?),
        "--draw" => arguments.draw = Some(PathBuf::from(value()?)),
        "--max-tokens" => arguments.options.max_tokens = number(name, &value()?)?,
        "--max-context" => arguments.options.max_context = Some(number(name, &value()?)?),
        "--fps" => arguments.sampling.fps = Some(number(name, &value()?)?),
        "--max-frames" => arguments.sampling.max_frames = Some(number(name, &value()?)?),
        "--max-pixels" => arguments.max_pixels = Some(number(name, &value()?)?),
        "--temperature" => arguments.options.temperature = number(name, &value()?)?,
        "--seed" => arguments.options.seed = number(name, &value()?)?,
        _ => return Err(Exit::Usage(format!("unknown option {name}"))),
    }
    Ok(())
}

fn number<T: FromStr>(name: &str, value: &OsStr) -> Result<T, Exit> {
    let parsed = value.to_str().and_then(|value| value.parse().ok());
    parsed.ok_or_else(|| Exit::Usage(format!("{name}: {:?} is not a number in range", value.to_string_lossy())))
}

fn run(arguments: &Arguments) -> Result<(), Exit> {
    let prompt = prompt(arguments)?;
    let cancel = CancelToken::new();
    handle_ctrl_c(cancel.clone());
    let bar = loading_bar();
    let shown = bar.clone();
    let load = arguments.load.clone().cancel(&cancel).on_progress(move |progress| show(&shown, progress));
    let model = Model::load(&arguments.model, &load);
    bar.finish_and_clear();
    let model = model?;
    let mut session = model.session();
    let plan = if arguments.stats { Some(session.plan(&prompt, &arguments.options)?) } else { None };
    let answer = write_answer(&mut session, &prompt, arguments, &cancel)?;
    if let Some(plan) = plan {
        write_stats(&model, &answer.timings);
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        eprintln!(
            "memory     {:8.3} GB planned, {:.3} GB weights, {:.3} GB KV cache, {:.3} GB media",
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
        StopReason::MaxTokens => eprintln!("ask: the answer was cut off after {} tokens", answer.tokens),
        StopReason::ContextFull => eprintln!("ask: the answer was cut off: the context is full"),
        _ => {}
    }
    Ok(())
}

fn prompt(arguments: &Arguments) -> Result<Prompt, Exit> {
    let text = arguments.prompt.to_str();
    let text = text.ok_or_else(|| Exit::Failed("the prompt is not valid UTF-8".to_owned()))?;
    let mut prompt = Prompt::user().thinking(arguments.thinking);
    for path in &arguments.files {
        prompt = match arguments.max_pixels {
            pixels if is_video(path) => {
                let mut options = VideoOptions::new().sampling(arguments.sampling.clone());
                options.max_pixels = pixels;
                prompt.video(Video::open(path, &options)?)
            }
            Some(pixels) => prompt.image(Image::open(path)?.max_pixels(pixels)),
            None => prompt.image(Image::open(path)?),
        };
    }
    Ok(prompt.text(text))
}

fn is_video(path: &Path) -> bool {
    const EXTENSIONS: [&str; 8] = ["avi", "flv", "m4v", "mkv", "mov", "mp4", "webm", "wmv"];
    path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// Writes the last image with the answer's boxes and points drawn over it.
fn write_drawing(answer: &Answer, prompt: &Prompt, file: &Path) -> Result<(), Exit> {
    let mut images = prompt.messages().iter().flat_map(|message| &message.parts).filter_map(|part| match part {
        Part::Image(image) => Some(image),
        Part::Video(video) => video.frames().last(),
        _ => None,
    });
    let last = images.next_back().ok_or_else(|| Exit::Failed("--draw needs an image".to_owned()))?;
    let drawn = draw_regions(last, &answer.regions)?.to_png()?;
    std::fs::write(file, drawn).map_err(|error| Exit::Failed(format!("{}: {error}", file.display())))
}

/// Lets the first Ctrl-C cancel loading or the answer, and a second one end the program.
fn handle_ctrl_c(cancel: CancelToken) {
    let handler = move || {
        if cancel.is_cancelled() {
            std::process::exit(INTERRUPTED.into());
        }
        cancel.cancel();
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("ask: cannot handle Ctrl-C: {error}");
    }
}

fn write_answer(
    session: &mut Session,
    prompt: &Prompt,
    arguments: &Arguments,
    cancel: &CancelToken,
) -> Result<Answer, Exit> {
    let mut out = io::stdout().lock();
    let terminal = out.is_terminal();
    let (dim, plain) = if terminal { (DIM, PLAIN) } else { ("", "") };
    let show_thinking = terminal || arguments.show_thinking;
    let mut in_thinking = false;
    let mut stream = session.stream(prompt, &arguments.options.clone().cancel(cancel))?;
    let mut result = Ok(());
    for event in &mut stream {
        match event {
            Ok(Event::Thinking(text)) if show_thinking => {
                write!(out, "{dim}{text}{plain}")?;
                in_thinking = true;
            }
            Ok(Event::Text(text)) => {
                let gap = if std::mem::take(&mut in_thinking) { "\n\n" } else { "" };
                write!(out, "{gap}{text}")?;
            }
            Ok(_) => {}
            Err(error) => result = Err(error),
        }
        out.flush()?;
    }
    writeln!(out)?;
    result?;
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
        "prefill    {}  {} tokens, {} cached, {:.1} tokens/s",
        seconds(timings.prefill),
        timings.prompt_tokens,
        timings.cached_tokens,
        timings.prefill_tokens_per_second()
    );
    eprintln!(
        "decode     {}  {} tokens, {:.1} tokens/s, {} of {} draft tokens accepted",
        seconds(timings.decode),
        timings.tokens,
        timings.decode_tokens_per_second(),
        timings.accepted,
        timings.drafted
    );
}
