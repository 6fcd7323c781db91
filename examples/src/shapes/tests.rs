#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use mimo_vl_core::expert::PreprocessConfig;
use mimo_vl_core::gui::Direction;
use mimo_vl_core::score::contains;

use super::palette::shade;
use super::*;

const SKILLS: [Skill; 6] = [
    Skill::Questions { exchanges: 4 },
    Skill::Detect { exchanges: 2 },
    Skill::Read { lines: 4 },
    Skill::Click { exchanges: 3, task: false },
    Skill::Click { exchanges: 1, task: true },
    Skill::Track { frames: 5 },
];

/// A conversation; the index chooses the skill.
fn any_conversation(seed: u64, index: u64) -> Conversation {
    Conversation::random(seed, index, SKILLS[index as usize % SKILLS.len()], &Recipe::default()).unwrap()
}

fn scene(index: u64) -> (Scene, Random) {
    let mut rng = Random::new(7, index);
    (Scene::random(&mut rng, &Limits::default()), rng)
}

#[test]
fn scenes_stay_within_their_limits() {
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
fn reference_answers_are_true() {
    for index in 0..2000 {
        let (scene, mut rng) = scene(index);
        for question in scene.questions(&mut rng, 8) {
            let Subject { colour, shape } = question.subject;
            let fits = |object: &&Object| {
                colour.is_none_or(|colour| colour == object.colour) && shape.is_none_or(|shape| shape == object.shape)
            };
            let found: Vec<&Object> = scene.objects.iter().filter(fits).collect();
            match question.answer {
                Answer::Count(count) => assert_eq!(count, found.len()),
                Answer::Has(has) => assert_eq!(has, !found.is_empty()),
                Answer::Colour(colour) => assert!(found.len() == 1 && found[0].colour == colour),
                Answer::Shape(shape) => assert!(found.len() == 1 && found[0].shape == shape),
            }
            assert!(is_correct(&question.answer_text(), &question));
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
    let conversation = |seed, index, skill| Conversation::random(seed, index, skill, &recipe).unwrap();
    for (index, skill) in [0, 1, 999_999].into_iter().flat_map(|index| SKILLS.map(|skill| (index, skill))) {
        let first = conversation(3, index, skill);
        assert_eq!(first, conversation(3, index, skill));
        assert_ne!(first, conversation(4, index, skill));
        assert_ne!(first, conversation(3, index + 1, skill));
    }
    let mut rng = Random::new(1, 2);
    let bits: Vec<u64> = (0..3).map(|_| rng.bits()).collect();
    assert_eq!(bits, GOLDEN_BITS);
}

/// First numbers of seed 1, index 2, from an independent implementation.
const GOLDEN_BITS: [u64; 3] = [6_748_381_332_067_369_065, 7_783_729_652_641_646_569, 12_065_272_553_160_682_699];

#[test]
fn an_example_is_the_same_on_every_platform() {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    for index in 0..200 {
        let conversation = any_conversation(11, index);
        let text: String = conversation.segments().into_iter().map(|segment| segment.text).collect();
        let images = match &conversation.media {
            Media::Image(image) => std::slice::from_ref(image),
            Media::Video(motion) => &motion.frames,
        };
        for byte in images.iter().flat_map(|image| &image.pixels).copied().chain(text.bytes()) {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    assert_eq!(sum, GOLDEN_EXAMPLES);
}

/// FNV-1a of 200 examples, pixels and text; every change of the data changes it.
const GOLDEN_EXAMPLES: u64 = 9_970_554_374_161_514_299;

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
fn shapes_cover_the_center_and_stay_inside_their_box() {
    for index in 0..400 {
        let (mut scene, _) = scene(index);
        let drawn = draw(&scene, &mut Random::new(1, index));
        let objects = std::mem::take(&mut scene.objects);
        // Backgrounds are light and colours are dark, so the center of a box shows whether it is painted.
        let darkest = |object: &Object| {
            let middle = object.size * 3 / 8..object.size * 5 / 8;
            let place = |dx: u32, dy: u32| (((object.top + dy) * drawn.width + object.left + dx) * 3) as usize;
            let places = middle.clone().flat_map(|dy| middle.clone().map(move |dx| (dx, dy)));
            places.flat_map(|(dx, dy)| drawn.pixels[place(dx, dy)..][..3].to_vec()).min().unwrap()
        };
        for object in &objects {
            assert!(darkest(object) < 125, "{object:?}");
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
    assert!(["2", "二", "两个", " 2。"].iter().all(|said| is_correct(said, &two)));
    assert!(["3", "", "22", "two"].iter().all(|said| !is_correct(said, &two)));
    let red = question(Answer::Colour(Colour::Red), Language::English);
    assert!(is_correct("Red.", &red) && !is_correct("blue", &red) && !is_correct("红色", &red));
    let no = question(Answer::Has(false), Language::Chinese);
    assert!(is_correct("没有", &no) && !is_correct("有", &no));
}

#[test]
fn only_the_last_answer_thinks() {
    let mut thinking = 0;
    for index in 0..500 {
        let conversation = any_conversation(5, index);
        let (last, before) = conversation.exchanges.split_last().unwrap();
        assert!(
            before
                .iter()
                .all(|exchange| !exchange.response.contains("<think>") && exchange.is_target == exchange.no_think)
        );
        assert_eq!(last.no_think, !last.response.starts_with("<think>\n"));
        assert!(last.is_target);
        thinking += usize::from(!last.no_think);
        let segments = conversation.segments();
        let pad = if matches!(conversation.media, Media::Video(_)) { "<|video_pad|>" } else { "<|image_pad|>" };
        assert_eq!(segments.iter().filter(|segment| segment.text.contains("_pad|>")).count(), 1);
        assert!(segments[0].text.contains(pad) && !segments[0].is_target);
    }
    assert!((250..350).contains(&thinking), "{thinking}");
}

#[test]
fn names_and_special_tokens_are_single_tokens() {
    let tokenizer = build_tokenizer().unwrap();
    let again = build_tokenizer().unwrap();
    assert_eq!(tokenizer.to_string(false).unwrap(), again.to_string(false).unwrap());
    assert!(padded_vocab_size(&tokenizer) <= 1280);
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
        let segments = any_conversation(2, index).segments();
        let text: String = segments.iter().map(|segment| segment.text.as_str()).collect();
        let ids = tokenizer.encode(text.as_str(), false).unwrap().get_ids().to_vec();
        let apart: Vec<u32> = segments
            .iter()
            .flat_map(|p| tokenizer.encode(p.text.as_str(), false).unwrap().get_ids().to_vec())
            .collect();
        assert_eq!(ids, apart);
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
}

/// The numbers in the brackets after each `key` of an answer.
fn numbers(answer: &str, key: &str) -> Vec<Vec<f64>> {
    let before = format!("\"{key}\": [");
    let lists = answer.split(&before).skip(1);
    lists.map(|list| list.split(']').next().unwrap().split(", ").map(|n| n.parse().unwrap()).collect()).collect()
}

#[test]
fn detections_have_the_boxes_of_their_objects() {
    let (mut boxes, mut none) = (0, 0);
    for index in 0..600 {
        let (scene, mut rng) = scene(index);
        let image = draw(&scene, &mut rng);
        assert_eq!(image.annotations.len(), scene.objects.len());
        let detection = Detection::random(&scene, rng.pick(&Language::ALL), 5, &mut rng);
        assert_eq!(detection.objects.len(), scene.count(&detection.subject));
        assert!(detection.objects.is_sorted_by_key(|&object| scene.objects[object].left));
        let pair = detection.qa_pair(&scene, &image, String::new());
        let answer_boxes = numbers(&pair.answer, "bbox_2d");
        assert_eq!(answer_boxes.len(), detection.objects.len(), "{}", pair.answer);
        assert!(serde_json::from_str::<serde_json::Value>(&pair.answer).unwrap().is_array());
        // Resizing changes a side of at least five tokens by at most half a token.
        for (answer_box, &object) in answer_boxes.iter().zip(&detection.objects) {
            let (annotation, object) = (&image.annotations[object], &scene.objects[object]);
            let [left, top] = [object.left, object.top].map(f64::from);
            let right = left + f64::from(object.size);
            assert!(
                left <= annotation.bounds[0] && top <= annotation.bounds[1] && annotation.bounds[2] <= right,
                "{annotation:?} {object:?}"
            );
            assert!(
                answer_box.iter().zip(annotation.bounds).all(|(a, b)| (a - b).abs() <= 0.1 * b + 4.0),
                "{answer_box:?}"
            );
            assert!(answer_box.iter().all(|edge| edge % 7.0 == 0.0));
        }
        boxes += answer_boxes.len();
        none += usize::from(answer_boxes.is_empty());
        assert!(!pair.question.contains(['@', '|']) && !pair.question.is_empty(), "{}", pair.question);
    }
    assert!(boxes > 600 && (10..200).contains(&none), "{boxes} {none}");
}

#[test]
fn half_of_the_images_with_lists_have_one_colour() {
    let alike = |max_boxes| {
        let recipe = Recipe { max_boxes, ..Recipe::default() };
        let colours = (0..400).map(|index| {
            match Conversation::random(3, index, Skill::Detect { exchanges: 1 }, &recipe).unwrap().media {
                Media::Image(image) => image
                    .annotations
                    .iter()
                    .map(|annotation| (annotation.class as usize - 1) / Shape::ALL.len())
                    .collect(),
                Media::Video(motion) => panic!("{motion:?}"),
            }
        });
        let crowded: Vec<Vec<usize>> = colours.filter(|colours: &Vec<_>| colours.len() > 2).collect();
        let one = crowded.iter().filter(|colours| colours.iter().all(|colour| *colour == colours[0])).count();
        one as f64 / crowded.len() as f64
    };
    let [lists, single] = [5, 1].map(alike);
    assert!((lists - (1.0 + single) / 2.0).abs() < 0.05 && single < 0.2, "{lists} {single}");
}

#[test]
fn text_images_have_an_annotation_for_every_character() {
    let mut lengths = [0; 9];
    for index in 0..400 {
        let mut rng = Random::new(3, index);
        let size = (rng.within(196, 224) as u32, rng.within(112, 196) as u32);
        let most = 1 + index as usize % 5;
        let reading = TextImage::random(size, most, &mut rng);
        let lines: Vec<&str> = reading.transcript.lines().collect();
        assert!(lines.len() == most.min(reading.image.height as usize / 28), "{lines:?}");
        let mut annotations = reading.image.annotations.iter();
        let mut above = 0.0;
        for line in lines {
            lengths[line.len()] += 1;
            assert!(line.bytes().all(|letter| letter.is_ascii_digit() || letter.is_ascii_uppercase()));
            let annotations: Vec<_> = annotations.by_ref().take(line.len()).collect();
            assert!(annotations.is_sorted_by(|a, b| a.bounds[2] <= b.bounds[0]), "{annotations:?}");
            assert!(annotations.iter().all(|annotation| annotation.bounds[1] >= above), "{annotations:?}");
            above = annotations.iter().fold(0.0, |low, annotation| annotation.bounds[3].max(low));
        }
        assert!(annotations.next().is_none());
        let size = (reading.image.width, reading.image.height);
        assert!(size.0.is_multiple_of(28) && size.1.is_multiple_of(28));
        let annotations = &reading.image.annotations;
        for annotation in annotations {
            assert!(
                annotation.bounds[2] <= f64::from(size.0) && annotation.bounds[3] <= f64::from(size.1),
                "{annotation:?} {size:?}"
            );
            let cell = |axis: usize| (annotation.bounds[axis] / 28.0).floor();
            assert!(
                [2, 3].iter().all(|&end| annotation.bounds[end] <= 28.0 * (cell(end - 2) + 1.0)),
                "in one cell: {annotation:?}"
            );
            // There is ink in the middle row of the annotation.
            let pixel = |x: f64, y: f64| &reading.image.pixels[3 * (y as usize * size.0 as usize + x as usize)..][..3];
            let row = (annotation.bounds[1] + annotation.bounds[3]) / 2.0;
            let columns = annotation.bounds[0] as usize..annotation.bounds[2] as usize;
            let darkest = columns.map(|x| pixel(x as f64, row).iter().min().copied().unwrap()).min().unwrap();
            assert!(darkest < 160, "{darkest} {}", reading.transcript);
        }
    }
    assert!(
        lengths[..3].iter().all(|&count| count == 0) && lengths[3..].iter().all(|&count| count > 30),
        "{lengths:?}"
    );
}

#[test]
fn buttons_do_not_overlap_and_the_click_is_inside_its_own() {
    for index in 0..400 {
        let mut rng = Random::new(4, index);
        let size = (rng.within(168, 196) as u32, rng.within(140, 196) as u32);
        let buttons = ButtonScreen::random(size, index % 2 == 0, &mut rng);
        assert!((1..=6).contains(&buttons.buttons.len()) && buttons.words.len() == buttons.buttons.len());
        for (position, a) in buttons.buttons.iter().enumerate() {
            assert!(a[2] <= f64::from(buttons.image.width) && a[3] <= f64::from(buttons.image.height));
            for (other, b) in buttons.buttons[..position].iter().enumerate() {
                let apart = a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
                assert!(apart && buttons.words[position] != buttons.words[other]);
            }
        }
        let word = buttons.words[buttons.target];
        assert!(buttons.text.contains(word), "{} {word}", buttons.text);
        let pair = buttons.qa_pair(&PreprocessConfig::default()).unwrap();
        assert_eq!(pair.question.contains("## Goal"), buttons.is_task);
        let [x, y] = numbers(&pair.answer, "start_point")[0][..] else { panic!("{}", pair.answer) };
        assert!(contains(buttons.buttons[buttons.target], [x, y]), "{x} {y} {buttons:?}");
    }
}

#[test]
fn objects_move_in_the_direction_of_the_answer() {
    let mut directions = HashMap::new();
    for index in 0..200 {
        let mut rng = Random::new(6, index);
        let size = (rng.within(112, 168) as u32, rng.within(112, 168) as u32);
        let motion = MotionVideo::random(size, 4 + index as usize % 5, &mut rng);
        assert_eq!(motion.frames.len(), 4 + index as usize % 5);
        let bounds = |frame: &AnnotatedImage| frame.annotations[0].bounds;
        let (first, last) = (bounds(&motion.frames[0]), bounds(motion.frames.last().unwrap()));
        let (across, down) = (last[0] - first[0], last[1] - first[1]);
        let expected = match motion.direction {
            Direction::Left => across <= -28.0 && down == 0.0,
            Direction::Right => across >= 28.0 && down == 0.0,
            Direction::Up => down <= -28.0 && across == 0.0,
            Direction::Down => down >= 28.0 && across == 0.0,
        };
        assert!(expected, "{:?}: {across} {down}", motion.direction);
        let [from_x, from_y, to_x, to_y] = motion.qa_pair(&PreprocessConfig::default()).unwrap().grounding.boxes[0];
        let expected = match motion.direction {
            Direction::Left => to_x < from_x && to_y == from_y,
            Direction::Right => to_x > from_x && to_y == from_y,
            Direction::Up => to_y < from_y && to_x == from_x,
            Direction::Down => to_y > from_y && to_x == from_x,
        };
        assert!(expected, "{:?}: {from_x} {from_y} {to_x} {to_y}", motion.direction);
        // The other objects do not move.
        for frame in &motion.frames {
            assert_eq!(frame.annotations.len(), motion.frames[0].annotations.len());
            assert_eq!(frame.annotations[1..], motion.frames[0].annotations[1..]);
        }
        *directions.entry(motion.answer_text()).or_insert(0) += 1;
        assert_eq!(motion.video().unwrap().frames().len(), motion.frames.len());
    }
    assert!(directions.len() == 8 && directions.values().all(|&count| count > 8), "{directions:?}");
}
