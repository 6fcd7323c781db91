//! Regions, thinking, stop reasons and timeouts of a session, with a scripted model.

use std::path::PathBuf;
use std::time::Duration;

use mimo_vl_core::gui::{Action, zoom_crop};
use mimo_vl_core::{
    Answer, Error, Event, Geometry, Image, LoadOptions, Part, PlannedPart, Prompt, Region, StopReason, Thinking,
    ThinkingStyle, Video, draw_regions,
};
use mimo_vl_tests::fixtures::scripted_engine::{ScriptedModel, grey_image, without_drafts};

fn edges(region: &Region) -> [f64; 4] {
    region.as_box().unwrap().pixels
}

// ---- boxes and points

#[test]
fn boxes_are_emitted_in_the_callers_pixels_when_they_close() {
    let scripted = ScriptedModel::new(
        "<think>\n[1, 2, 3, 4]\n</think>\n\n```json\n[\n\t{\"bbox_2d\": [28, 14, 140, 70], \"label\": \"猫\"},\n\
         \t{\"bbox_2d\": [0, 0, 560, 280], \"label\": \"all\", \"text_content\": \"a\\n\"}\n]\n```",
    );
    // The model sees the image at half its size: 560 × 280 pixels.
    let image = grey_image(1120, 560).max_pixels(560 * 280);
    let mut session = scripted.session();
    let mut stream = session.stream(&Prompt::user().image(image).text("?"), &without_drafts()).unwrap();
    let mut text = String::new();
    let mut regions = Vec::new();
    for event in &mut stream {
        match event.unwrap() {
            Event::Text(piece) => text += &piece,
            Event::Region(region) => {
                assert!(text.ends_with(['}', ',', '\n']), "the box is emitted as soon as it is closed: {text:?}");
                assert_eq!(text.matches('}').count(), regions.len() + 1);
                regions.push(region);
            }
            _ => {}
        }
    }
    let answer = stream.answer().unwrap();
    assert_eq!(answer.regions, regions);
    assert!(answer.complete);
    assert_eq!(answer.thinking.as_deref(), Some("[1, 2, 3, 4]"), "boxes in the thinking are ignored");
    let [cat, all] = &regions[..] else { panic!("{regions:?}") };
    assert_eq!((cat.label.as_deref(), cat.image, cat.confidence), (Some("猫"), 0, None));
    assert_eq!(edges(cat), [56.0, 28.0, 280.0, 140.0]);
    let cat = cat.as_box().unwrap();
    assert_eq!(cat.model, [28.0, 14.0, 140.0, 70.0]);
    assert_eq!(cat.normalized, [0.05, 0.05, 0.25, 0.25]);
    assert_eq!((cat.clamped, cat.center()), (false, [168.0, 84.0]));
    assert_eq!((all.text.as_deref(), edges(all)), (Some("a\n"), [0.0, 0.0, 1120.0, 560.0]));
}

#[test]
fn coordinates_outside_the_image_or_swapped_are_flagged() {
    let answer = ScriptedModel::new("[[-5, 10, 999, 70], [200, 100, 100, 50]] {\"points\": [[5, 6], [280, 141]]}")
        .ask(&without_drafts());
    let [outside, swapped, points] = &answer.regions[..] else { panic!("{:?}", answer.regions) };
    assert_eq!((edges(outside), outside.as_box().unwrap().clamped), ([0.0, 10.0, 280.0, 70.0], true));
    assert_eq!((edges(swapped), swapped.as_box().unwrap().clamped), ([100.0, 50.0, 200.0, 100.0], true));
    let flags: Vec<_> = points.points().iter().map(|point| (point.pixels, point.clamped)).collect();
    assert_eq!(flags, [([5.0, 6.0], false), ([280.0, 140.0], true)]);
    assert!(matches!(points.geometry, Geometry::Points(_)) && points.as_box().is_none());
}

/// A grey JPEG file with an EXIF orientation and a red rectangle (left, top, right, bottom).
fn marked(width: u32, height: u32, orientation: u16, [left, top, right, bottom]: [u32; 4]) -> Vec<u8> {
    let stored = image::RgbImage::from_fn(width, height, |x, y| {
        let inside = (left..right).contains(&x) && (top..bottom).contains(&y);
        image::Rgb(if inside { [250, 0, 0] } else { [90; 3] })
    });
    let mut bytes = Vec::new();
    stored.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Jpeg).unwrap();
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    exif.extend([(orientation >> 8) as u8, orientation as u8, 0, 0, 0, 0, 0, 0]);
    let mut segment = vec![0xFF, 0xE1];
    segment.extend(((exif.len() + 2) as u16).to_be_bytes());
    segment.extend(exif);
    bytes.splice(2..2, segment);
    bytes
}

