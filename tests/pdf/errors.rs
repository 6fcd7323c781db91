//! Invalid PDF files and options: each is a typed error with its reason.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use super::builder::{COLOURED, PdfBuilder, encrypted, pages};
use super::read;
use mimo_vl_core::{Error, PdfOptions, open_pdf};

/// The name and the reason of the image error that a file gives.
#[track_caller]
fn image_error(bytes: Vec<u8>, options: &PdfOptions) -> (String, String) {
    match read(bytes, options) {
        Err(Error::Image { what, reason }) => (what, reason),
        other => panic!("{other:?}"),
    }
}

/// Asserts that a file gives an image error whose reason contains `words`.
#[track_caller]
fn check_error(bytes: Vec<u8>, options: &PdfOptions, words: &str) {
    let name = format!("PDF file of {} bytes in memory", bytes.len());
    let (what, reason) = image_error(bytes, options);
    assert!(reason.contains(words), "{reason}");
    assert_eq!(what, name);
}

/// Asserts that an option is invalid for a file of three pages, with a reason that contains `words`.
#[track_caller]
fn check_option_error(options: &PdfOptions, name: &str, words: &str) {
    match read(pages(&[COLOURED; 3]), options) {
        Err(Error::Option { option, reason }) => {
            assert_eq!(option, name);
            assert!(reason.contains(words), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn options_out_of_range_are_errors() {
    let new = PdfOptions::new;
    check_option_error(&new().max_pixels(0), "max_pixels", "at least 1 pixel");
    check_option_error(&new().max_pages(0), "max_pages", "at least 1 page");
    for dpi in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        check_option_error(&new().dpi(dpi), "dpi", "is not a number above 0");
    }
    check_option_error(&new().pages(0..=1), "pages", "from 1 on");
    #[expect(clippy::reversed_empty_ranges, reason = "the test is about reversed ranges")]
    let reversed = 3..=2;
    check_option_error(&new().pages(reversed), "pages", "no page lies from 3 to 2");
    check_option_error(&new().pages(2..=4), "pages", "2 to 4 were requested, and PDF file of");
    check_option_error(&new().pages(4..=usize::MAX), "pages", "4 to the last one were requested");
    assert_eq!(read(pages(&[COLOURED; 3]), &new().pages(2..=usize::MAX)).unwrap().len(), 2);
    check_option_error(&new().max_pages(2), "max_pages", "3 pages of PDF file of");
    check_option_error(&new().pages(1..=2).max_pages(1), "max_pages", "2 pages of");
}

#[test]
fn other_files_are_errors() {
    let options = PdfOptions::new();
    check_error(Vec::new(), &options, "not a PDF file");
    check_error(b"%PNG".to_vec(), &options, "not a PDF file");
    // Noise of a linear congruential generator.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for length in [1, 100, 10_000] {
        let random: Vec<u8> = (0..length).map(|_| noise()).collect();
        check_error(random.clone(), &options, "not a PDF file");
        check_error([b"%PDF-1.7\n", &random[..]].concat(), &options, "cut short");
        check_error([b"%PDF-1.7\n", &random[..], b"\nstartxref\n5\n%%EOF"].concat(), &options, "no pages were found");
    }
}

#[test]
fn every_truncated_file_is_an_error() {
    let bytes = pages(&[COLOURED; 2]);
    let end = bytes.len() - "startxref\n1234\n%%EOF\n".len();
    for length in (9..end).step_by(97) {
        check_error(bytes[..length].to_vec(), &PdfOptions::new(), "cut short");
    }
    // Zeros after the end are ignored.
    let padded = [&bytes[..], &[0; 100_000]].concat();
    assert_eq!(read(padded, &PdfOptions::new()).unwrap().len(), 2);
}

#[test]
fn damaged_files_do_not_crash() {
    let bytes = pages(&[COLOURED; 2]);
    for at in (9..bytes.len()).step_by(5) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x15;
        match read(damaged, &PdfOptions::new()) {
            Ok(_) | Err(Error::Image { .. }) => {}
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
}

#[test]
fn wrong_passwords_are_errors() {
    let options = PdfOptions::new();
    check_error(encrypted(), &options, "encrypted, and no password was given");
    check_error(encrypted(), &options.clone().password("Secret"), "encrypted, and the password is wrong");
    let mut builder = PdfBuilder::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    builder.add("<< /Type /Page /Parent 2 0 R >>");
    builder.trailer = "/ID [(0123456789abcdef) (0123456789abcdef)] /Encrypt << /Filter /Other /V 1 >>".into();
    check_error(builder.bytes(), &options, "in a way that cannot be read");
    builder.trailer = builder.trailer.replace("/Other", "/Standard");
    check_error(builder.bytes(), &options, "what is needed to decrypt it is damaged");
}

#[test]
fn too_few_and_too_many_pages_are_errors() {
    check_error(PdfBuilder::new("<< /Type /Pages /Kids [] /Count 0 >>").bytes(), &PdfOptions::new(), "has no pages");
    let kids = "<</Type/Page>>".repeat(100_000);
    let bytes = PdfBuilder::new(&format!("<< /Type /Pages /Kids [{kids}] /Count 100000 >>")).bytes();
    let start = Instant::now();
    match read(bytes.clone(), &PdfOptions::new()) {
        Err(Error::Option { option: "max_pages", reason }) => {
            assert!(reason.starts_with("100000 pages of"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
    let last = read(bytes, &PdfOptions::new().pages(100_000..=100_000)).unwrap();
    assert_eq!((last.len(), last[0].number), (1, 100_000));
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn errors_name_the_page() {
    let nothing = ("/MediaBox [0 0 200 100] /CropBox [300 300 400 400]", "");
    let (what, reason) = image_error(pages(&[COLOURED, nothing]), &PdfOptions::new());
    assert!(what.ends_with("in memory: page 2"), "{what}");
    assert!(reason.contains("has no area"), "{reason}");
    for contents in ["4 0 R", "5 0 R"] {
        let mut builder = PdfBuilder::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
        builder.add(format!("<< /Type /Page /Parent 2 0 R /Contents {contents} /MediaBox [0 0 9 9] >>"));
        builder.stream("/Filter /DCTDecode", b"this was never compressed");
        let (what, reason) = image_error(builder.bytes(), &PdfOptions::new());
        assert!(what.ends_with(": page 1"), "{what}");
        assert!(reason.contains("contents are missing or damaged"), "{reason}");
    }
    let immense = format!("/MediaBox [0 0 {} 9]", "9".repeat(60));
    let (what, reason) = image_error(pages(&[(&immense, "")]), &PdfOptions::new());
    assert!(what.ends_with(": page 1") && reason.contains("out of all bounds"), "{what}: {reason}");
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.pdf");
    assert!(matches!(open_pdf(&path, &PdfOptions::new()), Err(Error::Io { path: reported, .. }) if reported == path));
    let message = |path| open_pdf(path, &PdfOptions::new()).unwrap_err().to_string();
    assert_eq!(message(folder.path()), format!("{}: not a file", folder.path().display()));
    fs::write(&path, "words").unwrap();
    assert_eq!(message(&path), format!("{}: not a PDF file", path.display()));
    // A sparse file, which takes no space on the disk.
    File::create(&path).unwrap().set_len((512 << 20) + 1).unwrap();
    assert_eq!(message(&path), format!("{}: the file is larger than 512 MiB", path.display()));
}

#[test]
fn a_decompression_bomb_is_rendered_or_an_error() {
    // Each of the three filters expands two bytes to 128 bytes of 0x81: 400 bytes become 100 million.
    let mut builder = PdfBuilder::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    builder.add("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 9 9] >>");
    let filters = "/Filter [/RunLengthDecode /RunLengthDecode /RunLengthDecode]";
    builder.stream(filters, &[0x81; 400]);
    let start = Instant::now();
    match read(builder.bytes(), &PdfOptions::new()) {
        Ok(pages) => assert!(pages[0].image.pixels().iter().all(|&value| value == 255), "the contents draw nothing"),
        Err(error) => assert!(matches!(error, Error::Image { .. }), "{error:?}"),
    }
    assert!(start.elapsed() < Duration::from_secs(150), "the time limits of opening and of a page");
    assert_eq!(read(pages(&[COLOURED]), &PdfOptions::new()).unwrap().len(), 1, "later files can be read");
}
