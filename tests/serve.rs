//! The server over HTTP: its answers, errors and limits, and clients that are slow or disconnect.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mimo_vl_core::{Error, ServeOptions, Server, StopReason, ThinkingStyle};
use mimo_vl_tests::fixtures::scripted_engine::ScriptedModel;
use mimo_vl_tests::fixtures::test_server::{
    TestServer, data_url, events, image_bytes, image_request, read_reply, text_request,
};
use mimo_vl_tests::fixtures::tiny_model::{checkpoint_with_tools, model};
use serde_json::{Value, json};

#[test]
fn answers_equal_those_of_a_session() {
    let server = TestServer::new(|options| options);
    let model = model().clone();
    let image = mimo_vl_core::Image::from_bytes(&image_bytes()).unwrap();
    let prompt = mimo_vl_core::Prompt::user().image(image).text("what?");
    let expected = model
        .session()
        .ask(&prompt, &mimo_vl_core::GenerateOptions::new().max_tokens(12).temperature(20.0).seed(1))
        .unwrap();
    assert!(expected.tokens > 0);
    let mut body = image_request(&data_url(&image_bytes()));
    for (key, value) in [("max_tokens", json!(12)), ("temperature", json!(20.0)), ("seed", json!(1))] {
        body[key] = value;
    }
    let (status, reply) = server.ask(&body);
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
    let (status, text) = server.post(body.to_string());
    assert_eq!(status, 200, "{text}");
    let events = events(&text);
    let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, expected.text);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    let (end, usage) = (&events[events.len() - 2], &events[events.len() - 1]);
    assert_eq!(end["choices"][0]["finish_reason"], finish);
    assert_eq!(end["choices"][0]["logprobs"]["content"].as_array().unwrap().len(), expected.tokens);
    assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!(expected.tokens)));
}

#[test]
fn json_schemas_bind_answers_and_boxes_are_regions() {
    let server = TestServer::new(|options| options);
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "maximum": 9, "minimum": 0}},
        "required": ["n"], "additionalProperties": false});
    let mut body = text_request("how many?");
    body["max_tokens"] = 64.into();
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "count", "schema": schema}});
    let (status, reply) = server.ask(&body);
    assert_eq!(status, 200, "{reply}");
    let content: Value = serde_json::from_str(reply["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert!(content["n"].as_i64().is_some_and(|n| (0..=9).contains(&n)), "{content}");

    let region = json!({"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "object",
        "properties": {"bbox_2d": {"const": [28, 28, 56, 56]}, "label": {"const": "x"}},
        "required": ["bbox_2d", "label"], "additionalProperties": false}});
    let mut body = image_request(&data_url(&image_bytes()));
    body["max_tokens"] = 64.into();
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "boxes", "schema": region}});
    let (status, reply) = server.ask(&body);
    assert_eq!(status, 200, "{reply}");
    let regions = &reply["choices"][0]["message"]["regions"];
    assert_eq!((&regions[0]["label"], &regions[0]["image"]), (&json!("x"), &json!(0)), "{reply}");
    assert_eq!(regions[0]["box"].as_array().unwrap().len(), 4);
}

