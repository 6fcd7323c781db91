//! Files and options that are refused, each with the reason.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use super::build::{Build, COLOURED, encrypted, pages};
use super::read;
use mimo_vl_core::{Error, PdfOptions, open_pdf};

/// What is said of an image, without its name.
#[track_caller]
fn image_error(bytes: Vec<u8>, options: &PdfOptions) -> (String, String) {
    match read(bytes, options) {
        Err(Error::Image { what, reason }) => (what, reason),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(bytes: Vec<u8>, options: &PdfOptions, words: &str) {
    let name = format!("PDF file of {} bytes in memory", bytes.len());
    let (what, reason) = image_error(bytes, options);
    assert!(reason.contains(words), "{reason}");
    assert_eq!(what, name);
}

/// An option that a file with three pages is refused for.
#[track_caller]
fn option_refused(options: &PdfOptions, name: &str, words: &str) {
    match read(pages(&[COLOURED; 3]), options) {
        Err(Error::Option { option, reason }) => {
            assert_eq!(option, name);
            assert!(reason.contains(words), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn options_out_of_range() {
    let new = PdfOptions::new;
    option_refused(&new().max_pixels(0), "max_pixels", "at least 1 pixel");
    option_refused(&new().max_pages(0), "max_pages", "at least 1 page");
    for dpi in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        option_refused(&new().dpi(dpi), "dpi", "is not a number above 0");
    }
    option_refused(&new().pages(0..=1), "pages", "from 1 on");
    #[expect(clippy::reversed_empty_ranges, reason = "it is to be refused")]
    let reversed = 3..=2;
    option_refused(&new().pages(reversed), "pages", "no page lies from 3 to 2");
    option_refused(&new().pages(2..=4), "pages", "2 to 4 were asked for, and PDF file of");
    option_refused(&new().pages(4..=usize::MAX), "pages", "4 to the last one were asked for");
    assert_eq!(read(pages(&[COLOURED; 3]), &new().pages(2..=usize::MAX)).unwrap().len(), 2);
    option_refused(&new().max_pages(2), "max_pages", "3 pages of PDF file of");
    option_refused(&new().pages(1..=2).max_pages(1), "max_pages", "2 pages of");
}

#[test]
fn what_is_not_a_pdf_file() {
    let options = PdfOptions::new();
    refused(Vec::new(), &options, "not a PDF file");
    refused(b"%PNG".to_vec(), &options, "not a PDF file");
    // Noise of a linear congruential generator.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for length in [1, 100, 10_000] {
        let random: Vec<u8> = (0..length).map(|_| noise()).collect();
        refused(random.clone(), &options, "not a PDF file");
        refused([b"%PDF-1.7\n", &random[..]].concat(), &options, "cut short");
        refused([b"%PDF-1.7\n", &random[..], b"\nstartxref\n5\n%%EOF"].concat(), &options, "no pages were found");
    }
}

#[test]
fn every_shorter_file_is_cut_short() {
    let bytes = pages(&[COLOURED; 2]);
    let end = bytes.len() - "startxref\n1234\n%%EOF\n".len();
    for length in (9..end).step_by(97) {
        refused(bytes[..length].to_vec(), &PdfOptions::new(), "cut short");
    }
    // Zeros after the end are none of its loss.
    let padded = [&bytes[..], &[0; 100_000]].concat();
    assert_eq!(read(padded, &PdfOptions::new()).unwrap().len(), 2);
}

#[test]
fn damaged_files_do_not_end_the_process() {
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
fn passwords() {
    let options = PdfOptions::new();
    refused(encrypted(), &options, "encrypted, and no password was given");
    refused(encrypted(), &options.clone().password("Secret"), "encrypted, and the password is wrong");
    let mut build = Build::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    build.add("<< /Type /Page /Parent 2 0 R >>");
    build.trailer = "/ID [(0123456789abcdef) (0123456789abcdef)] /Encrypt << /Filter /Other /V 1 >>".into();
    refused(build.bytes(), &options, "in a way that cannot be read");
    build.trailer = build.trailer.replace("/Other", "/Standard");
    refused(build.bytes(), &options, "what is needed to decrypt it is damaged");
}

#[test]
fn how_many_pages() {
    refused(Build::new("<< /Type /Pages /Kids [] /Count 0 >>").bytes(), &PdfOptions::new(), "has no pages");
    let kids = "<</Type/Page>>".repeat(100_000);
    let bytes = Build::new(&format!("<< /Type /Pages /Kids [{kids}] /Count 100000 >>")).bytes();
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
fn a_page_at_fault_is_named() {
    let nothing = ("/MediaBox [0 0 200 100] /CropBox [300 300 400 400]", "");
    let (what, reason) = image_error(pages(&[COLOURED, nothing]), &PdfOptions::new());
    assert!(what.ends_with("in memory: page 2"), "{what}");
    assert!(reason.contains("has no area"), "{reason}");
    for contents in ["4 0 R", "5 0 R"] {
        let mut build = Build::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
        build.add(format!("<< /Type /Page /Parent 2 0 R /Contents {contents} /MediaBox [0 0 9 9] >>"));
        build.stream("/Filter /DCTDecode", b"this was never compressed");
        let (what, reason) = image_error(build.bytes(), &PdfOptions::new());
        assert!(what.ends_with(": page 1"), "{what}");
        assert!(reason.contains("contents are missing or damaged"), "{reason}");
    }
    let immense = format!("/MediaBox [0 0 {} 9]", "9".repeat(60));
    let (what, reason) = image_error(pages(&[(&immense, "")]), &PdfOptions::new());
    assert!(what.ends_with(": page 1") && reason.contains("out of all bounds"), "{what}: {reason}");
}

#[test]
fn files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.pdf");
    assert!(matches!(open_pdf(&path, &PdfOptions::new()), Err(Error::Io { path: of, .. }) if of == path));
    let said = |path| open_pdf(path, &PdfOptions::new()).unwrap_err().to_string();
    assert_eq!(said(folder.path()), format!("{}: not a file", folder.path().display()));
    fs::write(&path, "words").unwrap();
    assert_eq!(said(&path), format!("{}: not a PDF file", path.display()));
    // Without its bytes on the disk.
    File::create(&path).unwrap().set_len((512 << 20) + 1).unwrap();
    assert_eq!(said(&path), format!("{}: the file is larger than 512 MiB", path.display()));
}

#[test]
fn a_page_that_unpacks_to_much_is_drawn_or_refused() {
    // Each of the three filters makes 128 bytes of 0x81 of every two: 400 bytes become 100 million.
    let mut build = Build::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    build.add("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 9 9] >>");
    let filters = "/Filter [/RunLengthDecode /RunLengthDecode /RunLengthDecode]";
    build.stream(filters, &[0x81; 400]);
    let start = Instant::now();
    match read(build.bytes(), &PdfOptions::new()) {
        Ok(pages) => assert!(pages[0].image.pixels().iter().all(|&value| value == 255), "nothing is drawn of it"),
        Err(error) => assert!(matches!(error, Error::Image { .. }), "{error:?}"),
    }
    assert!(start.elapsed() < Duration::from_secs(150), "the limits of opening and of a page");
    assert_eq!(read(pages(&[COLOURED]), &PdfOptions::new()).unwrap().len(), 1, "the process lives");
}
