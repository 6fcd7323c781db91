//! Put one question to every page and picture in a folder: `batch_pdf FOLDER --question TEXT | --schema FILE`.
//!
//! Every page of a PDF file and every picture becomes a line of JSON; a summary in Markdown lies beside the file of lines. A
//! second run goes on where the first stopped, and tries again what failed. What is wrong with a page or a file becomes a
//! line, too, and status 1 in the end, as other errors do. Wrong usage is status 2. Ctrl-C keeps what is done: status 130.
//! docs/guide/batch_files.md has the keys of a line; examples/python/batch_pdf.py does the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use mimo_vl_core::{
    Answer, BatchOptions, CancelToken, Error, GenerateOptions, Geometry, Grammar, Image, LoadOptions, Model,
    PdfOptions, Prompt, Region, Thinking, open_pdf,
};
use mimo_vl_examples::tiny_model;
use serde_json::{Value, json};

const USAGE: &str = "\
usage: batch_pdf FOLDER --question TEXT | --schema FILE [OPTION]...

  --question TEXT    what is asked about each page and picture
  --schema FILE      a JSON schema that each answer follows
  --out FILE         where results are written (default: FOLDER.jsonl)
  --model PATH       checkpoint directory, or a GGUF file (default: the mimo-vl-tiny of this repository)
  --device NAME      cpu, ndarray or cuda:0 (default: cpu)
  --weights FORMAT   native, f32, f16, bf16, int8 or int4 (default: native)
  --pages N          only the first N pages of each PDF file
  --together N       answer N at a time (default: 4)
  --password TEXT    what opens the PDF files
  --no-think         answer at once
  --max-tokens N     most tokens of an answer, with thinking";

const PICTURES: [&str; 8] = ["png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff"];

struct Job {
    folder: PathBuf,
    out: PathBuf,
    model: PathBuf,
    load: LoadOptions,
    pages: usize,
    together: usize,
    pdf: PdfOptions,
    question: String,
    thinking: Thinking,
    generate: GenerateOptions,
    /// All that results depend on.
    run: Value,
}

/// A picture, or a page of a PDF file: its path in the folder, and its number from 1 on, 0 for a picture.
#[derive(Clone)]
struct Item {
    file: String,
    page: usize,
}

impl Item {
    fn id(&self) -> String {
        if self.page == 0 { self.file.clone() } else { format!("{}#{}", self.file, self.page) }
    }
}

