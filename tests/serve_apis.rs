//! The fields and APIs of other systems that the server understands.

use mimo_vl_core::ThinkingStyle;
use mimo_vl_tests::fixtures::scripted_engine::ScriptedModel;
use mimo_vl_tests::fixtures::test_server::{TestServer, data_url, events, image_bytes, image_request, text_request};
use mimo_vl_tests::fixtures::tiny_model::checkpoint_with_tools;
use serde_json::{Value, json};

#[test]
fn a_call_can_be_required() {
    let folder = checkpoint_with_tools();
    let scripted = ScriptedModel::from_folder(folder.path(), "I would rather not.", ThinkingStyle::Slash);
    let server = TestServer::with_model(scripted.model.clone(), |options| options);
    let function = |name: &str| {
        let parameters = json!({"type": "object", "properties": {"at": {"enum": ["sky", "sea"]}}, "required": ["at"],
            "additionalProperties": false});
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    let tools = json!([function("look"), function("listen")]);
    let named = json!({"type": "function", "function": {"name": "listen"}});
    for (choice, names) in [(json!("required"), &["look", "listen"][..]), (named, &["listen"])] {
        let mut body = json!({"messages": [{"role": "user", "content": "Is it blue?"}], "tools": tools});
        body["tool_choice"] = choice;
        let (status, reply) = server.ask(&body);
        assert_eq!((status, &reply["choices"][0]["finish_reason"]), (200, &json!("tool_calls")), "{reply}");
        let call = &reply["choices"][0]["message"]["tool_calls"][0]["function"];
        assert!(names.contains(&call["name"].as_str().unwrap()), "{call}");
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert!(["sky", "sea"].contains(&arguments["at"].as_str().unwrap()), "{arguments}");
    }
    // References work in the schema of a function.
    let referring = json!({"type": "object", "properties": {"at": {"$ref": "#/$defs/Place"}}, "required": ["at"],
        "additionalProperties": false, "$defs": {"Place": {"enum": ["sky"], "format": "place"}}});
    let tool = json!({"type": "function", "function": {"name": "look", "parameters": referring}});
    let (_, reply) = server.ask(&json!({
        "messages": [{"role": "user", "content": "?"}], "tools": [tool], "tool_choice": "required",
        "parallel_tool_calls": false,
    }));
    let calls = &reply["choices"][0]["message"]["tool_calls"];
    assert_eq!((calls.as_array().unwrap().len(), &calls[0]["function"]["arguments"]), (1, &json!(r#"{"at":"sky"}"#)));
    let unknown = json!({"type": "function", "function": {"name": "fly"}});
    let (status, reply) =
        server.ask(&json!({"messages": [{"role": "user", "content": "?"}], "tools": tools, "tool_choice": unknown}));
    assert_eq!((status, &reply["error"]["param"]), (400, &json!("tool_choice")), "{reply}");
}

#[test]
fn tools_and_pictures_go_together() {
    let folder = checkpoint_with_tools();
    let scripted = ScriptedModel::from_folder(folder.path(), "It is blue.", ThinkingStyle::Slash);
    let server = TestServer::with_model(scripted.model.clone(), |options| options);
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
    let image = json!({"type": "image_url", "image_url": {"url": data_url(&image_bytes())}});
    let call = json!([{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]);
    let mut body = json!({"tools": tools, "messages": [
        {"role": "user", "content": [image, {"type": "text", "text": "Is it blue?"}]},
        {"role": "assistant", "content": null, "tool_calls": call},
        {"role": "tool", "tool_call_id": "1", "content": "no picture"},
    ]});
    let (status, without) = server.ask(&body);
    assert_eq!((status, &without["choices"][0]["message"]["content"]), (200, &json!("It is blue.")), "{without}");
    body["messages"][2]["content"] = json!([image]);
    let (status, with) = server.ask(&body);
    assert_eq!(status, 200, "{with}");
    assert_ne!(with["usage"]["prompt_tokens"], without["usage"]["prompt_tokens"]);
}

#[test]
fn several_answers_have_seeds_of_their_own() {
    let server = TestServer::new(|options| options);
    let mut body = text_request("hello");
    for (key, value) in [("temperature", json!(20.0)), ("n", json!(3)), ("seed", json!(5))] {
        body[key] = value;
    }
    let (status, reply) = server.ask(&body);
    assert_eq!((status, &reply["seed"]), (200, &json!(5)), "{reply}");
    let contents: Vec<&Value> = (0..3).map(|index| &reply["choices"][index]["message"]["content"]).collect();
    assert!(contents[0] != contents[1] && contents[1] != contents[2], "{reply}");
    assert_eq!(reply["choices"][2]["index"], 2);
    let mut alone = body.clone();
    (alone["n"], alone["seed"]) = (json!(1), json!(6));
    assert_eq!(&server.ask(&alone).1["choices"][0]["message"]["content"], contents[1]);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let chunks = events(&server.post(body.to_string()).1);
    for (index, content) in contents.iter().enumerate() {
        let pieces = chunks.iter().filter(|chunk| chunk["choices"][0]["index"] == index);
        let text: String = pieces.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(&json!(text), *content);
    }
    assert_eq!(chunks.last().unwrap()["usage"], reply["usage"]);
    // Without a seed each request draws one, and says which.
    let mut drawn = text_request("hello");
    drawn["temperature"] = json!(20.0);
    let (first, second) = (server.ask(&drawn).1, server.ask(&drawn).1);
    assert_ne!(first["seed"], second["seed"]);
    drawn["seed"] = first["seed"].clone();
    assert_eq!(server.ask(&drawn).1["choices"][0]["message"]["content"], first["choices"][0]["message"]["content"]);
}

#[test]
fn an_answer_that_a_limit_closed_is_of_finish_reason_length() {
    let scripted = ScriptedModel::new("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]");
    let server = TestServer::with_model(scripted.model.clone(), |options| options);
    let mut body = text_request("Count");
    body["guided_json"] = json!({"type": "array", "items": {"type": "integer"}});
    body["max_tokens"] = json!(10);
    let (_, reply) = server.ask(&body);
    let choice = &reply["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["closed_early"]), (&json!("length"), &json!(true)), "{reply}");
    assert!(serde_json::from_str::<Vec<u32>>(choice["message"]["content"].as_str().unwrap()).is_ok(), "{reply}");
    // The thinking never ends.
    scripted.set_reply("<think>hm");
    let (_, reply) = server.ask(&text_request("Why?"));
    assert_eq!(reply["choices"][0]["finish_reason"], "length", "{reply}");
}

#[test]
fn parts_of_other_systems_are_understood() {
    let server = TestServer::new(|options| options);
    let expected = server.ask(&image_request(&data_url(&image_bytes()))).1;
    let url = data_url(&image_bytes());
    let base64 = url.split_once(',').unwrap().1;
    let text = json!({"type": "text", "text": "what?"});
    for content in [
        json!([{"type": "image_url", "image_url": url}, "what?"]),
        json!([{"type": "input_image", "image_url": url}, {"type": "input_text", "text": "what?"}]),
        json!([{"type": "image", "image": url}, text]),
        json!([{"type": "image", "url": url}, text]),
        json!([{"type": "image", "image": base64}, text]),
        json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64}}, text]),
        json!([{"type": "image_url", "image_url": {"url": url, "detail": "high"}}, text]),
    ] {
        let (status, reply) = server.ask(&json!({"max_tokens": 4, "messages": [{"role": "user", "content": content}]}));
        assert_eq!(status, 200, "{reply}");
        assert_eq!(reply["choices"][0]["message"], expected["choices"][0]["message"]);
        assert_eq!(reply["usage"]["prompt_tokens"], expected["usage"]["prompt_tokens"]);
    }
    let tokens = |fields: Value, part: Value| {
        let mut body = json!({"max_tokens": 4, "messages": [{"role": "user", "content": [part, "what?"]}]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (status, reply) = server.ask(&body);
        assert_eq!(status, 200, "{reply}");
        reply["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    let image = |extra: Value| {
        let mut part = json!({"type": "image", "image": url});
        part.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        part
    };
    let whole = tokens(json!({}), image(json!({})));
    let small = tokens(json!({}), image(json!({"max_pixels": 1600})));
    assert!(small < whole, "{small} {whole}");
    assert_eq!(tokens(json!({"max_pixels": 1600}), image(json!({}))), small);
    assert_eq!(tokens(json!({"mm_processor_kwargs": {"max_pixels": 1600}}), image(json!({}))), small);
    // A part that is not in a list counts as well.
    let alone = json!({"max_tokens": 4, "messages": vec![json!({"role": "user", "content": image(json!({}))}); 40]});
    assert_eq!(server.ask(&alone).0, 400);
    for part in [
        json!({"type": "image", "image": url, "resized_width": 28}),
        json!({"type": "video", "video": vec![""; 1000]}),
        json!({"type": "video", "video": [url], "max_frames": 1}),
        json!({"type": "video", "video": url, "nframes": 5000}),
        json!({"type": "video", "video": url, "total_pixels": 1u64 << 40}),
    ] {
        let (status, reply) = server.ask(&json!({"messages": [{"role": "user", "content": [part]}]}));
        assert_eq!(status, 400, "{reply}");
    }
    // A video as a list of frames.
    let frames = |count: usize| json!({"type": "video", "video": vec![url.clone(); count], "fps": 1});
    assert!(tokens(json!({}), frames(4)) > tokens(json!({}), frames(2)));
}

#[test]
fn an_answer_can_continue_the_last_message() {
    let scripted = ScriptedModel::new(" three circles.");
    let server = TestServer::with_model(scripted.model.clone(), |options| options);
    let messages = json!([{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "I see"}]);
    let mut body = json!({"messages": messages, "continue_final_message": true, "add_generation_prompt": false});
    let (status, reply) = server.ask(&body);
    assert_eq!((status, &reply["choices"][0]["message"]["content"]), (200, &json!(" three circles.")), "{reply}");
    body["messages"].as_array_mut().unwrap().pop();
    assert_eq!(server.ask(&body).0, 400);
}

#[test]
fn a_text_is_continued_without_the_template() {
    let scripted = ScriptedModel::new(" and <think>more</think>");
    let server = TestServer::with_model(scripted.model.clone(), |options| options);
    let post = |body: &Value| server.send("POST /v1/completions", "", body.to_string().as_bytes());
    let mut body = json!({"prompt": "Once upon", "max_tokens": 60, "logprobs": 1, "seed": 1});
    let (status, reply) = post(&body);
    let whole: Value = serde_json::from_str(&reply).unwrap();
    let choice = &whole["choices"][0];
    assert_eq!(
        (status, &whole["object"], &choice["text"]),
        (200, &json!("text_completion"), &json!(" and <think>more</think>"))
    );
    assert_eq!(choice["finish_reason"], "stop");
    let tokens = scripted.model.tokenizer().encode_text("Once upon").unwrap().len();
    assert_eq!(whole["usage"]["prompt_tokens"], tokens);
    assert_eq!(
        choice["logprobs"]["tokens"].as_array().unwrap().len(),
        whole["usage"]["completion_tokens"].as_u64().unwrap() as usize
    );
    body["stream"] = json!(true);
    let text: String = events(&post(&body).1).iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(json!(text), choice["text"]);
    assert_eq!(post(&json!({"prompt": ["a", "b"]})).0, 400);
    assert_eq!(post(&json!({"messages": []})).0, 400);
}

#[test]
fn the_responses_api_gives_the_same_answers() {
    let folder = checkpoint_with_tools();
    let call = "<tool_call>\n{\"name\": \"look\", \"arguments\": {}}\n</tool_call>";
    let reply = format!("<think>\nhm\n</think>\n\nI look.\n{call}");
    let scripted = ScriptedModel::from_folder(folder.path(), &reply, ThinkingStyle::Slash);
    let server = TestServer::with_model(scripted.model.clone(), |options| options);
    let post = |body: &Value| server.send("POST /v1/responses", "", body.to_string().as_bytes());
    let image = json!({"type": "input_image", "image_url": data_url(&image_bytes())});
    let mut body = json!({
        "input": [{"role": "user", "content": [image, {"type": "input_text", "text": "Is it blue?"}]}],
        "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}}],
    });
    let (status, text) = post(&body);
    assert_eq!(status, 200, "{text}");
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("completed")));
    assert_eq!((&whole["tools"], &whole["tool_choice"]), (&body["tools"], &json!("auto")));
    let [thinking, message, called] = &whole["output"].as_array().unwrap()[..] else { panic!("{whole}") };
    assert_eq!((&thinking["type"], &thinking["summary"][0]["text"]), (&json!("reasoning"), &json!("hm")));
    assert_eq!(message["content"][0]["text"], "I look.");
    assert_eq!((&called["type"], &called["name"]), (&json!("function_call"), &json!("look")));
    assert!(whole["usage"]["input_tokens"].as_u64().unwrap() > 10, "{whole}");

    body["stream"] = json!(true);
    let (_, stream) = post(&body);
    let sent: Vec<Value> = stream
        .split("\n\n")
        .filter_map(|event| event.split_once("data: "))
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect();
    for (index, event) in sent.iter().enumerate() {
        assert_eq!(event["sequence_number"], index, "{event}");
        assert!(stream.contains(&format!("event: {}\n", event["type"].as_str().unwrap())));
    }
    let deltas = |kind: &str| -> String {
        sent.iter().filter(|event| event["type"] == kind).filter_map(|event| event["delta"].as_str()).collect()
    };
    assert_eq!(deltas("response.output_text.delta"), "I look.");
    assert_eq!(deltas("response.reasoning_summary_text.delta"), "hm");
    let last = sent.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(last["response"]["output"].as_array().unwrap().len(), 3);
    let added = sent.iter().filter(|event| event["type"] == "response.output_item.added").count();
    let done = sent.iter().filter(|event| event["type"] == "response.output_item.done").count();
    assert_eq!((added, done), (3, 3), "{stream}");

    let cut: Value = serde_json::from_str(&post(&json!({"input": "Why?", "max_output_tokens": 2})).1).unwrap();
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    let (status, error) = post(&json!({"input": "x", "previous_response_id": "resp-1"}));
    assert!(status == 400 && error.contains("previous_response_id"), "{error}");
}