/// The bounding box of the red pixels.
fn red(image: &Image) -> [f64; 4] {
    let mut edges = [f64::MAX, f64::MAX, 0.0, 0.0];
    for (index, pixel) in image.pixels().chunks_exact(3).enumerate() {
        let (x, y) = (index % image.width() as usize, index / image.width() as usize);
        if pixel[0] > 170 && pixel[1] < 60 {
            edges = [
                edges[0].min(x as f64),
                edges[1].min(y as f64),
                edges[2].max(x as f64 + 1.0),
                edges[3].max(y as f64 + 1.0),
            ];
        }
    }
    edges
}

#[test]
fn boxes_map_back_through_every_orientation_crop_and_size() {
    let scripted = ScriptedModel::new("");
    for (width, height, mark) in [
        (301, 200, [40, 24, 120, 80]),
        (64, 517, [8, 400, 40, 440]),
        (1000, 48, [700, 8, 760, 32]),
        (32, 16, [8, 0, 16, 8]),
    ] {
        for orientation in 1..=8 {
            let whole = Image::from_bytes(&marked(width, height, orientation, mark)).unwrap();
            let transposed = orientation > 4;
            assert_eq!((whole.width(), whole.height()), if transposed { (height, width) } else { (width, height) });
            let shown = red(&whole);
            // A crop around the rectangle, with a different margin on each side.
            let margin = [5.0, 3.0, 9.0, 6.0];
            let part = [0, 1].map(|axis| {
                let end = [whole.width(), whole.height()][axis] as f64;
                let start = (shown[axis] - margin[axis]).max(0.0);
                (start as u32, ((shown[axis + 2] + margin[axis + 2]).min(end) - start) as u32)
            });
            let crop = whole.crop(part[0].0, part[1].0, part[0].1, part[1].1).unwrap();
            for (image, offset) in [
                (whole.clone(), [0.0, 0.0]),
                (whole.clone().max_pixels(6_000), [0.0, 0.0]),
                (crop, [part[0].0.into(), part[1].0.into()]),
            ] {
                let size = [image.width(), image.height()].map(f64::from);
                let plan = scripted.session().plan(&Prompt::user().image(image.clone()).text("?"), &without_drafts());
                let resized = plan.unwrap().parts.iter().find_map(|part| match part {
                    PlannedPart::Media { transform, .. } => Some(transform.resized),
                    _ => None,
                });
                let resized = [resized.unwrap().0 as f64, resized.unwrap().1 as f64];
                let seen: Vec<String> = (0..4)
                    .map(|edge| (shown[edge] - offset[edge % 2]) * resized[edge % 2] / size[edge % 2])
                    .map(|at| format!("{at:.3}"))
                    .collect();
                scripted.set_reply(&format!("[{}]", seen.join(", ")));
                let answer = scripted.session().ask(&Prompt::user().image(image).text("?"), &without_drafts()).unwrap();
                let transform = answer.transforms[0];
                assert_eq!(u16::from(transform.orientation), orientation);
                let found = answer.regions[0].as_box().unwrap();
                for edge in 0..4 {
                    let apart = (found.pixels[edge] - shown[edge]).abs();
                    assert!(apart < 0.1, "{orientation} {width}x{height}: {:?} {shown:?}", found.pixels);
                    assert!(
                        (found.normalized[edge] - shown[edge] / [whole.width(), whole.height()][edge % 2] as f64).abs()
                            < 1e-2
                    );
                }
                assert!(!found.clamped);
                let (x, y) = transform.to_model(found.pixels[0], found.pixels[1]);
                assert!((x - found.model[0]).abs() < 1e-9 && (y - found.model[1]).abs() < 1e-9);
                // Compression moves the edges by up to two pixels, but not the center.
                let (x, y) = transform.to_stored(found.center()[0], found.center()[1]);
                let center = [(mark[0] + mark[2]) as f64 / 2.0, (mark[1] + mark[3]) as f64 / 2.0];
                assert!(
                    (x - center[0]).abs() <= 1.0 && (y - center[1]).abs() <= 1.0,
                    "{orientation}: {x} {y} {center:?}"
                );
            }
        }
    }
}

