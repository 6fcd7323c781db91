//! The server over HTTP: what it answers, and that no request harms another or it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mimo_vl_core::{CancelToken, Error, Model, Result, ServeOptions, Server, StopReason, ThinkingStyle};
use mimo_vl_tests::fixtures::scripted_engine::ScriptedModel;
use mimo_vl_tests::fixtures::tiny_model::{checkpoint, checkpoint_with_tools, model};
use serde_json::{Value, json};

/// A server on a free port of this machine, stopped when it is dropped.
struct Site {
    address: SocketAddr,
    cancel: CancelToken,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Site {
    fn new(change: impl FnOnce(ServeOptions) -> ServeOptions) -> Self {
        Self::of(model().clone(), change)
    }

    fn of(model: Model, change: impl FnOnce(ServeOptions) -> ServeOptions) -> Self {
        let options = change(ServeOptions::new().address("127.0.0.1:0").name("tiny").max_tokens(64));
        let server = Server::bind(model, options).unwrap();
        let (address, cancel) = (server.address(), CancelToken::new());
        let stop = cancel.clone();
        Self { address, cancel, thread: Some(std::thread::spawn(move || server.run(&stop))) }
    }

    fn open(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream
    }

    /// Status and body of what is replied to a request with these lines after its first.
    fn send(&self, first: &str, lines: &str, body: &[u8]) -> (u16, String) {
        let mut stream = self.open();
        let head = format!("{first} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}");
        let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
        // A server that refuses early may close before it has read all.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        replied(stream)
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.send(&format!("GET {path}"), "", b"")
    }

    fn post(&self, body: impl AsRef<[u8]>) -> (u16, String) {
        self.send("POST /v1/chat/completions", "Content-Type: application/json\r\n", body.as_ref())
    }

    fn ask(&self, body: &Value) -> (u16, Value) {
        let (status, text) = self.post(body.to_string());
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// That a question is still answered.
    fn works(&self) {
        let (status, reply) = self.ask(&said("hello"));
        assert_eq!(status, 200, "{reply}");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.cancel.cancel();
        let ended = self.thread.take().map(|thread| thread.join());
        if !std::thread::panicking() {
            ended.unwrap().unwrap().unwrap();
        }
    }
}

fn replied(mut stream: TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    // What came before a reset is a reply, too.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no reply: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, if head.contains("chunked") { unchunked(body) } else { body.to_owned() })
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        whole += &rest[..size];
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

fn said(text: &str) -> Value {
    json!({"model": "tiny", "max_tokens": 4, "messages": [{"role": "user", "content": text}]})
}

fn about(url: &str) -> Value {
    let content = json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "what?"}]);
    json!({"max_tokens": 4, "messages": [{"role": "user", "content": content}]})
}

fn picture() -> Vec<u8> {
    std::fs::read(checkpoint().join("cases/two-images-turns/a.png")).unwrap()
}

fn data(bytes: &[u8]) -> String {
    use base64::Engine;
    format!("data:image/png;base64,{}", base64::prelude::BASE64_STANDARD.encode(bytes))
}

