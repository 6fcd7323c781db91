//! Applies one prompt to every PDF page and image in a folder: `batch_pdf FOLDER --prompt TEXT | --schema FILE`.
//!
//! Every page of a PDF file and every image becomes a line of JSON; a summary in Markdown is written beside. A second
//! run continues where the first one stopped, and retries failures. An error in a page or file becomes a line with
//! `error`, and the exit status is 1 in the end, as for other errors. Wrong usage is status 2. Ctrl-C keeps the results
//! so far and is status 130. docs/guide/batch_files.md has the keys of a line; examples/python/batch_pdf.py does the
//! same.

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
usage: batch_pdf FOLDER --prompt TEXT | --schema FILE [OPTION]...

  --prompt TEXT      prompt for each page and image
  --schema FILE      JSON schema of the answers
  --output FILE      file of the results (default: FOLDER.jsonl)
  --model PATH       checkpoint directory or GGUF file (default: mimo-vl-tiny of this repository)
  --device NAME      cpu (the default); ndarray and cuda:0 in builds with that feature
  --weights FORMAT   native, f32, f16, bf16, int8 or int4 (default: native)
  --max-pages N      only the first N pages of each PDF file
  --batch-size N     pages and images that are answered at the same time (default: 4)
  --password TEXT    password of the PDF files
  --no-think         answer without thinking
  --max-tokens N     maximum tokens of an answer, thinking included (default: 4096)";

const IMAGE_EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff"];

struct Job {
    folder: PathBuf,
    output: PathBuf,
    model: PathBuf,
    load: LoadOptions,
    max_pages: usize,
    batch_size: usize,
    pdf: PdfOptions,
    prompt: String,
    thinking: Thinking,
    options: GenerateOptions,
    /// The settings that results depend on.
    run: Value,
}

/// An image, or a page of a PDF file.
#[derive(Clone)]
struct Item {
    /// Path relative to the folder.
    file: String,
    /// Page number from 1 on; 0 for an image.
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
        eprintln!("batch_pdf: cannot handle Ctrl-C: {error}");
    }
    match run(&job, &cancel) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(_) if cancel.is_cancelled() => {
            eprintln!("batch_pdf: interrupted; run it again to continue");
            ExitCode::from(130)
        }
        Err(reason) => {
            eprintln!("batch_pdf: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Job, String> {
    let (mut folder, mut output, mut prompt, mut schema) = (None, None, None, None);
    let (mut max_pages, mut batch_size, mut thinking) = (usize::MAX, 4, Thinking::Auto);
    let (mut model, mut load, mut pdf) = (tiny_model(), LoadOptions::new(), PdfOptions::new());
    let mut options = GenerateOptions::new();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let count = |text: String| {
            text.parse().ok().filter(|&n| n > 0).ok_or(format!("{word}: {text:?} is not a number from 1 on"))
        };
        match word.as_str() {
            "--prompt" => prompt = Some(value()?),
            "--schema" => schema = Some(PathBuf::from(value()?)),
            "--output" => output = Some(PathBuf::from(value()?)),
            "--model" => model = value()?.into(),
            "--device" => load.device = value()?,
            "--weights" => load.weights = value()?.parse().map_err(|error: Error| error.to_string())?,
            "--max-pages" => max_pages = count(value()?)?,
            "--batch-size" => batch_size = count(value()?)?,
            "--password" => pdf = pdf.password(value()?),
            "--no-think" => thinking = Thinking::Off,
            "--max-tokens" => options.max_tokens = count(value()?)?,
            option if option.starts_with("--") => return Err(format!("unknown option {option}")),
            path if folder.is_none() => folder = Some(PathBuf::from(path)),
            more => return Err(format!("more than one folder: {more}")),
        }
    }
    let folder = folder.ok_or("FOLDER is missing")?;
    let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
    let schema = schema.map(|path| {
        let named = |error: String| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| named(error.to_string()))?;
        serde_json::from_str::<Value>(&text).map(|_| text).map_err(|error| named(error.to_string()))
    });
    let schema = schema.transpose()?;
    let prompt = match (prompt, &schema) {
        (Some(prompt), _) => prompt,
        (None, Some(schema)) => format!("Answer with JSON that follows this schema: {schema}"),
        (None, None) => return Err("--prompt or --schema is required".into()),
    };
    let run = json!({
        "folder": folder, "model": model, "device": load.device, "weights": load.weights.name(), "prompt": prompt,
        "schema": schema, "no_think": thinking == Thinking::Off, "max_tokens": options.max_tokens,
    });
    options.grammar = schema.map(Grammar::JsonSchema);
    let name = || format!("{}.jsonl", folder.file_name().unwrap_or_default().to_string_lossy());
    let output = output.unwrap_or_else(|| name().into());
    Ok(Job { folder, output, model, load, max_pages, batch_size, pdf, prompt, thinking, options, run })
}