#[test]
fn boxes_in_videos_are_in_pixels_of_the_frames() {
    let scripted = ScriptedModel::new("[14, 28, 70, 56]");
    let video = Video::from_frames(vec![grey_image(560, 280); 4], 2.0).unwrap().min_pixels(3136).max_pixels(280 * 140);
    let first = grey_image(56, 56);
    let prompt = Prompt::user().image(first).video(video.clone()).text("Where?");
    let answer = scripted.session().ask(&prompt, &without_drafts()).unwrap();
    let region = &answer.regions[0];
    assert_eq!((region.image, edges(region)), (1, [28.0, 56.0, 140.0, 112.0]));
    let drawn = draw_regions(&video.frames()[0], &answer.regions).unwrap();
    let at = |x: usize, y: usize| &drawn.pixels()[3 * (y * 560 + x)..][..3];
    assert!(at(28, 80) != [90; 3] && at(80, 56) != [90; 3] && at(80, 90) == [90; 3]);
}

#[test]
fn actions_are_in_pixels_of_the_screenshot() {
    let scripted = ScriptedModel::new("{\"action\": \"drag\", \"start_point\": [28, 14], \"end_point\": [140, 900]}");
    let screenshot = grey_image(1120, 560);
    let act = |image: Image| {
        let answer = scripted.session().ask(&Prompt::user().image(image).text("?"), &without_drafts()).unwrap();
        let transform = answer.transforms[0];
        let action = Action::parse(&answer.text).unwrap();
        let original = action.to_original(&transform);
        (original.to_model(&transform), original)
    };
    let full = act(screenshot.clone().max_pixels(280 * 140));
    assert_eq!(full.1, Action::Drag { start: [112.0, 56.0], end: [560.0, 560.0] });
    assert_eq!(full.0, Action::Drag { start: [28.0, 14.0], end: [140.0, 140.0] });
    // A crop from (280, 140) to (840, 420), resized to half.
    let cropped = act(zoom_crop(&screenshot, [560.0, 280.0], 2.0).unwrap().max_pixels(280 * 140));
    assert_eq!(cropped.1, Action::Drag { start: [336.0, 168.0], end: [560.0, 420.0] });
}

#[test]
fn boxes_belong_to_the_last_image_and_can_be_reassigned() {
    let scripted = ScriptedModel::new("[28, 28, 56, 56]");
    let (first, second) = (grey_image(560, 560), grey_image(140, 140));
    let prompt = Prompt::user().image(first).image(second.max_pixels(56 * 56)).text("?");
    let answer = scripted.session().ask(&prompt, &without_drafts()).unwrap();
    let region = &answer.regions[0];
    assert_eq!((region.image, edges(region)), (1, [70.0, 70.0, 140.0, 140.0]));
    let moved = region.in_image(0, &answer.transforms[0]);
    assert_eq!((moved.image, edges(&moved)), (0, [28.0, 28.0, 56.0, 56.0]));
    let none = scripted.session().ask(&Prompt::user().text("?"), &without_drafts()).unwrap();
    assert!(none.regions.is_empty(), "there are no regions without an image");
}

#[test]
fn a_truncated_answer_has_its_complete_regions() {
    let scripted = ScriptedModel::new("[{\"bbox_2d\": [1, 2, 3, 4]}, {\"bbox_2d\": [5, 6, 7, 8]}]");
    let whole = scripted.ask(&without_drafts());
    assert_eq!((whole.regions.len(), whole.complete, whole.stop), (2, true, StopReason::EndOfText));
    for tokens in 1..whole.tokens {
        let truncated = scripted.ask(&without_drafts().max_tokens(tokens));
        assert_eq!((truncated.complete, truncated.stop), (false, StopReason::MaxTokens));
        assert_eq!(truncated.regions, whole.regions[..truncated.text.matches('}').count()]);
    }
    let open = ScriptedModel::new("[{\"bbox_2d\": [1, 2, 3, 4]}, ").ask(&without_drafts());
    assert_eq!((open.regions.len(), open.complete, open.stop), (1, false, StopReason::EndOfText));
}