/// The JSON of each event of a stream but the last, which is `[DONE]`.
fn events(body: &str) -> Vec<Value> {
    let mut lines: Vec<&str> = body.split("\n\n").filter(|event| !event.is_empty()).collect();
    assert_eq!(lines.pop(), Some("data: [DONE]"), "{body}");
    lines.iter().map(|line| serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

#[test]
fn answers_are_those_of_a_session() {
    let site = Site::new(|options| options);
    let model = model().clone();
    let image = mimo_vl_core::Image::from_bytes(&picture()).unwrap();
    let prompt = mimo_vl_core::Prompt::user().image(image).text("what?");
    let expected = model
        .session()
        .ask(&prompt, &mimo_vl_core::GenerateOptions::new().max_tokens(12).temperature(20.0).seed(1))
        .unwrap();
    assert!(expected.tokens > 0);
    let mut body = about(&data(&picture()));
    for (key, value) in [("max_tokens", json!(12)), ("temperature", json!(20.0)), ("seed", json!(1))] {
        body[key] = value;
    }
    let (status, reply) = site.ask(&body);
    assert_eq!(status, 200, "{reply}");
    assert_eq!(reply["choices"][0]["message"]["content"], expected.text);
    let finish = if expected.stop == StopReason::MaxTokens { "length" } else { "stop" };
    assert_eq!(reply["choices"][0]["finish_reason"], finish);
    assert_eq!(reply["usage"]["prompt_tokens"], expected.prompt_tokens);
    assert_eq!(reply["usage"]["completion_tokens"], expected.tokens);
    assert_eq!((&reply["object"], &reply["model"]), (&json!("chat.completion"), &json!("tiny")));

    body["stream"] = true.into();
    body["stream_options"] = json!({"include_usage": true});
    body["logprobs"] = true.into();
    let (status, text) = site.post(body.to_string());
    assert_eq!(status, 200, "{text}");
    let events = events(&text);
    let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, expected.text);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let (end, count) = (&events[events.len() - 2], &events[events.len() - 1]);
    assert_eq!(end["choices"][0]["finish_reason"], finish);
    assert_eq!(end["choices"][0]["logprobs"]["content"].as_array().unwrap().len(), expected.tokens);
    assert_eq!((&count["choices"], &count["usage"]["completion_tokens"]), (&json!([]), &json!(expected.tokens)));
}

#[test]
fn a_schema_holds_and_boxes_are_in_the_pixels_of_the_picture() {
    let site = Site::new(|options| options);
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "maximum": 9, "minimum": 0}},
        "required": ["n"], "additionalProperties": false});
    let mut body = said("how many?");
    body["max_tokens"] = 64.into();
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "count", "schema": schema}});
    let (status, reply) = site.ask(&body);
    assert_eq!(status, 200, "{reply}");
    let content: Value = serde_json::from_str(reply["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert!(content["n"].as_i64().is_some_and(|n| (0..=9).contains(&n)), "{content}");

    let region = json!({"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "object",
        "properties": {"bbox_2d": {"const": [28, 28, 56, 56]}, "label": {"const": "x"}},
        "required": ["bbox_2d", "label"], "additionalProperties": false}});
    let mut body = about(&data(&picture()));
    body["max_tokens"] = 64.into();
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "boxes", "schema": region}});
    let (status, reply) = site.ask(&body);
    assert_eq!(status, 200, "{reply}");
    let regions = &reply["choices"][0]["message"]["regions"];
    assert_eq!((&regions[0]["label"], &regions[0]["image"]), (&json!("x"), &json!(0)), "{reply}");
    assert_eq!(regions[0]["box"].as_array().unwrap().len(), 4);
}