/// Answers all items that have no result. Returns the number of failures.
fn run(job: &Job, cancel: &CancelToken) -> Result<usize, String> {
    let mut results = read_results(job)?;
    // Failures are retried, and their lines replaced.
    results.retain(|_, result| result["error"].is_null());
    let lines: String = results.values().map(|result| format!("{result}\n")).collect();
    let temporary = job.output.with_extension("tmp");
    fs::write(&temporary, lines)
        .and_then(|()| fs::rename(&temporary, &job.output))
        .map_err(|error| named(&job.output, error))?;
    let file = OpenOptions::new().append(true).open(&job.output);
    let mut file = file.map_err(|error| named(&job.output, error))?;
    let (items, failures) = find_items(job, cancel)?;
    let todo: Vec<Item> = items.iter().filter(|item| !results.contains_key(&item.id())).cloned().collect();
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed}/{duration}");
    let count = items.len() + failures.len();
    let bar = ProgressBar::new(count as u64).with_style(style.map_err(|error| error.to_string())?);
    bar.set_position(results.len() as u64);
    let mut write = |result: Value| {
        // A single write, so that a crash leaves no half of a line behind.
        file.write_all(format!("{result}\n").as_bytes()).map_err(|error| named(&job.output, error))?;
        results.insert(result["id"].as_str().unwrap_or_default().to_owned(), result);
        bar.inc(1);
        Ok::<_, String>(())
    };
    let mut outcome = failures.into_iter().try_for_each(&mut write);
    if outcome.is_ok() && !todo.is_empty() {
        outcome = answer(job, &todo, cancel, &mut write);
    }
    bar.finish_and_clear();
    let failed = summarize(job, &results, count)?;
    outcome.map(|()| failed)
}

fn named(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// The results of an earlier run with the same settings, by id. An incomplete last line is ignored.
fn read_results(job: &Job) -> Result<BTreeMap<String, Value>, String> {
    let text = match fs::read(&job.output) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(named(&job.output, error)),
    };
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = complete.lines().enumerate().map(|(index, line)| {
        let error =
            |reason: &str| format!("{}, line {}: {reason}; choose another --output", job.output.display(), index + 1);
        let result: Value = serde_json::from_str(line).map_err(|_| error("not a result of this program"))?;
        if result["run"] != job.run {
            return Err(error("a result of another model or other options"));
        }
        Ok((result["id"].as_str().unwrap_or_default().to_owned(), result))
    });
    lines.collect()
}

/// The pages and images in the folder, sorted by path, and the results of files that cannot be read.
fn find_items(job: &Job, cancel: &CancelToken) -> Result<(Vec<Item>, Vec<Value>), String> {
    let (mut items, mut failures) = (Vec::new(), Vec::new());
    let mut folders = vec![job.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| named(&folder, error))? {
            let path = entry.map_err(|error| named(&folder, error))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            let file = path.strip_prefix(&job.folder).unwrap_or(&path).to_string_lossy().into_owned();
            if IMAGE_EXTENSIONS.contains(&extension.as_str()) {
                items.push(Item { file, page: 0 });
            } else if extension == "pdf" {
                cancel.check().map_err(|error| error.to_string())?;
                match count_pages(job, &path) {
                    Ok(pages) => {
                        items.extend((1..=pages.min(job.max_pages)).map(|page| Item { file: file.clone(), page }))
                    }
                    Err(error) => failures.push(record(job, &Item { file, page: 0 }, None, Err(&error), 0.0)),
                }
            }
        }
    }
    items.sort_by(|a, b| (&a.file, a.page).cmp(&(&b.file, b.page)));
    Ok((items, failures))
}

/// Counts the pages of a PDF file without rendering one: a damaged page fails later, as an item of its own.
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

/// Opens the image, or renders the page.
fn open(job: &Job, item: &Item) -> Result<Image, Error> {
    let path = job.folder.join(&item.file);
    if item.page == 0 {
        return Image::open(path);
    }
    let pages = open_pdf(path, &job.pdf.clone().pages(item.page..=item.page))?;
    let page = pages.into_iter().next().ok_or_else(|| Error::Prompt { reason: "the page is missing".into() })?;
    Ok(page.image)
}