#[test]
fn errors_of_bad_requests_name_the_cause() {
    let server = TestServer::new(|options| options.max_body_bytes(200_000).max_media_items(2));
    let with = |key: &str, value: Value| {
        let mut body = text_request("hello");
        body[key] = value;
        body.to_string()
    };
    let message = |message: Value| json!({"messages": [message]}).to_string();
    let user = |content: Value| message(json!({"role": "user", "content": content}));
    let mut huge_image = image_bytes();
    huge_image.truncate(40);
    // Width and height in the header of a PNG file.
    huge_image[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let mut bad_requests = 0;
    for (body, status, part) in [
        ("".to_owned(), 400, "not a JSON object"),
        ("{\"messages\": [".to_owned(), 400, "not a JSON object"),
        ("[]".to_owned(), 400, "not a JSON object"),
        ("{}".to_owned(), 400, "messages"),
        (json!({"messages": []}).to_string(), 400, "message"),
        (message(json!({"role": "function", "content": "x"})), 400, "messages[0].role"),
        (message(json!({"role": "tool", "content": "x"})), 400, "tools"),
        (message(json!({"role": "assistant", "content": "x"})), 400, "user"),
        (user(json!(7)), 400, "messages[0].content"),
        (user(json!("")), 400, "empty"),
        (user(json!([{"type": "audio"}])), 400, "messages[0].content[0]"),
        (user(json!([{"type": "text"}])), 400, "needs the field \\\"text\\\""),
        (user(json!([image("data:image/png;base64,@@@")])), 400, "base64"),
        (user(json!([image("data:image/png,AAAA")])), 400, "base64"),
        (user(json!([image("data:image/png;base64,AAAA")])), 400, "messages[0].content[0]"),
        (user(json!([image(&data_url(&huge_image))])), 400, "messages[0].content[0]"),
        (user(json!([image("file:///etc/passwd")])), 400, "local files are disabled"),
        (user(json!([image("http://127.0.0.1:1/a.png")])), 400, "remote media are disabled"),
        (user(json!([image("gopher://x")])), 400, "not a URL"),
        (user(json!([image("data:,"), image("data:,"), image("data:,")])), 400, "more than 2"),
        (message(json!({"role": "system", "content": [image("data:,")]})), 400, "only messages of users and tools"),
        (with("model", json!("other")), 404, "other"),
        (with("n", json!(99)), 400, "from 1 to 8"),
        (with("max_tokens", json!(-2)), 400, "max_tokens"),
        (with("min_tokens", json!(5)), 400, "min_tokens"),
        (with("grammar", json!("root ::= \"a\"")), 400, "GBNF"),
        (with("max_tokens", json!(0)), 400, "max_tokens"),
        (with("temperature", json!(-1.0)), 400, "temperature"),
        (with("temperature", json!("hot")), 400, "temperature"),
        (with("top_p", json!(2)), 400, "top_p"),
        (with("typical_p", json!(0)), 400, "typical_p"),
        (with("thinking_budget", json!(-1)), 400, "thinking_budget"),
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
        let (replied, reply) = server.post(&body);
        assert_eq!(replied, status, "{start}: {reply}");
        bad_requests += usize::from(status == 400);
        let reply: Value = serde_json::from_str(&reply).unwrap();
        let error = reply["error"].to_string();
        assert!(error.contains(part), "{start}: {error}");
    }
    assert_eq!(server.get("/v1/nothing").0, 404);
    assert_eq!(server.get("/v1/chat/completions").0, 405);
    assert_eq!(server.get("/v1/models/other").0, 404);
    let (status, models) = server.get("/v1/models");
    assert!(status == 200 && models.contains("\"tiny\""), "{models}");
    assert_eq!(server.get("/v1/models/tiny").0, 200);
    assert_eq!(server.get("/health").0, 200);
    server.assert_answers();
    let (status, metrics) = server.get("/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains(&format!("mimo_vl_requests_total{{status=\"400\"}} {bad_requests}\n")), "{metrics}");
    let tokens = metrics.lines().find_map(|line| line.strip_prefix("mimo_vl_generation_tokens_total "));
    assert!(tokens.is_some_and(|tokens| tokens != "0"), "{metrics}");
}

#[test]
fn only_files_below_the_media_root_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("in side.png");
    std::fs::write(&inside, image_bytes()).unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("b.png"), image_bytes()).unwrap();
    std::os::unix::fs::symlink(outside.path().join("b.png"), folder.path().join("link.png")).unwrap();
    let server = TestServer::new(|options| options.media_root(folder.path()));
    let root = folder.path().display();
    let (status, reply) = server.ask(&image_request(&format!("file://{root}/in%20side.png")));
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
        let (status, reply) = server.ask(&image_request(&format!("file://{path}")));
        assert_eq!(status, 400, "{path}: {reply}");
    }
}

#[test]
fn all_routes_but_health_require_the_api_key() {
    let server = TestServer::new(|options| options.api_key("secret"));
    assert_eq!(server.get("/v1/models").0, 401);
    assert_eq!(server.get("/metrics").0, 401);
    assert_eq!(server.get("/health").0, 200);
    for (key, status) in [("Bearer secret", 200), ("Bearer secreT", 401), ("Bearer secrets", 401), ("secret", 401)] {
        assert_eq!(server.send("GET /v1/models", &format!("Authorization: {key}\r\n"), b"").0, status, "{key}");
    }
}