#[test]
fn regions_are_drawn_with_their_labels() {
    let scripted = ScriptedModel::new(
        "[{\"bbox_2d\": [28, 56, 140, 112], \"label\": \"cat 猫\"}, {\"bbox_2d\": [0, 0, 280, 140]}, \
         {\"points\": [[200, 70]], \"label\": \"\"}, {\"bbox_2d\": [270, 130, 280, 140], \"label\": \"cat 猫\"}]",
    );
    let image = grey_image(1120, 560).max_pixels(280 * 140);
    let answer = scripted.session().ask(&Prompt::user().image(image.clone()).text("?"), &without_drafts()).unwrap();
    let drawn = draw_regions(&image, &answer.regions).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (1120, 560));
    let at = |x: u32, y: u32| {
        let start = 3 * (y * 1120 + x) as usize;
        <[u8; 3]>::try_from(&drawn.pixels()[start..start + 3]).unwrap()
    };
    // The outline of the cat's box in its colour, an unchanged interior, and the same colour for the other cat.
    let colour = at(112, 400);
    assert_ne!(colour, [90; 3]);
    assert_eq!((at(559, 300), at(300, 447), at(300, 224)), (colour, colour, colour));
    assert_eq!((at(300, 300), at(1119, 559)), ([90; 3], colour));
    assert!(at(0, 300) != colour && at(0, 300) != [90; 3], "the second box has another colour");
    assert!(at(800, 280) != [90; 3], "the point is drawn");
    // The label is above the box, in text of another colour.
    let tag: Vec<[u8; 3]> = (112..230).flat_map(|x| (205..222).map(move |y| (x, y))).map(|(x, y)| at(x, y)).collect();
    assert!(tag.contains(&colour) && tag.iter().any(|pixel| *pixel != colour && *pixel != [90; 3]));
    let drawn_with_label = |label: &str| {
        let scripted = ScriptedModel::new(&format!("[{{\"bbox_2d\": [28, 56, 140, 112], \"label\": \"{label}\"}}]"));
        let answer = scripted.session().ask(&Prompt::user().image(image.clone()).text("?"), &without_drafts()).unwrap();
        draw_regions(&image, &answer.regions).unwrap().pixels().to_vec()
    };
    let looks = ["cat", "cat 猫", "cat 狗", "cat \u{FFFD}"].map(drawn_with_label);
    for (index, look) in looks.iter().enumerate() {
        assert!(!looks[..index].contains(look), "every label is drawn with its own glyphs");
    }
    let png = drawn.to_png().unwrap();
    assert_eq!(Image::from_bytes(&png).unwrap().pixels(), drawn.pixels());
    // A crop shows the regions inside it.
    let part = draw_regions(&image.crop(100, 200, 500, 300).unwrap(), &answer.regions).unwrap();
    let start = 3 * (100 * 500 + 12) as usize;
    assert_eq!(&part.pixels()[start..start + 3], colour);
    if let Ok(folder) = std::env::var("MIMO_VL_LOOK") {
        std::fs::write(PathBuf::from(folder).join("regions.png"), png).unwrap();
    }
}

// ---- thinking

#[test]
fn a_thinking_budget_ends_the_thinking() {
    let scripted = ScriptedModel::new("<think>\none two three four five six seven eight nine ten");
    let free = scripted.ask(&without_drafts());
    assert_eq!((free.text.as_str(), free.complete), ("", false), "thinking alone is no answer");
    let bounded = scripted.ask(&without_drafts().thinking_budget(6));
    let thinking = bounded.thinking.unwrap();
    assert!(free.thinking.unwrap().starts_with(&thinking), "{thinking}");
    // The scripted model continues its text, which is the answer from here on.
    assert!(!bounded.text.is_empty() && bounded.tokens > 6);
    let ends = scripted.model.tokenizer().encode("\n</think>\n\n").unwrap();
    let end = |answer: &Answer| answer.ids.windows(ends.len()).position(|ids| ids == ends).unwrap();
    let opening = scripted.model.tokenizer().encode("<think>").unwrap().len();
    for budget in [2, 6, 9] {
        // The last token of the opening tag counts as the first of the thinking.
        assert_eq!(end(&scripted.ask(&without_drafts().thinking_budget(budget))), opening - 1 + budget);
    }
    let prefilled =
        ScriptedModel::with_style("one two three four five six seven eight nine ten", ThinkingStyle::Prefill);
    let prompt = Prompt::user().text("?").thinking(Thinking::On);
    let answer = prefilled.session().ask(&prompt, &without_drafts().thinking_budget(5)).unwrap();
    assert_eq!(end(&answer), 5, "the prompt has opened the thinking");
}

