#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use super::palette::shade;
use super::*;

fn scene(index: u64) -> (Scene, Random) {
    let mut rng = Random::new(7, index);
    (Scene::random(&mut rng, &Limits::default()), rng)
}

#[test]
fn scenes_keep_their_limits() {
    let mut by_count = [0usize; 6];
    for index in 0..2000 {
        let (scene, _) = scene(index);
        assert!((140..=224).contains(&scene.width) && (140..=224).contains(&scene.height));
        assert!((1..=5).contains(&scene.objects.len()));
        by_count[scene.objects.len()] += 1;
        for (position, a) in scene.objects.iter().enumerate() {
            assert!((24..=56).contains(&a.size));
            assert!(a.left + a.size <= scene.width && a.top + a.size <= scene.height);
            for b in &scene.objects[..position] {
                let beside = a.left + a.size <= b.left || b.left + b.size <= a.left;
                let above = a.top + a.size <= b.top || b.top + b.size <= a.top;
                assert!(beside || above, "{a:?} overlaps {b:?}");
            }
        }
    }
    assert!(by_count[1..].iter().all(|&count| count > 200), "{by_count:?}");
}

#[test]
fn answers_are_true() {
    for index in 0..2000 {
        let (scene, mut rng) = scene(index);
        for question in scene.questions(&mut rng, 8) {
            let fits = |object: &&Object| {
                question.subject.colour.is_none_or(|colour| colour == object.colour)
                    && question.subject.shape.is_none_or(|shape| shape == object.shape)
            };
            let found: Vec<&Object> = scene.objects.iter().filter(fits).collect();
            match question.answer {
                Answer::Count(count) => assert_eq!(count, found.len()),
                Answer::Has(has) => assert_eq!(has, !found.is_empty()),
                Answer::Colour(colour) => assert!(found.len() == 1 && found[0].colour == colour),
                Answer::Shape(shape) => assert!(found.len() == 1 && found[0].shape == shape),
            }
            assert!(is_right(&question.answer_text(), &question));
            assert!(!question.text.contains(['{', '}', '[', ']', '|']), "{}", question.text);
            assert!(!question.text.contains("  ") && !question.text.is_empty(), "{:?}", question.text);
        }
    }
}

#[test]
fn questions_are_distinct_and_answers_balanced() {
    let mut answers: HashMap<(Kind, String), usize> = HashMap::new();
    let mut languages = [0usize; 2];
    for index in 0..2000 {
        let (scene, mut rng) = scene(index);
        let questions = scene.questions(&mut rng, 6);
        assert_eq!(questions.len(), 6);
        for (position, question) in questions.iter().enumerate() {
            let same = |other: &Question| (other.kind, other.subject) == (question.kind, question.subject);
            assert!(!questions[..position].iter().any(same));
            languages[usize::from(question.language == Language::Chinese)] += 1;
            let english = Question { language: Language::English, ..question.clone() };
            *answers.entry((question.kind, english.answer_text())).or_default() += 1;
        }
    }
    let of = |kinds: &[Kind], answer: &str| -> f64 {
        kinds.iter().map(|&kind| answers.get(&(kind, answer.into())).copied().unwrap_or(0)).sum::<usize>() as f64
    };
    let has = [Kind::HasShape, Kind::HasColour, Kind::HasColouredShape];
    let yes = of(&has, "yes") / (of(&has, "yes") + of(&has, "no"));
    assert!((0.46..0.54).contains(&yes), "{yes}");
    let counts = [Kind::CountShape, Kind::CountColour, Kind::CountColouredShape];
    let total: f64 = (0..6).map(|count| of(&counts, &count.to_string())).sum();
    for count in 0..=3 {
        let share = of(&counts, &count.to_string()) / total;
        assert!((0.08..0.4).contains(&share), "{count}: {share}");
    }
    for shape in Shape::ALL {
        assert!(of(&[Kind::ShapeOfColour], shape.word(Language::English)) > 200.0);
    }
    for colour in Colour::ALL {
        assert!(of(&[Kind::ColourOfShape], colour.word(Language::English)) > 120.0);
    }
    assert!(languages[0].abs_diff(languages[1]) < 1000, "{languages:?}");
}

#[test]
fn an_example_depends_on_seed_and_index_only() {
    let recipe = Recipe::default();
    for index in [0, 1, 999_999] {
        let first = Conversation::random(3, index, &recipe);
        assert_eq!(first, Conversation::random(3, index, &recipe));
        assert_ne!(first, Conversation::random(4, index, &recipe));
        assert_ne!(first, Conversation::random(3, index + 1, &recipe));
    }
    // The first output of xoshiro256++ after these four states, by its definition.
    let mut rng = Random::new(1, 2);
    let bits: Vec<u64> = (0..3).map(|_| rng.bits()).collect();
    assert_eq!(bits, GOLDEN_BITS);
}