#[test]
fn invalid_options_are_refused() {
    let model = model().clone();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (options, name) in [
        (ServeOptions::new().address(taken.local_addr().unwrap().to_string()), "address"),
        (ServeOptions::new().address("nowhere"), "address"),
        (ServeOptions::new().max_concurrent(0), "max_concurrent"),
        (ServeOptions::new().api_key(""), "api_key"),
        (ServeOptions::new().media_root("/no/such/folder"), "media_root"),
    ] {
        match Server::bind(model.clone(), options) {
            Err(Error::Option { option, .. }) => assert_eq!(option, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// The chunks of a streamed answer, and its text.
fn streamed(events: &str) -> (Vec<Value>, String) {
    let data = events.lines().filter_map(|line| line.strip_prefix("data: ").filter(|data| *data != "[DONE]"));
    let chunks: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let text = chunks.iter().filter_map(|part| part["choices"][0]["delta"]["content"].as_str()).collect();
    (chunks, text)
}

#[test]
fn tool_calls_are_parsed_and_streamed() {
    let folder = checkpoint_with_tools();
    let call = "<tool_call>\n{\"name\": \"look\", \"arguments\": {\"at\": \"sky\"}}\n</tool_call>";
    let scripted = ScriptedModel::from_folder(folder.path(), &format!("I look.\n{call}"), ThinkingStyle::Slash);
    let server = TestServer::with_model(scripted.model.clone(), |options| options);
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
    let mut body = json!({"messages": [{"role": "user", "content": "Is it blue?"}], "tools": tools});
    let (status, reply) = server.ask(&body);
    assert_eq!((status, &reply["choices"][0]["finish_reason"]), (200, &json!("tool_calls")), "{reply}");
    let message = &reply["choices"][0]["message"];
    assert_eq!(message["content"], "I look.");
    assert_eq!(message["tool_calls"][0]["function"], json!({"name": "look", "arguments": r#"{"at":"sky"}"#}));
    assert!(message["tool_calls"][0]["id"].is_string());

    body["stream"] = json!(true);
    let (status, events) = server.post(body.to_string());
    let (chunks, text) = streamed(&events);
    assert_eq!((status, text.as_str()), (200, "I look."));
    let choice = |back: usize| &chunks[chunks.len() - back]["choices"][0];
    assert_eq!((&choice(1)["finish_reason"], &choice(1)["delta"]), (&json!("tool_calls"), &json!({})));
    assert_eq!((&choice(2)["finish_reason"], &choice(2)["delta"]["tool_calls"][0]["index"]), (&Value::Null, &json!(0)));

    // After the tool's result, text that only resembles a tool call is content.
    let history = json!([
        {"role": "user", "content": "Is it blue?"},
        {"role": "assistant", "content": null, "tool_calls": message["tool_calls"]},
        {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "blue"},
    ]);
    for text in ["Yes, by <tool", "a <tool_call>{x"] {
        scripted.set_reply(text);
        let mut body = json!({"messages": history, "tools": tools});
        let (_, reply) = server.ask(&body);
        assert_eq!(
            (&reply["choices"][0]["finish_reason"], &reply["choices"][0]["message"]["content"]),
            (&json!("stop"), &json!(text))
        );
        body["stream"] = json!(true);
        assert_eq!(streamed(&server.post(body.to_string()).1).1, text);
    }
    // With `tool_choice` none the text of a call is content.
    scripted.set_reply(call);
    let (_, reply) =
        server.ask(&json!({"messages": [{"role": "user", "content": "a"}], "tools": tools, "tool_choice": "none"}));
    assert_eq!(
        (&reply["choices"][0]["finish_reason"], reply["choices"][0]["message"]["content"].as_str()),
        (&json!("stop"), Some(call))
    );
}

#[test]
fn pages_of_other_origins_are_refused_unless_allowed() {
    let server = TestServer::new(|options| options.allowed_origins(["https://a.example"]));
    let body = text_request("hello").to_string();
    let post = |origin: &str| {
        let headers = format!("Content-Type: text/plain\r\nOrigin: {origin}\r\n");
        server.send("POST /v1/chat/completions", &headers, body.as_bytes()).0
    };
    assert_eq!((post("http://localhost:3000"), post("https://a.example"), post("https://b.example")), (200, 200, 403));
    let preflight = |origin: &str| {
        let mut stream = server.connect();
        let head = format!(
            "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply.to_lowercase()
    };
    let allowed = preflight("https://a.example");
    assert!(
        allowed.starts_with("http/1.1 204") && allowed.contains("access-control-allow-origin: https://a.example"),
        "{allowed}"
    );
    assert!(preflight("https://b.example").starts_with("http/1.1 403"));
    let (status, description) = server.get("/");
    assert!(status == 200 && description.contains("/v1/chat/completions"), "{description}");
}

#[test]
fn error_codes_are_those_of_openai() {
    let server = TestServer::new(|options| options.api_key("secret"));
    let (status, reply) = server.ask(&text_request("x"));
    assert_eq!((status, &reply["error"]["code"]), (401, &json!("invalid_api_key")));
    let server = TestServer::new(|options| options);
    let long = server.ask(&text_request(&"word ".repeat(20_000)));
    assert_eq!((long.0, &long.1["error"]["code"]), (400, &json!("context_length_exceeded")));
    let invalid = server.ask(&json!({"messages": 1}));
    assert_eq!((invalid.0, &invalid.1["error"]["code"]), (400, &Value::Null));
}

#[test]
fn a_client_that_disconnects_during_prefill_ends_its_request() {
    let scripted = ScriptedModel::new("Yes.");
    let server = TestServer::with_model(scripted.model.clone(), |options| options.max_concurrent(1));
    // Longer than the read timeout of this test.
    scripted.script.lock().unwrap().delay = Duration::from_secs(3_000);
    let mut client = server.connect();
    let body = text_request("What?").to_string();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all(format!("{head}{body}").as_bytes()).unwrap();
    while scripted.script.lock().unwrap().prefills == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    scripted.script.lock().unwrap().delay = Duration::ZERO;
    client.shutdown(Shutdown::Both).unwrap();
    server.assert_answers();
}

#[test]
fn the_headers_of_a_stream_come_before_its_answer() {
    let scripted = ScriptedModel::new("Yes.");
    let server = TestServer::with_model(scripted.model.clone(), |options| options.max_concurrent(1));
    // Longer than the read timeout of this test.
    scripted.script.lock().unwrap().delay = Duration::from_secs(3_000);
    let mut client = server.connect();
    let mut body = text_request("What?");
    body["stream"] = json!(true);
    let body = body.to_string();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all(format!("{head}{body}").as_bytes()).unwrap();
    // The headers, the role, and a comment that keeps the connection open.
    let mut reply = String::new();
    while !reply.contains(": waiting\n\n") {
        let mut bytes = [0; 1024];
        let read = client.read(&mut bytes).unwrap();
        assert!(read > 0, "{reply}");
        reply += &String::from_utf8_lossy(&bytes[..read]);
    }
    assert!(reply.contains("text/event-stream") && reply.contains("\"assistant\""), "{reply}");
    scripted.script.lock().unwrap().delay = Duration::ZERO;
    client.shutdown(Shutdown::Both).unwrap();
    server.assert_answers();
}

#[test]
fn slow_and_disconnected_clients_free_their_places() {
    let server = TestServer::new(|options| {
        options.request_timeout(Duration::from_millis(400)).max_concurrent(1).max_queued(1).max_tokens(400)
    });
    // A head that never ends, and a body that does not arrive.
    let mut silent = server.connect();
    silent.write_all(b"POST /v1/chat").unwrap();
    let mut slow = server.connect();
    slow.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").unwrap();
    assert_eq!(read_reply(slow).0, 408);
    let mut left = Vec::new();
    assert!(silent.read_to_end(&mut left).is_ok(), "the connection is closed");
    // Two clients with long answers disconnect, one before and one during its answer.
    let mut long = text_request("tell me");
    long["max_tokens"] = 400.into();
    for stream in [false, true] {
        long["stream"] = stream.into();
        let body = long.to_string();
        let mut client = server.connect();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n";
        client.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        if stream {
            client.read_exact(&mut [0; 40]).unwrap();
        }
        client.shutdown(Shutdown::Both).unwrap();
    }
    let start = Instant::now();
    while server.ask(&text_request("hello")).0 == 429 {
        assert!(start.elapsed() < Duration::from_secs(60), "the permits are not released");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.assert_answers();
}

#[test]
fn two_hundred_requests_at_once_are_answered_or_get_status_429() {
    let server = TestServer::new(|options| options.max_concurrent(8).max_queued(40));
    let (status, expected) = server.ask(&text_request("hello"));
    assert_eq!(status, 200);
    let statuses: Vec<(u16, String)> = std::thread::scope(|scope| {
        let ask = |_| scope.spawn(|| server.post(text_request("hello").to_string()));
        (0..200).map(ask).collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let answered = statuses.iter().filter(|(status, _)| *status == 200);
    let contents =
        answered.map(|(_, body)| serde_json::from_str::<Value>(body).unwrap()["choices"][0]["message"].clone());
    let contents: Vec<Value> = contents.collect();
    assert!(contents.len() >= 48, "{} were answered", contents.len());
    assert!(contents.iter().all(|message| *message == expected["choices"][0]["message"]));
    assert!(statuses.iter().all(|(status, _)| matches!(status, 200 | 429)), "{statuses:?}");
    server.assert_answers();
}

#[test]
fn a_completion_that_times_out_gets_status_504() {
    // The prefill takes longer than the server needs to notice the timeout.
    let server = TestServer::new(|options| options.completion_timeout(Duration::ZERO));
    let (status, reply) = server.ask(&text_request(&"many words ".repeat(1000)));
    assert_eq!(status, 504, "{reply}");
}