#[test]
fn bad_requests_say_what_is_wrong() {
    let site = Site::new(|options| options.max_body(200_000).max_media(2));
    let with = |key: &str, value: Value| {
        let mut body = said("hello");
        body[key] = value;
        body.to_string()
    };
    let message = |message: Value| json!({"messages": [message]}).to_string();
    let user = |content: Value| message(json!({"role": "user", "content": content}));
    let mut bomb = picture();
    bomb.truncate(40);
    // Width and height of a PNG file's header.
    bomb[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    for (body, status, part) in [
        ("".to_owned(), 400, "not a request"),
        ("{\"messages\": [".to_owned(), 400, "not a request"),
        ("[]".to_owned(), 400, "not a request"),
        ("{}".to_owned(), 400, "messages"),
        (json!({"messages": []}).to_string(), 400, "message"),
        (message(json!({"role": "function", "content": "x"})), 400, "messages[0].role"),
        (message(json!({"role": "tool", "content": "x"})), 400, "tools"),
        (message(json!({"role": "assistant", "content": "x"})), 400, "user"),
        (user(json!(7)), 400, "not a request"),
        (user(json!("")), 400, "empty"),
        (user(json!([{"type": "audio"}])), 400, "messages[0].content[0]"),
        (user(json!([{"type": "text"}])), 400, "without text"),
        (user(json!([image("data:image/png;base64,@@@")])), 400, "base64"),
        (user(json!([image("data:image/png,AAAA")])), 400, "base64"),
        (user(json!([image("data:image/png;base64,AAAA")])), 400, "messages[0].content[0]"),
        (user(json!([image(&data(&bomb))])), 400, "messages[0].content[0]"),
        (user(json!([image("file:///etc/passwd")])), 400, "reads no files"),
        (user(json!([image("http://127.0.0.1:1/a.png")])), 400, "fetches nothing"),
        (user(json!([image("gopher://x")])), 400, "no address"),
        (user(json!([image("data:,"), image("data:,"), image("data:,")])), 400, "more than 2"),
        (message(json!({"role": "system", "content": [image("data:,")]})), 400, "only messages of the user's"),
        (with("model", json!("other")), 404, "other"),
        (with("n", json!(2)), 400, "one answer"),
        (with("max_tokens", json!(-1)), 400, "not a request"),
        (with("max_tokens", json!(0)), 400, "max_tokens"),
        (with("temperature", json!(-1.0)), 400, "temperature"),
        (with("temperature", json!("hot")), 400, "not a request"),
        (with("top_p", json!(2)), 400, "top_p"),
        (with("stop", json!([""])), 400, "stop"),
        (with("logit_bias", json!({"x": 1})), 400, "logit_bias"),
        (
            with("logprobs", json!(true)).replace("\"logprobs\":true", "\"logprobs\":true,\"top_logprobs\":500"),
            400,
            "logprobs",
        ),
        (with("tools", json!([{"type": "function"}])), 400, "tools"),
        (with("tools", json!(["a"])), 400, "tools"),
        (with("tool_choice", json!("required")), 400, "tool_choice"),
        (
            with(
                "messages",
                json!([{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "x"}}]}]),
            ),
            400,
            "tool_calls[0]",
        ),
        (with("reasoning_effort", json!("huge")), 400, "reasoning_effort"),
        (with("response_format", json!({"type": "yaml"})), 400, "yaml"),
        (with("response_format", json!({"type": "json_schema"})), 400, "schema"),
        (
            with("response_format", json!({"type": "json_schema", "json_schema": {"schema": {"type": "no"}}})),
            400,
            "grammar",
        ),
        (user(json!("word ".repeat(20_000))), 400, "tokens"),
        (user(json!("x".repeat(300_000))), 413, "bytes"),
    ] {
        let start: String = body.chars().take(100).collect();
        let (found, reply) = site.post(&body);
        assert_eq!(found, status, "{start}: {reply}");
        let reply: Value = serde_json::from_str(&reply).unwrap();
        let shown = reply["error"].to_string();
        assert!(shown.contains(part), "{start}: {shown}");
    }
    assert_eq!(site.get("/v1/nothing").0, 404);
    assert_eq!(site.get("/v1/chat/completions").0, 405);
    assert_eq!(site.get("/v1/models/other").0, 404);
    let (status, models) = site.get("/v1/models");
    assert!(status == 200 && models.contains("\"tiny\""), "{models}");
    assert_eq!(site.get("/v1/models/tiny").0, 200);
    assert_eq!(site.get("/health").0, 200);
    site.works();
    let (status, metrics) = site.get("/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("mimo_vl_requests_total{status=\"400\"} 3"), "{metrics}");
    let tokens = metrics.lines().find_map(|line| line.strip_prefix("mimo_vl_tokens_total "));
    assert!(tokens.is_some_and(|tokens| tokens != "0"), "{metrics}");
}

