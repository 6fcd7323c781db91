//! PDF files, written by the tests, rendered as images.

#[path = "pdf/builder.rs"]
mod builder;
#[path = "pdf/errors.rs"]
mod errors;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use builder::{COLOURED, PdfBuilder, RECTANGLES, encrypted, pages};
use mimo_vl_core::{
    CancelToken, Error, Image, PdfOptions, PdfPage, PlannedPart, Prompt, Result, Video, open_pdf, open_pdf_bytes,
};
use mimo_vl_tests::fixtures::scripted_engine::{ScriptedModel, without_drafts};

const WHITE: [u8; 3] = [255; 3];
const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

fn read(bytes: Vec<u8>, options: &PdfOptions) -> Result<Vec<PdfPage>> {
    open_pdf_bytes(bytes, options)
}

fn read_one(bytes: Vec<u8>, options: &PdfOptions) -> PdfPage {
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

/// The colour of the page at a PDF point. Asserts that the conversion to pixels and back has no error.
fn colour(page: &PdfPage, x: f64, y: f64) -> [u8; 3] {
    let pixels = page.to_pixels(x, y);
    let back = page.to_points(pixels.0, pixels.1);
    assert!((back.0 - x).abs() < 1e-6 && (back.1 - y).abs() < 1e-6, "({x}, {y}) became {back:?}");
    pixel(page, pixels.0 as usize, pixels.1 as usize)
}

/// A page of 12 nested forms that each draw the next one ten times: 10¹² times in total.
fn endless() -> Vec<u8> {
    let mut builder = PdfBuilder::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    let next = |number: usize| format!("/Resources << /XObject << /A {number} 0 R >> >>");
    builder.add(format!("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 9 9] {} >>", next(5)));
    let content = "/A Do ".repeat(10);
    builder.stream("", content.as_bytes());
    for number in 6..18 {
        builder.stream(&format!("/Type /XObject /Subtype /Form /BBox [0 0 9 9] {}", next(number)), content.as_bytes());
    }
    builder.stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9]", b"0 0 m");
    builder.bytes()
}

/// Asserts that the corners of both rectangles of [`RECTANGLES`] are correct to 1.5 pixels.
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
fn rectangles_are_rendered_where_the_file_has_them() {
    let page = read_one(pages(&[COLOURED]), &PdfOptions::new());
    assert_eq!((page.number, page.size, size(&page)), (1, (200.0, 100.0), (400, 200)));
    // From (10, 20) to (60, 40) points with y upwards, at 2 pixels per point.
    assert_eq!([pixel(&page, 20, 120), pixel(&page, 119, 159)], [RED; 2]);
    assert_eq!([pixel(&page, 19, 120), pixel(&page, 20, 119), pixel(&page, 120, 159)], [WHITE; 3]);
    assert_eq!([pixel(&page, 300, 20), pixel(&page, 379, 59)], [BLUE; 2]);
    assert_eq!(page.to_points(20.0, 120.0), (10.0, 40.0));
    assert_eq!(page.to_pixels(10.0, 40.0), (20.0, 120.0));
    check_rectangles(&page);
}

#[test]
fn rotated_pages_are_rendered_upright() {
    for (rotation, size_in_points, corner) in [
        (90, (100.0, 200.0), (0.0, 0.0)),
        (180, (200.0, 100.0), (400.0, 0.0)),
        (270, (100.0, 200.0), (200.0, 400.0)),
        (-90, (100.0, 200.0), (200.0, 400.0)),
    ] {
        let entries = format!("/MediaBox [0 0 200 100] /Rotate {rotation}");
        let page = read_one(pages(&[(&entries, RECTANGLES)]), &PdfOptions::new());
        assert_eq!((page.size, page.to_pixels(0.0, 0.0)), (size_in_points, corner), "rotated by {rotation}");
        assert_eq!(size(&page), (2 * size_in_points.0 as u32, 2 * size_in_points.1 as u32));
        check_rectangles(&page);
    }
}

#[test]
fn a_page_is_cropped_to_its_crop_box() {
    let entries = "/MediaBox [-50 -30 300 200] /CropBox [5 15 205 115]";
    let page = read_one(pages(&[(entries, RECTANGLES)]), &PdfOptions::new());
    assert_eq!((page.size, size(&page)), ((200.0, 100.0), (400, 200)));
    assert_eq!(page.to_points(0.0, 200.0), (5.0, 15.0));
    check_rectangles(&page);
    // The media box limits the crop box.
    let entries = "/MediaBox [5 15 205 115] /CropBox [-100 -100 1000 1000] /Rotate 90";
    let page = read_one(pages(&[(entries, RECTANGLES)]), &PdfOptions::new());
    assert_eq!((page.size, page.to_points(0.0, 0.0)), ((100.0, 200.0), (5.0, 15.0)));
    check_rectangles(&page);
}

