//! PDF files, written here by hand, as pictures.

#[path = "pdf/build.rs"]
mod build;
#[path = "pdf/refused.rs"]
mod refused;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use build::{Build, COLOURED, RECTANGLES, encrypted, pages};
use mimo_vl_core::{
    CancelToken, Error, Image, PdfOptions, PdfPage, PlannedPart, Prompt, Result, Video, open_pdf, open_pdf_bytes,
};
use mimo_vl_tests::actor::{Actor, one_at_a_time};

const WHITE: [u8; 3] = [255; 3];
const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

fn read(bytes: Vec<u8>, options: &PdfOptions) -> Result<Vec<PdfPage>> {
    open_pdf_bytes(bytes, options)
}

fn only(bytes: Vec<u8>, options: &PdfOptions) -> PdfPage {
    let mut pages = read(bytes, options).unwrap();
    assert_eq!(pages.len(), 1);
    pages.remove(0)
}

fn size(page: &PdfPage) -> (u32, u32) {
    (page.image.width(), page.image.height())
}

fn pixel(page: &PdfPage, x: usize, y: usize) -> [u8; 3] {
    let at = 3 * (y * page.image.width() as usize + x);
    page.image.pixels()[at..at + 3].try_into().unwrap()
}

/// The colour of the page around a point of it, and that the way there and back has no error.
fn colour(page: &PdfPage, x: f64, y: f64) -> [u8; 3] {
    let at = page.to_pixels(x, y);
    let back = page.to_points(at.0, at.1);
    assert!((back.0 - x).abs() < 1e-6 && (back.1 - y).abs() < 1e-6, "({x}, {y}) became {back:?}");
    pixel(page, at.0 as usize, at.1 as usize)
}

/// A page of forms that each draw the next one ten times: all together a million million times.
fn endless() -> Vec<u8> {
    let mut build = Build::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    let next = |number: usize| format!("/Resources << /XObject << /A {number} 0 R >> >>");
    build.add(format!("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 9 9] {} >>", next(5)));
    let content = "/A Do ".repeat(10);
    build.stream("", content.as_bytes());
    for number in 6..18 {
        build.stream(&format!("/Type /XObject /Subtype /Form /BBox [0 0 9 9] {}", next(number)), content.as_bytes());
    }
    build.stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9]", b"0 0 m");
    build.bytes()
}

/// The corners of both rectangles of [`RECTANGLES`] are where they should be, to one and a half pixels.
fn check_rectangles(page: &PdfPage) {
    for ([left, bottom, right, top], inside) in [([10.0, 20.0, 60.0, 40.0], RED), ([150.0, 70.0, 190.0, 90.0], BLUE)] {
        for (x, y, dx, dy) in
            [(left, bottom, 1.0, 1.0), (left, top, 1.0, -1.0), (right, bottom, -1.0, 1.0), (right, top, -1.0, -1.0)]
        {
            assert_eq!(colour(page, x + dx, y + dy), inside, "inside ({x}, {y})");
            assert_eq!(colour(page, x - dx, y - dy), WHITE, "outside ({x}, {y})");
        }
    }
}

#[test]
fn rectangles_are_where_the_file_says() {
    let page = only(pages(&[COLOURED]), &PdfOptions::new());
    assert_eq!((page.number, page.size, size(&page)), (1, (200.0, 100.0), (400, 200)));
    // From (10, 20) to (60, 40) with y upwards, at 2 pixels a point.
    assert_eq!([pixel(&page, 20, 120), pixel(&page, 119, 159)], [RED; 2]);
    assert_eq!([pixel(&page, 19, 120), pixel(&page, 20, 119), pixel(&page, 120, 159)], [WHITE; 3]);
    assert_eq!([pixel(&page, 300, 20), pixel(&page, 379, 59)], [BLUE; 2]);
    assert_eq!(page.to_points(20.0, 120.0), (10.0, 40.0));
    assert_eq!(page.to_pixels(10.0, 40.0), (20.0, 120.0));
    check_rectangles(&page);
}