#[test]
fn the_caller_can_end_the_thinking() {
    let scripted = ScriptedModel::new("<think>\none two three four five six seven eight");
    let mut session = scripted.session();
    let mut stream = session.stream(&Prompt::user().text("?"), &without_drafts()).unwrap();
    assert!(matches!(stream.next(), Some(Ok(Event::Thinking(_)))));
    stream.end_thinking().unwrap();
    stream.end_thinking().unwrap();
    let answer = stream.answer().unwrap();
    assert!(answer.thinking.is_some() && !answer.text.is_empty(), "{answer:?}");
    assert_eq!(scripted.model.tokenizer().decode(&answer.ids).matches("</think>").count(), 1);
}

#[test]
fn the_prefill_style_starts_the_answer_for_the_model() {
    let scripted = ScriptedModel::with_style("deep thoughts\n</think>\n\nyes", ThinkingStyle::Prefill);
    let ask = |thinking| {
        let prompt = Prompt::user().text("?").thinking(thinking);
        let answer = scripted.session().ask(&prompt, &without_drafts()).unwrap();
        (answer.thinking, answer.text, answer.prompt_tokens)
    };
    let (auto, on, off) = (ask(Thinking::Auto), ask(Thinking::On), ask(Thinking::Off));
    assert_eq!((on.0.as_deref(), on.1.as_str()), (Some("deep thoughts"), "yes"));
    assert_eq!((off.0, off.1.as_str()), (None, "deep thoughts\n</think>\n\nyes"));
    let tokens = |text| scripted.model.tokenizer().encode(text).unwrap().len();
    assert_eq!(on.2, auto.2 + tokens("<think>"));
    assert_eq!(off.2, auto.2 + tokens("<think>\n</think>\n"));
}

#[test]
fn a_call_can_have_a_smaller_context_than_the_model() {
    let scripted = ScriptedModel::new(&"word ".repeat(200));
    let options = without_drafts().max_tokens(1000);
    let prompt = Prompt::user().text("Go on.");
    let tokens = scripted.session().plan(&prompt, &options).unwrap().prompt_tokens;
    let limited = options.clone().max_context(tokens + 20);
    let answer = scripted.session().ask(&prompt, &limited).unwrap();
    assert_eq!((answer.tokens, answer.stop), (20, StopReason::ContextFull));
    assert_eq!(scripted.session().plan(&prompt, &limited).unwrap().answer_tokens, 20);
    let refused = scripted.session().ask(&prompt, &options.max_context(tokens));
    assert!(matches!(refused, Err(Error::ContextTooLong { .. })), "{refused:?}");
}

#[test]
fn boxes_in_prose_are_an_option() {
    let scripted = ScriptedModel::new("The primes are [2, 3, 5, 7].");
    assert!(scripted.ask(&without_drafts()).regions.is_empty());
    assert_eq!(scripted.ask(&without_drafts().prose_regions(true)).regions.len(), 1);
}

#[test]
fn thinking_stays_in_the_conversation_only_on_request() {
    let scripted = ScriptedModel::new("<think>\nhm\n</think>\n\nyes");
    for keep in [false, true] {
        let mut session = scripted.session();
        session.ask(&Prompt::user().text("?"), &without_drafts().keep_thinking(keep)).unwrap();
        let message = session.messages().last().unwrap();
        let thinking = message.parts.iter().find_map(|part| match part {
            Part::Thinking(text) => Some(text.as_str()),
            _ => None,
        });
        assert_eq!(thinking, keep.then_some("hm"));
        let messages: Vec<_> = session.messages().cloned().collect();
        let rendered = scripted.model.template().render(&messages, false).unwrap();
        let expected =
            if keep { "assistant\n<think>\nhm\n</think>\n\nyes<|im_end|>" } else { "assistant\nyes<|im_end|>" };
        assert!(rendered.contains(expected), "{rendered}");
    }
}

// ---- stop reasons

#[test]
fn stop_sequences_end_the_answer_across_tokens() {
    let scripted = ScriptedModel::new("<think>\nEND\n</think>\n\none two END three");
    let answer = scripted.ask(&without_drafts().stop("two EN").stop("three"));
    assert_eq!((answer.text.as_str(), answer.stop, answer.complete), ("one ", StopReason::StopSequence, true));
    assert_eq!(answer.thinking.as_deref(), Some("END"));
    let mut session = scripted.session();
    session.ask(&Prompt::user().text("?"), &without_drafts().stop("two")).unwrap();
    assert!(matches!(&session.messages().last().unwrap().parts[..], [Part::Text(text)] if text == "one "));
    assert_eq!(scripted.ask(&without_drafts().stop("four")).text, "one two END three");
    assert_eq!(
        scripted.ask(&without_drafts().stop("threefold")).text,
        "one two END three",
        "the buffered prefix is emitted"
    );
}