#[test]
fn only_files_of_the_folder_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("in side.png");
    std::fs::write(&inside, picture()).unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("b.png"), picture()).unwrap();
    std::os::unix::fs::symlink(outside.path().join("b.png"), folder.path().join("link.png")).unwrap();
    let site = Site::new(|options| options.files(folder.path()));
    let root = folder.path().display();
    let (status, reply) = site.ask(&about(&format!("file://{root}/in%20side.png")));
    assert_eq!(status, 200, "{reply}");
    let elsewhere = outside.path().display();
    for path in [
        format!("{elsewhere}/b.png"),
        format!("{root}/link.png"),
        format!("{root}/../{}/b.png", outside.path().file_name().unwrap().display()),
        format!("{root}/%2e%2e/{}/b.png", outside.path().file_name().unwrap().display()),
        format!("{root}/none.png"),
        format!("{root}"),
        "/dev/zero".into(),
        "%ff".into(),
    ] {
        let (status, reply) = site.ask(&about(&format!("file://{path}")));
        assert_eq!(status, 400, "{path}: {reply}");
    }
}

#[test]
fn a_key_is_asked_for() {
    let site = Site::new(|options| options.api_key("secret"));
    assert_eq!(site.get("/v1/models").0, 401);
    assert_eq!(site.get("/metrics").0, 401);
    assert_eq!(site.get("/health").0, 200);
    for (key, status) in [("Bearer secret", 200), ("Bearer secreT", 401), ("Bearer secrets", 401), ("secret", 401)] {
        assert_eq!(site.send("GET /v1/models", &format!("Authorization: {key}\r\n"), b"").0, status, "{key}");
    }
}