#[test]
fn pages_are_turned_as_the_file_says() {
    for (turn, shown, corner) in [
        (90, (100.0, 200.0), (0.0, 0.0)),
        (180, (200.0, 100.0), (400.0, 0.0)),
        (270, (100.0, 200.0), (200.0, 400.0)),
        (-90, (100.0, 200.0), (200.0, 400.0)),
    ] {
        let entries = format!("/MediaBox [0 0 200 100] /Rotate {turn}");
        let page = only(pages(&[(&entries, RECTANGLES)]), &PdfOptions::new());
        assert_eq!((page.size, page.to_pixels(0.0, 0.0)), (shown, corner), "turned by {turn}");
        assert_eq!(size(&page), (2 * shown.0 as u32, 2 * shown.1 as u32));
        check_rectangles(&page);
    }
}

#[test]
fn only_the_crop_box_is_shown() {
    let entries = "/MediaBox [-50 -30 300 200] /CropBox [5 15 205 115]";
    let page = only(pages(&[(entries, RECTANGLES)]), &PdfOptions::new());
    assert_eq!((page.size, size(&page)), ((200.0, 100.0), (400, 200)));
    assert_eq!(page.to_points(0.0, 200.0), (5.0, 15.0));
    check_rectangles(&page);
    // What lies beyond the media box is not shown, whatever the crop box says.
    let entries = "/MediaBox [5 15 205 115] /CropBox [-100 -100 1000 1000] /Rotate 90";
    let page = only(pages(&[(entries, RECTANGLES)]), &PdfOptions::new());
    assert_eq!((page.size, page.to_points(0.0, 0.0)), ((100.0, 200.0), (5.0, 15.0)));
    check_rectangles(&page);
}

#[test]
fn some_of_the_pages() {
    let three: Vec<_> = ["1 0 0 rg", "0 1 0 rg", "0 0 1 rg"].map(|colour| format!("{colour} 0 0 9 9 re f")).into();
    let bytes = pages(&three.iter().map(|content| ("/MediaBox [0 0 9 9]", content.as_str())).collect::<Vec<_>>());
    let colours = |options: &PdfOptions| {
        let pages = read(bytes.clone(), options).unwrap();
        pages.iter().map(|page| (page.number, pixel(page, 4, 4))).collect::<Vec<_>>()
    };
    let all = [(1, RED), (2, [0, 255, 0]), (3, BLUE)];
    assert_eq!(colours(&PdfOptions::new()), all);
    assert_eq!(colours(&PdfOptions::new().pages(1..=3).max_pages(3)), all);
    assert_eq!(colours(&PdfOptions::new().pages(2..=2)), all[1..2]);
    assert_eq!(colours(&PdfOptions::new().pages(2..=3).max_pages(2)), all[1..]);
}

#[test]
fn text_in_fonts_that_the_file_lacks() {
    for font in ["Helvetica", "Times-Bold", "Courier", "Symbol", "ZapfDingbats", "NobodyHasThisFont"] {
        let subtype = format!("<< /Type /Font /Subtype /Type1 /BaseFont /{font} >>");
        let entries = format!("/MediaBox [0 0 200 100] /Resources << /Font << /F1 {subtype} >> >>");
        let page = only(pages(&[(&entries, "BT /F1 24 Tf 20 40 Td (Hamburg) Tj ET")]), &PdfOptions::new());
        let dark = page.image.pixels().chunks_exact(3).filter(|pixel| pixel.iter().all(|&value| value < 64)).count();
        assert!((200..20_000).contains(&dark), "{font}: {dark} dark pixels");
        assert_eq!(pixel(&page, 2, 2), WHITE);
    }
}

#[test]
fn pixels_are_bounded() {
    let page = only(pages(&[COLOURED]), &PdfOptions::new().dpi(72.0));
    assert_eq!(size(&page), (200, 100));
    let page = only(pages(&[COLOURED]), &PdfOptions::new().max_pixels(20_000));
    assert_eq!(size(&page), (200, 100));
    check_rectangles(&page);
    let page = only(pages(&[COLOURED]), &PdfOptions::new().dpi(1e9).max_pixels(99_999));
    assert!((99_000..=99_999).contains(&(page.image.width() * page.image.height())), "{:?}", size(&page));
    check_rectangles(&page);
    assert_eq!(size(&only(pages(&[COLOURED]), &PdfOptions::new().max_pixels(1))), (1, 1));
}