#[test]
fn a_repeating_answer_ends_with_the_reason_loop() {
    let scripted = ScriptedModel::new(&"round and ".repeat(40));
    let answer = scripted.ask(&without_drafts().loop_window(24));
    assert_eq!((answer.stop, answer.tokens, answer.complete), (StopReason::Loop, 24, false));
    assert_eq!(scripted.ask(&without_drafts()).stop, StopReason::EndOfText);
}

#[test]
fn an_open_list_makes_an_answer_incomplete_even_without_an_image() {
    let ask = |text| ScriptedModel::new(text).session().ask(&Prompt::user().text("?"), &without_drafts()).unwrap();
    assert!(ask("[1, 2]").complete && !ask("[1, 2").complete);
}

#[test]
fn best_of_prefers_answers_with_tokens_to_empty_ones() {
    let scripted = ScriptedModel::new("one two three four five six");
    scripted.script.lock().unwrap().margin = 4.0;
    scripted.script.lock().unwrap().delay = Duration::from_millis(30);
    let options = without_drafts().temperature(1.0).max_tokens(6).best_of(40).timeout(Duration::from_millis(800));
    let mut session = scripted.session();
    let answer = session.ask(&Prompt::user().text("?"), &options).unwrap();
    assert!(!answer.ids.is_empty() || answer.stop == StopReason::EndOfText, "{answer:?}");
    let next = session.ask(&Prompt::user().text("?"), &without_drafts()).unwrap();
    assert!(next.timings.cached_tokens > 0 && session.messages().len() == 4);
}

#[test]
fn a_timeout_ends_an_answer_and_fails_the_prefill() {
    let scripted = ScriptedModel::new("one two three four five six seven eight nine ten");
    scripted.script.lock().unwrap().delay = Duration::from_millis(60);
    let answer = scripted.ask(&without_drafts().timeout(Duration::from_millis(600)));
    assert_eq!((answer.stop, answer.complete), (StopReason::Timeout, false));
    assert!(answer.tokens > 0 && "one two three four five six seven eight nine ten".starts_with(&answer.text));
    let mut session = scripted.session();
    let prompt = Prompt::user().image(grey_image(28, 28)).text("?");
    let late = session.ask(&prompt, &without_drafts().timeout(Duration::ZERO));
    assert!(matches!(late, Err(Error::Timeout)), "{late:?}");
    assert_eq!((session.messages().len(), session.cached_tokens()), (0, 0));
    let again = session.ask(&prompt, &without_drafts().max_tokens(1)).unwrap();
    assert_eq!(again.stop, StopReason::MaxTokens, "the timeout applied to the previous call only");
}

#[test]
fn image_features_are_cached_across_sessions_within_a_budget() {
    let encoded = |scripted: &ScriptedModel| scripted.script.lock().unwrap().encoded;
    let ask = |scripted: &ScriptedModel, image: &Image| {
        let prompt = Prompt::user().image(image.clone()).text("?");
        scripted.session().ask(&prompt, &without_drafts()).unwrap();
        encoded(scripted)
    };
    let (first, second) = (grey_image(56, 56), grey_image(84, 56));
    let one = 4 * 4 * ScriptedModel::new("").model.config().text.hidden_size as u64;
    let scripted = ScriptedModel::new("yes");
    // Equal pixels are the same image, wherever they come from.
    assert_eq!([&first, &second, &grey_image(56, 56), &second].map(|image| ask(&scripted, image)), [1, 2, 2, 2]);
    assert_eq!(scripted.model.feature_bytes(), one + one / 4 * 6);
    let small = ScriptedModel::with_options("yes", LoadOptions::new().feature_cache(one + 1));
    assert_eq!([&first, &first, &second, &first].map(|image| ask(&small, image)), [1, 1, 2, 2]);
    assert_eq!(small.model.feature_bytes(), one, "the features of the second image exceed the budget");
    let none = ScriptedModel::with_options("yes", LoadOptions::new().feature_cache(0));
    assert_eq!([&first, &first].map(|image| ask(&none, image)), [1, 2]);
    assert_eq!(none.model.feature_bytes(), 0);
}