const GOLDEN_BITS: [u64; 3] = [0, 0, 0];

#[test]
fn an_example_is_the_same_on_every_platform() {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    for index in 0..200 {
        let conversation = Conversation::random(11, index, &Recipe::default());
        let text: String = conversation.pieces().into_iter().map(|piece| piece.text).collect();
        for byte in conversation.picture.pixels.iter().copied().chain(text.bytes()) {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    assert_eq!(sum, GOLDEN_EXAMPLES);
}

const GOLDEN_EXAMPLES: u64 = 0;

/// Hue in degrees, saturation and value of a colour.
fn hue([r, g, b]: [u8; 3]) -> (f64, f64, f64) {
    let [r, g, b] = [r, g, b].map(f64::from);
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    let span = (high - low).max(1.0);
    let hue = if high == r {
        (g - b) / span
    } else if high == g {
        2.0 + (b - r) / span
    } else {
        4.0 + (r - g) / span
    };
    ((hue * 60.0).rem_euclid(360.0), (high - low) / high.max(1.0), high)
}

#[test]
fn colours_stay_apart() {
    let mut rng = Random::new(0, 0);
    for _ in 0..5000 {
        for colour in Colour::ALL {
            let value = shade(colour, &mut rng);
            let (hue, saturation, bright) = hue(value);
            let fits = match colour {
                Colour::Black => bright <= 48.0,
                _ if saturation < 0.35 || bright < 80.0 => false,
                Colour::Red => !(14.0..=335.0).contains(&hue),
                Colour::Orange => (18.0..=43.0).contains(&hue),
                Colour::Yellow => (46.0..=66.0).contains(&hue),
                Colour::Green => (95.0..=165.0).contains(&hue),
                Colour::Blue => (195.0..=246.0).contains(&hue),
                Colour::Purple => (258.0..=318.0).contains(&hue),
            };
            assert!(fits, "{colour:?} {value:?}: hue {hue}, saturation {saturation}");
        }
    }
}

#[test]
fn shapes_cover_what_they_should_and_nothing_outside_their_box() {
    for index in 0..400 {
        let (mut scene, _) = scene(index);
        let drawn = draw(&scene, &mut Random::new(1, index));
        let objects = std::mem::take(&mut scene.objects);
        let centre = |object: &Object| {
            let (x, y) = (object.left + object.size / 2, object.top + object.size / 2);
            let start = ((y * drawn.width + x) * 3) as usize;
            [0, 1, 2].map(|channel| drawn.pixels[start + channel])
        };
        for object in &objects {
            // Backgrounds are light and colours are not.
            assert!(centre(object).into_iter().min().unwrap() < 140, "{object:?}");
        }
        let inside = |x: u32, y: u32| {
            objects.iter().any(|o| (o.left..o.left + o.size).contains(&x) && (o.top..o.top + o.size).contains(&y))
        };
        for (position, pixel) in drawn.pixels.chunks_exact(3).enumerate() {
            let (x, y) = (position as u32 % drawn.width, position as u32 / drawn.width);
            assert!(inside(x, y) || pixel.iter().all(|&value| value >= 160), "{x} {y} {pixel:?}");
        }
    }
}

#[test]
fn captions_list_every_object_in_order() {
    let object = |colour, shape, left| Object { colour, shape, left, top: 0, size: 24 };
    let objects = vec![
        object(Colour::Blue, Shape::Star, 0),
        object(Colour::Red, Shape::Circle, 90),
        object(Colour::Red, Shape::Circle, 40),
    ];
    let scene = Scene { width: 140, height: 140, objects };
    assert_eq!(scene.caption(Language::English, Order::ColourThenShape), "red circle, red circle, blue star");
    assert_eq!(scene.caption(Language::Chinese, Order::ColourThenShape), "红色圆形，红色圆形，蓝色星形");
    assert_eq!(scene.caption(Language::English, Order::LeftToRight), "blue star, red circle, red circle");
}

#[test]
fn answers_are_judged_by_meaning() {
    let question = |answer, language| Question {
        text: String::new(),
        answer,
        kind: Kind::CountAll,
        subject: Subject::default(),
        language,
    };
    let two = question(Answer::Count(2), Language::Chinese);
    assert!(["2", "二", "两个", " 2。"].iter().all(|said| is_right(said, &two)));
    assert!(["3", "", "22", "two"].iter().all(|said| !is_right(said, &two)));
    let red = question(Answer::Colour(Colour::Red), Language::English);
    assert!(is_right("Red.", &red) && !is_right("blue", &red) && !is_right("红色", &red));
    let no = question(Answer::Has(false), Language::Chinese);
    assert!(is_right("没有", &no) && !is_right("有", &no));
}

#[test]
fn only_the_last_turn_thinks() {
    let mut thinking = 0;
    for index in 0..500 {
        let conversation = Conversation::random(5, index, &Recipe::default());
        let (last, before) = conversation.turns.split_last().unwrap();
        assert!(before.iter().all(|turn| !turn.reply.contains("<think>") && turn.learn == turn.no_think));
        assert_eq!(last.no_think, !last.reply.starts_with("<think>\n"));
        assert!(last.learn);
        thinking += usize::from(!last.no_think);
        let pieces = conversation.pieces();
        assert_eq!(pieces.iter().filter(|piece| piece.text.contains("<|image_pad|>")).count(), 1);
        assert!(pieces[0].text.contains("<|image_pad|>") && !pieces[0].learn);
    }
    assert!((250..350).contains(&thinking), "{thinking}");
}

#[test]
fn the_tokenizer_knows_the_words() {
    let tokenizer = build_tokenizer().unwrap();
    let again = build_tokenizer().unwrap();
    assert_eq!(tokenizer.to_string(false).unwrap(), again.to_string(false).unwrap());
    assert!(padded_vocab_size(&tokenizer) <= 1024);
    let count = |text: &str| tokenizer.encode(text, false).unwrap().len();
    for colour in Colour::ALL {
        for shape in Shape::ALL {
            let english = format!("{} {}", colour.word(Language::English), shape.word(Language::English));
            assert_eq!(count(&english), 2, "{english}");
            assert_eq!(count(&format!("{english}, {english}")), 5, "{english}");
            let chinese = format!("{}{}", colour.word(Language::Chinese), shape.word(Language::Chinese));
            assert_eq!(count(&chinese), 2, "{chinese}");
            assert_eq!(count(&format!("{chinese}，{chinese}")), 5, "{chinese}");
        }
    }
    for token in SPECIAL_TOKENS.iter().chain(&ADDED_TOKENS) {
        assert_eq!(count(token), 1);
    }
    for index in 0..300 {
        let pieces = Conversation::random(2, index, &Recipe::default()).pieces();
        let whole: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        let ids = tokenizer.encode(whole.as_str(), false).unwrap().get_ids().to_vec();
        let apart: Vec<u32> =
            pieces.iter().flat_map(|p| tokenizer.encode(p.text.as_str(), false).unwrap().get_ids().to_vec()).collect();
        assert_eq!(ids, apart);
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), whole);
    }
}