#[test]
fn absurd_pages_are_bounded_too() {
    let entries = "/MediaBox [0 0 2000000000 1000000000]";
    let page = only(pages(&[(entries, "1 0 0 rg 0 0 1000000000 1000000000 re f")]), &PdfOptions::new());
    assert!(page.image.width() * page.image.height() <= 3_211_264);
    assert_eq!(page.size, (2e9, 1e9));
    assert_eq!([colour(&page, 5e8, 5e8), colour(&page, 1.5e9, 5e8)], [RED, WHITE]);
    let page = only(pages(&[("/MediaBox [0 0 1 90000000]", "")]), &PdfOptions::new());
    assert_eq!(size(&page), (1, 16_384));
}

#[test]
fn a_page_without_contents_is_white() {
    for contents in ["", "/Contents null", "/Contents []"] {
        let mut build = Build::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
        build.add(format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] {contents} >>"));
        let page = only(build.bytes(), &PdfOptions::new());
        assert!(page.image.pixels().iter().all(|&value| value == 255), "{contents}");
    }
}

#[test]
fn a_count_that_is_not_true_is_no_harm() {
    let mut build = Build::new("<< /Type /Pages /Kids [3 0 R] /Count 100000 >>");
    build.add("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>");
    assert_eq!(size(&only(build.bytes(), &PdfOptions::new())), (18, 18));
}

#[test]
fn the_password_opens_the_file() {
    let page = only(encrypted(), &PdfOptions::new().password("secret"));
    assert_eq!(pixel(&page, 200, 100), RED);
    assert!(!format!("{:?}", PdfOptions::new().password("secret")).contains("secret"));
    assert_eq!(read(pages(&[COLOURED]), &PdfOptions::new().password("not needed")).unwrap().len(), 1);
}

#[test]
fn nested_things_do_not_exhaust_the_stack() {
    let deep = ["[".repeat(1_000_000), "<<".repeat(500_000), "q ".repeat(500_000), "(".repeat(1_000_000)];
    for content in &deep {
        let page = only(pages(&[("/MediaBox [0 0 9 9]", content)]), &PdfOptions::new());
        assert_eq!(size(&page), (18, 18));
    }
    // A form that draws itself.
    let mut build = Build::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    build.add(
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 9 9] /Resources << /XObject << /A 5 0 R >> >> >>",
    );
    build.stream("", b"/A Do");
    build.stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /A 5 0 R >> >>", b"/A Do");
    assert_eq!(size(&only(build.bytes(), &PdfOptions::new())), (18, 18));
}