#[test]
fn options_are_checked() {
    let model = model().clone();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (options, name) in [
        (ServeOptions::new().address(taken.local_addr().unwrap().to_string()), "address"),
        (ServeOptions::new().address("nowhere"), "address"),
        (ServeOptions::new().together(0), "together"),
        (ServeOptions::new().api_key(""), "api_key"),
        (ServeOptions::new().files("/no/such/folder"), "files"),
    ] {
        match Server::bind(model.clone(), options) {
            Err(Error::Option { option, .. }) => assert_eq!(option, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// The parts of a streamed answer, and its text.
fn streamed(events: &str) -> (Vec<Value>, String) {
    let data = events.lines().filter_map(|line| line.strip_prefix("data: ").filter(|data| *data != "[DONE]"));
    let parts: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let text = parts.iter().filter_map(|part| part["choices"][0]["delta"]["content"].as_str()).collect();
    (parts, text)
}

#[test]
fn functions_are_called() {
    let folder = checkpoint_with_tools();
    let call = "<tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": \"sky\"}}\n</tool_call>";
    let actor = ScriptedModel::from_folder(folder.path(), &format!("I look.\n{call}"), ThinkingStyle::Slash);
    let site = Site::of(actor.model.clone(), |options| options);
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
    let mut body = json!({"messages": [{"role": "user", "content": "Is it blue?"}], "tools": tools});
    let (status, reply) = site.ask(&body);
    assert_eq!((status, &reply["choices"][0]["finish_reason"]), (200, &json!("tool_calls")), "{reply}");
    let message = &reply["choices"][0]["message"];
    assert_eq!(message["content"], "I look.");
    assert_eq!(message["tool_calls"][0]["function"], json!({"name": "look", "arguments": r#"{"at":"sky"}"#}));
    assert!(message["tool_calls"][0]["id"].is_string());

    body["stream"] = json!(true);
    let (status, events) = site.post(body.to_string());
    let (parts, text) = streamed(&events);
    assert_eq!((status, text.as_str()), (200, "I look."));
    let choice = |back: usize| &parts[parts.len() - back]["choices"][0];
    assert_eq!((&choice(1)["finish_reason"], &choice(1)["delta"]), (&json!("tool_calls"), &json!({})));
    assert_eq!((&choice(2)["finish_reason"], &choice(2)["delta"]["tool_calls"][0]["index"]), (&Value::Null, &json!(0)));

    // The result goes back, and an answer without a call is one, whatever it speaks of.
    let history = json!([
        {"role": "user", "content": "Is it blue?"},
        {"role": "assistant", "content": null, "tool_calls": message["tool_calls"]},
        {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "blue"},
    ]);
    for said in ["Yes, by <tool", "a <tool_call>{x"] {
        actor.set_reply(said);
        let mut body = json!({"messages": history, "tools": tools});
        let (_, reply) = site.ask(&body);
        assert_eq!(
            (&reply["choices"][0]["finish_reason"], &reply["choices"][0]["message"]["content"]),
            (&json!("stop"), &json!(said))
        );
        body["stream"] = json!(true);
        assert_eq!(streamed(&site.post(body.to_string()).1).1, said);
    }
    // Whoever does not want calls gets the text.
    actor.set_reply(call);
    let (_, reply) =
        site.ask(&json!({"messages": [{"role": "user", "content": "a"}], "tools": tools, "tool_choice": "none"}));
    assert_eq!(
        (&reply["choices"][0]["finish_reason"], reply["choices"][0]["message"]["content"].as_str()),
        (&json!("stop"), Some(call))
    );
}

#[test]
fn a_client_that_leaves_while_its_question_is_read_holds_nobody_up() {
    let actor = ScriptedModel::new("Yes.");
    let site = Site::of(actor.model.clone(), |options| options.together(1));
    // Longer than anybody here waits.
    actor.script.lock().unwrap().delay = Duration::from_secs(3_000);
    let mut gone = site.open();
    let body = said("What?").to_string();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    gone.write_all(format!("{head}{body}").as_bytes()).unwrap();
    while actor.script.lock().unwrap().prefills == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    actor.script.lock().unwrap().delay = Duration::ZERO;
    gone.shutdown(Shutdown::Both).unwrap();
    site.works();
}

#[test]
fn slow_and_vanished_clients_harm_nobody() {
    let site = Site::new(|options| options.receive(Duration::from_millis(400)).together(1).queue(1).max_tokens(400));
    // A head that never ends, and a body that does not come.
    let mut silent = site.open();
    silent.write_all(b"POST /v1/chat").unwrap();
    let mut slow = site.open();
    slow.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").unwrap();
    assert_eq!(replied(slow).0, 408);
    let mut left = Vec::new();
    assert!(silent.read_to_end(&mut left).is_ok(), "the connection is closed");
    // Two that ask for much and go away, one before and one during its answer: their places are free again.
    let mut much = said("tell me");
    much["max_tokens"] = 400.into();
    for stream in [false, true] {
        much["stream"] = stream.into();
        let body = much.to_string();
        let mut gone = site.open();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n";
        gone.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        if stream {
            gone.read_exact(&mut [0; 40]).unwrap();
        }
        gone.shutdown(Shutdown::Both).unwrap();
    }
    let start = Instant::now();
    while site.ask(&said("hello")).0 == 429 {
        assert!(start.elapsed() < Duration::from_secs(60), "places are not given back");
        std::thread::sleep(Duration::from_millis(20));
    }
    site.works();
}

#[test]
fn two_hundred_at_once() {
    let site = Site::new(|options| options.together(8).queue(40));
    let (status, expected) = site.ask(&said("hello"));
    assert_eq!(status, 200);
    let statuses: Vec<(u16, String)> = std::thread::scope(|scope| {
        let ask = |_| scope.spawn(|| site.post(said("hello").to_string()));
        (0..200).map(ask).collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let answered = statuses.iter().filter(|(status, _)| *status == 200);
    let contents =
        answered.map(|(_, body)| serde_json::from_str::<Value>(body).unwrap()["choices"][0]["message"].clone());
    let contents: Vec<Value> = contents.collect();
    assert!(contents.len() >= 48, "{} were answered", contents.len());
    assert!(contents.iter().all(|message| *message == expected["choices"][0]["message"]));
    assert!(statuses.iter().all(|(status, _)| matches!(status, 200 | 429)), "{statuses:?}");
    site.works();
}

#[test]
fn an_answer_that_takes_too_long_is_given_up() {
    // Taking in so many words takes longer than the server needs to see that the time is over.
    let site = Site::new(|options| options.answer(Duration::ZERO));
    let (status, reply) = site.ask(&said(&"many words ".repeat(1000)));
    assert_eq!(status, 504, "{reply}");
}