#[test]
#[ignore = "a measurement, not a check"]
fn speed_and_lengths() {
    let start = std::time::Instant::now();
    let examples: Vec<_> = (0..3000).map(|index| Conversation::random(9, index, &Recipe::default())).collect();
    eprintln!("{:?} per example", start.elapsed() / 3000);
    let tokenizer = build_tokenizer().unwrap();
    eprintln!("vocab {}", tokenizer.get_vocab_size(true));
    let count = |text: &str| tokenizer.encode(text, false).unwrap().len();
    let (mut questions, mut replies, mut thinking, mut whole) = (vec![], vec![], vec![], vec![]);
    for example in &examples {
        for turn in &example.turns {
            questions.push(count(&turn.question));
            if turn.no_think {
                replies.push(count(&turn.reply))
            } else if turn.learn {
                thinking.push(count(&turn.reply))
            }
        }
        whole.push(example.pieces().iter().map(|p| count(&p.text)).sum::<usize>());
    }
    for (name, mut values) in [("question", questions), ("reply", replies), ("thinking", thinking), ("whole", whole)] {
        values.sort_unstable();
        let mean = values.iter().sum::<usize>() as f64 / values.len() as f64;
        eprintln!("{name}: mean {mean:.1}, 99% {}, max {}", values[values.len() * 99 / 100], values[values.len() - 1]);
    }
    for index in 0..14 {
        for question in
            Scene::random(&mut Random::new(1, index), &Limits::default()).questions(&mut Random::new(2, index), 4)
        {
            let cut = tokenizer.encode(question.text.as_str(), false).unwrap();
            let cut: Vec<_> = cut.get_ids().iter().map(|id| tokenizer.decode(&[*id], false).unwrap()).collect();
            eprintln!("{} -> {}   {cut:?}", question.text, question.answer_text());
        }
    }
    tokenizer.save("/tmp/tokenizer.json", false).unwrap();
}