fn main() -> ExitCode {
    let job = match parse(std::env::args().skip(1)) {
        Ok(job) => job,
        Err(reason) => {
            eprintln!("batch_pdf: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let cancel = CancelToken::new();
    let flag = cancel.clone();
    if let Err(error) = ctrlc::set_handler(move || flag.cancel()) {
        eprintln!("batch_pdf: Ctrl-C will end it at once: {error}");
    }
    match run(&job, &cancel) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(_) if cancel.is_cancelled() => {
            eprintln!("batch_pdf: interrupted; run it again to go on");
            ExitCode::from(130)
        }
        Err(reason) => {
            eprintln!("batch_pdf: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Job, String> {
    let (mut folder, mut out, mut question, mut schema) = (None, None, None, None);
    let (mut pages, mut together, mut thinking) = (usize::MAX, 4, Thinking::Auto);
    let (mut model, mut load, mut pdf) = (tiny_model(), LoadOptions::new(), PdfOptions::new());
    let mut generate = GenerateOptions::new();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let count =
            |text: String| text.parse().ok().filter(|&n| n > 0).ok_or(format!("{word}: {text:?} is not 1 or more"));
        match word.as_str() {
            "--question" => question = Some(value()?),
            "--schema" => schema = Some(PathBuf::from(value()?)),
            "--out" => out = Some(PathBuf::from(value()?)),
            "--model" => model = value()?.into(),
            "--device" => load.device = value()?,
            "--weights" => load.weights = value()?.parse().map_err(|error: Error| error.to_string())?,
            "--pages" => pages = count(value()?)?,
            "--together" => together = count(value()?)?,
            "--password" => pdf = pdf.password(value()?),
            "--no-think" => thinking = Thinking::Off,
            "--max-tokens" => generate.max_tokens = count(value()?)?,
            option if option.starts_with("--") => return Err(format!("unknown option {option}")),
            path if folder.is_none() => folder = Some(PathBuf::from(path)),
            more => return Err(format!("one folder is read at a time, and {more} is another")),
        }
    }
    let folder = folder.ok_or("a folder is needed")?;
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let schema = schema.map(|path| {
        let named = |error: String| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| named(error.to_string()))?;
        serde_json::from_str::<Value>(&text).map(|_| text).map_err(|error| named(error.to_string()))
    });
    let schema = schema.transpose()?;
    let question = match (question, &schema) {
        (Some(question), _) => question,
        (None, Some(schema)) => format!("Answer with JSON that follows this schema: {schema}"),
        (None, None) => return Err("a --question or a --schema is needed".into()),
    };
    let run = json!({
        "folder": folder, "model": model, "device": load.device, "weights": load.weights.name(), "question": question,
        "schema": schema, "no_think": thinking == Thinking::Off, "max_tokens": generate.max_tokens,
    });
    generate.grammar = schema.map(Grammar::JsonSchema);
    let name = || format!("{}.jsonl", folder.file_name().unwrap_or_default().to_string_lossy());
    let out = out.unwrap_or_else(|| name().into());
    Ok(Job { folder, out, model, load, pages, together, pdf, question, thinking, generate, run })
}

/// How many of the pages and pictures failed.
fn run(job: &Job, cancel: &CancelToken) -> Result<usize, String> {
    let mut results = earlier(job)?;
    // What failed is tried again, and its line replaced.
    results.retain(|_, result| result["error"].is_null());
    let lines: String = results.values().map(|result| format!("{result}\n")).collect();
    let new = job.out.with_extension("new");
    fs::write(&new, lines).and_then(|()| fs::rename(&new, &job.out)).map_err(|error| named(&job.out, error))?;
    let file = OpenOptions::new().append(true).open(&job.out);
    let mut file = file.map_err(|error| named(&job.out, error))?;
    let (items, failures) = find(job, cancel)?;
    let todo: Vec<Item> = items.iter().filter(|item| !results.contains_key(&item.id())).cloned().collect();
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed}/{duration}");
    let count = items.len() + failures.len();
    let bar = ProgressBar::new(count as u64).with_style(style.map_err(|error| error.to_string())?);
    bar.set_position(results.len() as u64);
    let mut keep = |result: Value| {
        // At once, so that a line is there as a whole or not.
        file.write_all(format!("{result}\n").as_bytes()).map_err(|error| named(&job.out, error))?;
        results.insert(result["id"].as_str().unwrap_or_default().to_owned(), result);
        bar.inc(1);
        Ok::<_, String>(())
    };
    let mut ended = failures.into_iter().try_for_each(&mut keep);
    if ended.is_ok() && !todo.is_empty() {
        ended = answer(job, &todo, cancel, &mut keep);
    }
    bar.finish_and_clear();
    let failed = summarize(job, &results, count)?;
    ended.map(|()| failed)
}

fn named(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// The results in the file. A last line that was cut off counts as nothing; those of other options are refused.
fn earlier(job: &Job) -> Result<BTreeMap<String, Value>, String> {
    let text = match fs::read(&job.out) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(named(&job.out, error)),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.lines().enumerate().map(|(number, line)| {
        let refused =
            |reason: &str| format!("{}, line {}: {reason}; give another --out", job.out.display(), number + 1);
        let result: Value = serde_json::from_str(line).map_err(|_| refused("not a result of this program"))?;
        if result["run"] != job.run {
            return Err(refused("a result of another model or with other options"));
        }
        Ok((result["id"].as_str().unwrap_or_default().to_owned(), result))
    });
    lines.collect()
}

/// The pages and pictures in the folder, and the results of files that cannot be read.
fn find(job: &Job, cancel: &CancelToken) -> Result<(Vec<Item>, Vec<Value>), String> {
    let (mut items, mut failures) = (Vec::new(), Vec::new());
    let mut folders = vec![job.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| named(&folder, error))? {
            let path = entry.map_err(|error| named(&folder, error))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            let file = path.strip_prefix(&job.folder).unwrap_or(&path).to_string_lossy().into_owned();
            if PICTURES.contains(&ending.as_str()) {
                items.push(Item { file, page: 0 });
            } else if ending == "pdf" {
                cancel.check().map_err(|error| error.to_string())?;
                match count_pages(job, &path) {
                    Ok(pages) => items.extend((1..=pages.min(job.pages)).map(|page| Item { file: file.clone(), page })),
                    Err(error) => failures.push(record(job, &Item { file, page: 0 }, None, Err(&error), 0.0)),
                }
            }
        }
    }
    items.sort_by(|a, b| (&a.file, a.page).cmp(&(&b.file, b.page)));
    Ok((items, failures))
}

/// Stops before the first page is drawn: one that is damaged fails when its turn comes.
fn count_pages(job: &Job, path: &Path) -> Result<usize, Error> {
    let (cancel, count) = (CancelToken::new(), Arc::new(AtomicUsize::new(0)));
    let (token, sink) = (cancel.clone(), Arc::clone(&count));
    let options = job.pdf.clone().dpi(1.0).max_pages(usize::MAX).cancel(&cancel).on_progress(move |progress| {
        sink.store(progress.total as usize, Ordering::Relaxed);
        token.cancel();
    });
    match open_pdf(path, &options) {
        Err(Error::Cancelled) => Ok(count.load(Ordering::Relaxed)),
        other => other.map(|pages| pages.len()),
    }
}

/// What an item shows.
fn open(job: &Job, item: &Item) -> Result<Image, Error> {
    let path = job.folder.join(&item.file);
    if item.page == 0 {
        return Image::open(path);
    }
    let pages = open_pdf(path, &job.pdf.clone().pages(item.page..=item.page))?;
    let page = pages.into_iter().next().ok_or_else(|| Error::Prompt { reason: "the page is gone".into() })?;
    Ok(page.image)
}

/// Ask about all items, some together. What fails with one harms no other.
fn answer(
    job: &Job,
    items: &[Item],
    cancel: &CancelToken,
    keep: &mut impl FnMut(Value) -> Result<(), String>,
) -> Result<(), String> {
    let model = Model::load(&job.model, &job.load.clone().cancel(cancel));
    let model = model.map_err(|error| error.to_string())?;
    for some in items.chunks(job.together) {
        let mut batch = model.batch(&BatchOptions::new().max_concurrent(job.together).cancel(cancel));
        let mut asked = Vec::new();
        for item in some {
            match open(job, item) {
                Ok(image) => {
                    let prompt = Prompt::user().image(image.clone()).text(&job.question).thinking(job.thinking);
                    batch.add(&prompt, &job.generate);
                    asked.push((item, image, Instant::now()));
                }
                Err(error) => keep(record(job, item, None, Err(&error), 0.0))?,
            }
        }
        while let Some((number, event)) = batch.next() {
            if cancel.is_cancelled() {
                return Err("interrupted".into());
            }
            let (item, image, start) = &asked[number];
            let (seconds, shown) = (start.elapsed().as_secs_f64(), Some(image));
            match event {
                Err(error @ (Error::Device { .. } | Error::Option { .. })) => return Err(error.to_string()),
                Err(error) => keep(record(job, item, shown, Err(&error), seconds))?,
                Ok(_) => {
                    if let Some(answer) = batch.answer(number) {
                        keep(record(job, item, shown, Ok(&answer), seconds))?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// What became of an item, which shows an image.
fn record(job: &Job, item: &Item, shown: Option<&Image>, outcome: Result<&Answer, &Error>, seconds: f64) -> Value {
    let page = (item.page > 0).then_some(item.page);
    let size = shown.map(|image| [image.width(), image.height()]);
    let mut found =
        json!({"id": item.id(), "file": item.file, "page": page, "size": size, "error": null, "run": job.run});
    match outcome {
        Ok(answer) => {
            let form = job.generate.grammar.is_some() && answer.complete;
            found["answer"] = json!(answer.text);
            found["json"] = if form { serde_json::from_str(&answer.text).unwrap_or(Value::Null) } else { Value::Null };
            found["regions"] = answer.regions.iter().map(place).collect();
            found["stop"] = json!(format!("{:?}", answer.stop));
            found["tokens"] = json!(answer.tokens);
            found["seconds"] = json!((1e3 * seconds).round() / 1e3);
        }
        Err(error) => found["error"] = json!(error.to_string()),
    }
    found
}

/// A box (left, top, right, bottom) or spots (x, y), in pixels of the picture and in points of the page.
fn place(region: &Region) -> Value {
    let mut found = json!({"label": region.label, "text": region.text});
    match &region.geometry {
        Geometry::Box(edges) => {
            found["box"] = json!(edges.pixels);
            found["box_in_points"] = json!(edges.page);
        }
        Geometry::Points(points) => {
            found["spots"] = points.iter().map(|point| json!(point.pixels)).collect();
            let in_points = points.iter().map(|point| point.page).collect::<Option<Vec<_>>>();
            found["spots_in_points"] = json!(in_points);
        }
        _ => {}
    }
    found
}

/// Write the summary, and its main line to the standard error. Gives the number of failures.
fn summarize(job: &Job, results: &BTreeMap<String, Value>, count: usize) -> Result<usize, String> {
    let failures: Vec<&Value> = results.values().filter(|result| !result["error"].is_null()).collect();
    let total = format!("{} of {count} pages and pictures are done, {} of them failed", results.len(), failures.len());
    let mut text = format!("# {}\n\n{total}.\n\n| page or picture | answer |\n|---|---|\n", job.folder.display());
    for (id, result) in results {
        let said = result["answer"].as_str().or(result["error"].as_str()).unwrap_or_default();
        let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(100).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} | {} |", id.replace('|', "\\|"), said.replace('|', "\\|"));
    }
    let mut path = job.out.clone().into_os_string();
    path.push(".md");
    fs::write(&path, text).map_err(|error| named(Path::new(&path), error))?;
    eprintln!("{total}: {}", job.out.display());
    Ok(failures.len())
}