/// Answers all items in batches. An error in one item does not affect the others.
fn answer(
    job: &Job,
    items: &[Item],
    cancel: &CancelToken,
    write: &mut impl FnMut(Value) -> Result<(), String>,
) -> Result<(), String> {
    let model = Model::load(&job.model, &job.load.clone().cancel(cancel));
    let model = model.map_err(|error| error.to_string())?;
    for chunk in items.chunks(job.batch_size) {
        let mut batch = model.batch(&BatchOptions::new().max_concurrent(job.batch_size).cancel(cancel));
        let mut requests = Vec::new();
        for item in chunk {
            match open(job, item) {
                Ok(image) => {
                    let prompt = Prompt::user().image(image.clone()).text(&job.prompt).thinking(job.thinking);
                    batch.add(&prompt, &job.options);
                    requests.push((item, image, Instant::now()));
                }
                Err(error) => write(record(job, item, None, Err(&error), 0.0))?,
            }
        }
        while let Some((number, event)) = batch.next() {
            if cancel.is_cancelled() {
                return Err("interrupted".into());
            }
            let (item, image, start) = &requests[number];
            let seconds = start.elapsed().as_secs_f64();
            match event {
                Err(error @ (Error::Device { .. } | Error::Option { .. })) => return Err(error.to_string()),
                Err(error) => write(record(job, item, Some(image), Err(&error), seconds))?,
                Ok(_) => {
                    if let Some(answer) = batch.answer(number) {
                        write(record(job, item, Some(image), Ok(&answer), seconds))?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// The result of an item: a line of the results.
fn record(job: &Job, item: &Item, image: Option<&Image>, outcome: Result<&Answer, &Error>, seconds: f64) -> Value {
    let page = (item.page > 0).then_some(item.page);
    let size = image.map(|image| [image.width(), image.height()]);
    let mut record =
        json!({"id": item.id(), "file": item.file, "page": page, "size": size, "error": null, "run": job.run});
    match outcome {
        Ok(answer) => {
            let is_json = job.options.grammar.is_some() && answer.complete;
            let json = is_json.then(|| serde_json::from_str(&answer.text).ok()).flatten();
            record["answer"] = json!(answer.text);
            record["json"] = json.unwrap_or(Value::Null);
            record["regions"] = answer.regions.iter().map(region_record).collect();
            record["stop_reason"] = json!(answer.stop.name());
            record["tokens"] = json!(answer.tokens);
            record["seconds"] = json!((1e3 * seconds).round() / 1e3);
        }
        Err(error) => record["error"] = json!(error.to_string()),
    }
    record
}

/// A box (left, top, right, bottom) or points (x, y) in pixels of the image, and in PDF points (`_pt`) of the page.
fn region_record(region: &Region) -> Value {
    let mut record = json!({"label": region.label, "text": region.text});
    match &region.geometry {
        Geometry::Box(edges) => {
            record["box"] = json!(edges.pixels);
            record["box_pt"] = json!(edges.page);
        }
        Geometry::Points(points) => {
            record["points"] = points.iter().map(|point| json!(point.pixels)).collect();
            let on_page = points.iter().map(|point| point.page).collect::<Option<Vec<_>>>();
            record["points_pt"] = json!(on_page);
        }
        _ => {}
    }
    record
}

/// Writes the summary, and its main line to the standard error. Returns the number of failures.
fn summarize(job: &Job, results: &BTreeMap<String, Value>, count: usize) -> Result<usize, String> {
    let failures: Vec<&Value> = results.values().filter(|result| !result["error"].is_null()).collect();
    let total = format!("{} of {count} pages and images done, {} failed", results.len(), failures.len());
    let mut text = format!("# {}\n\n{total}.\n\n| page or image | answer |\n|---|---|\n", job.folder.display());
    for (id, result) in results {
        let text_or_error = result["answer"].as_str().or(result["error"].as_str()).unwrap_or_default();
        let cell = text_or_error.split_whitespace().collect::<Vec<_>>().join(" ");
        let cell: String = cell.chars().take(100).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} | {} |", id.replace('|', "\\|"), cell.replace('|', "\\|"));
    }
    let mut path = job.output.clone().into_os_string();
    path.push(".md");
    fs::write(&path, text).map_err(|error| named(Path::new(&path), error))?;
    eprintln!("{total}: {}", job.output.display());
    Ok(failures.len())
}