#[test]
fn boxes_of_an_answer_know_their_page_and_its_points() {
    // At 72 pixels an inch a point is a pixel, and the model sees 200 × 100 of them as 196 × 112.
    let pages = read(pages(&[COLOURED; 3]), &PdfOptions::new().pages(2..=3).dpi(144.0)).unwrap();
    // What is red lies from (10, 20) to (60, 40), y upwards; the page is 200 by 100 points.
    let expected = [10.0, 20.0, 60.0, 40.0];
    let actor = Actor::new("");
    for (index, page) in pages.iter().enumerate() {
        let ask = |image: Image| {
            let prompt = Prompt::user().image(image).text("Where is it red?");
            let plan = actor.session().plan(&prompt, &one_at_a_time()).unwrap();
            let transform = plan.parts.iter().find_map(|part| match part {
                PlannedPart::Media { transform, .. } => Some(*transform),
                _ => None,
            });
            let transform = transform.unwrap();
            let ((x1, y1), (x2, y2)) = (transform.to_model(20.0, 120.0), transform.to_model(120.0, 160.0));
            actor.says(&format!(
                "[{{\"bbox_2d\": [{x1:.4}, {y1:.4}, {x2:.4}, {y2:.4}]}}, {{\"point_2d\": [{x1:.4}, {y1:.4}]}}]"
            ));
            actor.session().ask(&prompt, &one_at_a_time()).unwrap()
        };
        for image in [page.image.clone(), page.image.crop(10, 100, 200, 80).unwrap()] {
            let answer = ask(image);
            let [found, corner] = &answer.regions[..] else { panic!("{:?}", answer.regions) };
            assert_eq!((found.page, corner.page), (Some(index + 2), Some(index + 2)));
            let points = found.as_box().unwrap().page.unwrap();
            assert!(points.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.05), "{points:?}");
            assert_eq!(page.box_to_points(found.as_box().unwrap().pixels), points);
            let [x, y] = corner.points()[0].page.unwrap();
            assert!((x - 10.0).abs() < 0.05 && (y - 40.0).abs() < 0.05, "{x} {y}");
            let elsewhere = found.in_image(0, &actor.ask(&one_at_a_time()).transforms[0]);
            assert_eq!((elsewhere.page, elsewhere.as_box().unwrap().page), (None, None));
        }
    }
    // Pages that look alike are not taken for each other, within a conversation either.
    let mut session = actor.session();
    for (index, page) in pages.iter().enumerate() {
        let answer = session.ask(&Prompt::user().image(page.image.clone()).text("?"), &one_at_a_time()).unwrap();
        assert_eq!(answer.regions[0].page, Some(index + 2));
    }
    let bare = Image::from_rgb_owned(pages[0].image.width(), pages[0].image.height(), pages[0].image.pixels().to_vec());
    let answer = session.ask(&Prompt::user().image(bare.unwrap()).text("?"), &one_at_a_time()).unwrap();
    assert_eq!(answer.regions[0].page, None);
    let both = Video::from_frames(pages.iter().map(|page| page.image.clone()).collect(), 1.0).unwrap();
    let answer = actor.session().ask(&Prompt::user().video(both).text("?"), &one_at_a_time()).unwrap();
    assert_eq!(answer.regions[0].page, None, "it shows two pages");
    // A session that is read again knows it, too.
    let mut session = actor.session();
    session.ask(&Prompt::user().image(pages[1].image.clone()).text("?"), &one_at_a_time()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    session.save(folder.path().join("s")).unwrap();
    let mut again = actor.model.load_session(folder.path().join("s")).unwrap();
    let answer = again.ask(&Prompt::user().text("Again?"), &one_at_a_time()).unwrap();
    assert_eq!(answer.regions[0].page, Some(3));
    assert!(pages[0].image.page().unwrap().number == 2 && answer.timings.media.is_zero());
    let answer =
        actor.session().ask(&Prompt::user().image(pages[0].image.clone()).text("?"), &one_at_a_time()).unwrap();
    assert!(!answer.timings.media.is_zero(), "drawing the page took some time");
}

#[test]
fn reading_is_watched_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("three.pdf");
    std::fs::write(&path, pages(&[COLOURED; 3])).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let take = || std::mem::take(&mut *seen.lock().unwrap());
    let sink = Arc::clone(&seen);
    let reporting =
        PdfOptions::new().on_progress(move |progress| sink.lock().unwrap().push((progress.done, progress.total)));
    let read = open_pdf(&path, &reporting).unwrap();
    assert_eq!((read.len(), take()), (3, vec![(0, 3), (1, 3), (2, 3), (3, 3)]));
    assert_eq!(open_pdf(&path, &PdfOptions::new()).unwrap().len(), 3);

    let cancel = CancelToken::new();
    let (token, sink) = (cancel.clone(), Arc::clone(&seen));
    let stopping = PdfOptions::new().cancel(&cancel).on_progress(move |progress| {
        sink.lock().unwrap().push((progress.done, progress.total));
        if progress.done == 1 {
            token.cancel();
        }
    });
    let stopped = open_pdf(&path, &stopping);
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    assert_eq!(take(), [(0, 3), (1, 3)]);
    let stopped = open_pdf(&path, &reporting.cancel(&cancel));
    assert!(matches!(stopped, Err(Error::Cancelled)) && take().is_empty(), "{stopped:?}");
}

#[test]
fn an_endless_page_is_left_behind() {
    let cancel = CancelToken::new();
    let (reading, started) = (cancel.clone(), Instant::now());
    let read = thread::spawn(move || open_pdf_bytes(endless(), &PdfOptions::new().cancel(&reading)));
    thread::sleep(Duration::from_millis(300));
    assert!(!read.is_finished());
    cancel.cancel();
    assert!(matches!(read.join().unwrap(), Err(Error::Cancelled)));
    assert!(started.elapsed() < Duration::from_secs(10));
}