#[test]
fn a_range_of_pages_can_be_read() {
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
fn text_in_fonts_that_are_not_embedded_is_rendered() {
    for font in ["Helvetica", "Times-Bold", "Courier", "Symbol", "ZapfDingbats", "NobodyHasThisFont"] {
        let subtype = format!("<< /Type /Font /Subtype /Type1 /BaseFont /{font} >>");
        let entries = format!("/MediaBox [0 0 200 100] /Resources << /Font << /F1 {subtype} >> >>");
        let page = read_one(pages(&[(&entries, "BT /F1 24 Tf 20 40 Td (Hamburg) Tj ET")]), &PdfOptions::new());
        let dark = page.image.pixels().chunks_exact(3).filter(|pixel| pixel.iter().all(|&value| value < 64)).count();
        assert!((200..20_000).contains(&dark), "{font}: {dark} dark pixels");
        assert_eq!(pixel(&page, 2, 2), WHITE);
    }
}

#[test]
fn dpi_and_max_pixels_set_the_size() {
    let page = read_one(pages(&[COLOURED]), &PdfOptions::new().dpi(72.0));
    assert_eq!(size(&page), (200, 100));
    let page = read_one(pages(&[COLOURED]), &PdfOptions::new().max_pixels(20_000));
    assert_eq!(size(&page), (200, 100));
    check_rectangles(&page);
    let page = read_one(pages(&[COLOURED]), &PdfOptions::new().dpi(1e9).max_pixels(99_999));
    assert!((99_000..=99_999).contains(&(page.image.width() * page.image.height())), "{:?}", size(&page));
    check_rectangles(&page);
    assert_eq!(size(&read_one(pages(&[COLOURED]), &PdfOptions::new().max_pixels(1))), (1, 1));
}

#[test]
fn huge_pages_are_downscaled() {
    let entries = "/MediaBox [0 0 2000000000 1000000000]";
    let page = read_one(pages(&[(entries, "1 0 0 rg 0 0 1000000000 1000000000 re f")]), &PdfOptions::new());
    assert!(page.image.width() * page.image.height() <= 3_211_264);
    assert_eq!(page.size, (2e9, 1e9));
    assert_eq!([colour(&page, 5e8, 5e8), colour(&page, 1.5e9, 5e8)], [RED, WHITE]);
    let page = read_one(pages(&[("/MediaBox [0 0 1 90000000]", "")]), &PdfOptions::new());
    assert_eq!(size(&page), (1, 16_384));
}

#[test]
fn a_page_without_contents_is_white() {
    for contents in ["", "/Contents null", "/Contents []"] {
        let mut builder = PdfBuilder::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
        builder.add(format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] {contents} >>"));
        let page = read_one(builder.bytes(), &PdfOptions::new());
        assert!(page.image.pixels().iter().all(|&value| value == 255), "{contents}");
    }
}

#[test]
fn a_wrong_page_count_is_ignored() {
    let mut builder = PdfBuilder::new("<< /Type /Pages /Kids [3 0 R] /Count 100000 >>");
    builder.add("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>");
    assert_eq!(size(&read_one(builder.bytes(), &PdfOptions::new())), (18, 18));
}

#[test]
fn the_password_opens_the_file() {
    let page = read_one(encrypted(), &PdfOptions::new().password("secret"));
    assert_eq!(pixel(&page, 200, 100), RED);
    assert!(!format!("{:?}", PdfOptions::new().password("secret")).contains("secret"));
    assert_eq!(read(pages(&[COLOURED]), &PdfOptions::new().password("not needed")).unwrap().len(), 1);
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = ["[".repeat(1_000_000), "<<".repeat(500_000), "q ".repeat(500_000), "(".repeat(1_000_000)];
    for content in &deep {
        let page = read_one(pages(&[("/MediaBox [0 0 9 9]", content)]), &PdfOptions::new());
        assert_eq!(size(&page), (18, 18));
    }
    // A form that draws itself.
    let mut builder = PdfBuilder::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    builder.add(
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 9 9] /Resources << /XObject << /A 5 0 R >> >> >>",
    );
    builder.stream("", b"/A Do");
    builder.stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /A 5 0 R >> >>", b"/A Do");
    assert_eq!(size(&read_one(builder.bytes(), &PdfOptions::new())), (18, 18));
}

#[test]
fn regions_have_their_page_and_coordinates_in_points() {
    // 2 pixels per point: the model resizes 400 × 200 pixels to 392 × 196.
    let pages = read(pages(&[COLOURED; 3]), &PdfOptions::new().pages(2..=3).dpi(144.0)).unwrap();
    // The red rectangle: (10, 20) to (60, 40) points, y upwards, on a page of 200 by 100 points.
    let expected = [10.0, 20.0, 60.0, 40.0];
    let scripted = ScriptedModel::new("");
    for (index, page) in pages.iter().enumerate() {
        let ask = |image: Image| {
            let prompt = Prompt::user().image(image).text("Where is it red?");
            let plan = scripted.session().plan(&prompt, &without_drafts()).unwrap();
            let transform = plan.parts.iter().find_map(|part| match part {
                PlannedPart::Media { transform, .. } => Some(*transform),
                _ => None,
            });
            let transform = transform.unwrap();
            let ((x1, y1), (x2, y2)) = (transform.to_model(20.0, 120.0), transform.to_model(120.0, 160.0));
            scripted.set_reply(&format!(
                "[{{\"bbox_2d\": [{x1:.4}, {y1:.4}, {x2:.4}, {y2:.4}]}}, {{\"point_2d\": [{x1:.4}, {y1:.4}]}}]"
            ));
            scripted.session().ask(&prompt, &without_drafts()).unwrap()
        };
        for image in [page.image.clone(), page.image.crop(10, 100, 200, 80).unwrap()] {
            let answer = ask(image);
            let [edges, corner] = &answer.regions[..] else { panic!("{:?}", answer.regions) };
            assert_eq!((edges.page, corner.page), (Some(index + 2), Some(index + 2)));
            let points = edges.as_box().unwrap().page.unwrap();
            assert!(points.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.05), "{points:?}");
            assert_eq!(page.box_to_points(edges.as_box().unwrap().pixels), points);
            let [x, y] = corner.points()[0].page.unwrap();
            assert!((x - 10.0).abs() < 0.05 && (y - 40.0).abs() < 0.05, "{x} {y}");
            let in_other_image = edges.in_image(0, &scripted.ask(&without_drafts()).transforms[0]);
            assert_eq!((in_other_image.page, in_other_image.as_box().unwrap().page), (None, None));
        }
    }
    // Pages with equal pixels keep their numbers within a conversation.
    let mut session = scripted.session();
    for (index, page) in pages.iter().enumerate() {
        let answer = session.ask(&Prompt::user().image(page.image.clone()).text("?"), &without_drafts()).unwrap();
        assert_eq!(answer.regions[0].page, Some(index + 2));
    }
    let without_page =
        Image::keep_rgb(pages[0].image.width(), pages[0].image.height(), pages[0].image.pixels().to_vec());
    let answer = session.ask(&Prompt::user().image(without_page.unwrap()).text("?"), &without_drafts()).unwrap();
    assert_eq!(answer.regions[0].page, None);
    let video = Video::from_frames(pages.iter().map(|page| page.image.clone()).collect(), 1.0).unwrap();
    let answer = scripted.session().ask(&Prompt::user().video(video).text("?"), &without_drafts()).unwrap();
    assert_eq!(answer.regions[0].page, None, "a video of two pages has no page number");
    // A saved session keeps the page numbers.
    let mut session = scripted.session();
    session.ask(&Prompt::user().image(pages[1].image.clone()).text("?"), &without_drafts()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    session.save(folder.path().join("s")).unwrap();
    let mut loaded = scripted.model.load_session(folder.path().join("s")).unwrap();
    let answer = loaded.ask(&Prompt::user().text("Again?"), &without_drafts()).unwrap();
    assert_eq!(answer.regions[0].page, Some(3));
    assert!(pages[0].image.page().unwrap().number == 2 && answer.timings.media.is_zero());
    let answer =
        scripted.session().ask(&Prompt::user().image(pages[0].image.clone()).text("?"), &without_drafts()).unwrap();
    assert!(!answer.timings.media.is_zero(), "media time includes rendering the page");
}

#[test]
fn reading_reports_progress_and_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("three.pdf");
    std::fs::write(&path, pages(&[COLOURED; 3])).unwrap();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let take = || std::mem::take(&mut *reports.lock().unwrap());
    let sink = Arc::clone(&reports);
    let reporting =
        PdfOptions::new().on_progress(move |progress| sink.lock().unwrap().push((progress.done, progress.total)));
    let read = open_pdf(&path, &reporting).unwrap();
    assert_eq!((read.len(), take()), (3, vec![(0, 3), (1, 3), (2, 3), (3, 3)]));
    assert_eq!(open_pdf(&path, &PdfOptions::new()).unwrap().len(), 3);

    let cancel = CancelToken::new();
    let (token, sink) = (cancel.clone(), Arc::clone(&reports));
    let cancel_after_one = PdfOptions::new().cancel(&cancel).on_progress(move |progress| {
        sink.lock().unwrap().push((progress.done, progress.total));
        if progress.done == 1 {
            token.cancel();
        }
    });
    let result = open_pdf(&path, &cancel_after_one);
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert_eq!(take(), [(0, 3), (1, 3)]);
    let result = open_pdf(&path, &reporting.cancel(&cancel));
    assert!(matches!(result, Err(Error::Cancelled)) && take().is_empty(), "{result:?}");
}

#[test]
fn cancel_ends_the_rendering_of_an_endless_page() {
    let cancel = CancelToken::new();
    let (token, start) = (cancel.clone(), Instant::now());
    let read = thread::spawn(move || open_pdf_bytes(endless(), &PdfOptions::new().cancel(&token)));
    thread::sleep(Duration::from_millis(300));
    assert!(!read.is_finished());
    cancel.cancel();
    assert!(matches!(read.join().unwrap(), Err(Error::Cancelled)));
    assert!(start.elapsed() < Duration::from_secs(10));
}
