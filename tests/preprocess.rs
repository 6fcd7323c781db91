//! Images and videos: decoding, sizes, resizing, patches, frame sampling, and errors.
//! The expected numbers come from qwen-vl-utils, torchvision and transformers.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use mimo_vl_core::expert::{
    Bicubic, Grid, Patches, PreprocessConfig, frame_pixels, preprocess_image, preprocess_video, resize, sample_frames,
    smart_resize,
};
use mimo_vl_core::{Error, ErrorCode, FrameSampling, Image, Video};
use serde_json::Value;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

fn vectors() -> Value {
    serde_json::from_str(&std::fs::read_to_string(data().join("preproc.json")).unwrap()).unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// The bytes of nested lists `[height][width][3]`, and their (height, width).
fn pixels(value: &Value) -> (Vec<u8>, (usize, usize)) {
    let rows = value.as_array().unwrap();
    let size = (rows.len(), rows[0].as_array().unwrap().len());
    let bytes = rows.iter().flat_map(|row| row.as_array().unwrap().iter().flat_map(numbers)).map(|byte| byte as u8);
    (bytes.collect(), size)
}

fn fnv1a(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// An image in which every pixel differs from its neighbours.
fn texture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7 + y * 3) as u8, (x * y + 11) as u8, (x ^ (y * 5)) as u8]))
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn assert_image_error(result: mimo_vl_core::Result<Image>, reason: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Image, "{error}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn smart_resize_gives_the_sizes_of_the_reference() {
    for case in vectors()["smart_resize"].as_array().unwrap() {
        let [height, width, min, max] =
            ["height", "width", "min_pixels", "max_pixels"].map(|field| number(&case[field]));
        let (h, w) = smart_resize(height, width, 28, min, max).unwrap();
        assert_eq!(vec![h, w], numbers(&case["size"]), "{case}");
    }
}

#[test]
fn smart_resize_rejects_invalid_sizes_and_limits() {
    let error = |height, width, min, max| smart_resize(height, width, 28, min, max).unwrap_err().code();
    assert_eq!(error(0, 10, 3136, 12_845_056), ErrorCode::Image);
    assert_eq!(error(10, 0, 3136, 12_845_056), ErrorCode::Image);
    assert_eq!(error(201, 1, 3136, 12_845_056), ErrorCode::Image);
    assert_eq!(error(usize::MAX, usize::MAX, 3136, 12_845_056), ErrorCode::Image);
    assert_eq!(error(10, 10, 0, 0), ErrorCode::Option);
    assert_eq!(error(10, 10, 5000, 4000), ErrorCode::Option);
    assert_eq!(smart_resize(10, 10, 0, 0, 100).unwrap_err().code(), ErrorCode::Option);
    assert_eq!(smart_resize(200, 1, 28, 3136, 12_845_056).unwrap(), (196, 28));
    assert_eq!(smart_resize(1990, 10, 28, 1, 784).unwrap(), (392, 28));
}

#[test]
fn resize_gives_the_bytes_of_pillow() {
    let bicubic = &vectors()["bicubic"];
    let (source, size) = pixels(&bicubic["src"]);
    let expected = bicubic["resized"].as_array().unwrap();
    assert_eq!(expected.len(), 3);
    for expected in expected {
        let (expected, new_size) = pixels(expected);
        // For so small an image both variants round to the same bytes; the patches of larger images and frames below
        // distinguish them.
        for bicubic in [Bicubic::Pillow, Bicubic::Torchvision] {
            assert_eq!(resize(&source, size, new_size, bicubic).unwrap(), expected, "{new_size:?}");
        }
    }
    assert_eq!(resize(&source, size, size, Bicubic::Pillow).unwrap(), source);
    assert!(resize(&source, (size.0 + 1, size.1), size, Bicubic::Pillow).is_err());
    assert!(resize(&source, size, (0, 5), Bicubic::Torchvision).is_err());
}

#[test]
fn patches_are_ordered_by_merge_block_and_channel_frame_row_column() {
    let order = &vectors()["patch_order"];
    let (height, width) = (56, 84);
    let pixels = texture(width, height);
    let image = Image::from_rgb(width, height, 84 * 3, &pixels).unwrap().min_pixels(1);
    let patches = preprocess_image(&image, &PreprocessConfig::default()).unwrap();
    let grid = patches.grid;
    assert_eq!(vec![grid.t, grid.h, grid.w], numbers(&order["grid"]));
    assert_eq!(grid.tokens(), 6);
    let mut expected = Vec::new();
    for position in order["patch_row_col"].as_array().unwrap() {
        let position = numbers(position);
        for channel in 0..3 {
            for _frame in 0..2 {
                for (y, x) in (0..14).flat_map(|y| (0..14).map(move |x| (y, x))) {
                    let pixel = pixels.get_pixel((position[1] * 14 + x) as u32, (position[0] * 14 + y) as u32);
                    expected.push(pixel[channel]);
                }
            }
        }
    }
    assert_eq!(patches.pixels, expected);
    assert_eq!(patches.second_per_grid, None);
}

#[test]
fn patches_equal_those_of_the_reference() {
    let config = PreprocessConfig::default();
    let open = |file: &Value| Image::open(data().join("preprocess").join(file.as_str().unwrap())).unwrap();
    let mut compared = 0;
    for case in vectors()["cases"].as_array().unwrap() {
        let patches = if let Some(frames) = case["frames"].as_array() {
            let video = Video::from_frames(frames.iter().map(open).collect(), case["fps"].as_f64().unwrap()).unwrap();
            let [min, max] = ["min_pixels", "max_pixels"].map(|field| number(&case[field]) as u32);
            let patches = preprocess_video(&video.min_pixels(min).max_pixels(max), &config).unwrap();
            assert_eq!(patches.second_per_grid, Some(1.6));
            patches
        } else if case["image"].is_string() {
            preprocess_image(&open(&case["image"]), &config).unwrap()
        } else {
            let patches = preprocess_image(&open(&case["jpeg"]), &config).unwrap();
            // JPEG decoders may differ in the last bit, which hardly changes the sum of a patch of 1176 values.
            let sums = patches.pixels.chunks(1176).map(|patch| patch.iter().map(|&byte| usize::from(byte)).sum());
            for (sum, expected) in sums.zip(numbers(&case["sums"])) {
                let sum: usize = sum;
                assert!(sum.abs_diff(expected) <= 588, "{sum} and {expected}");
            }
            assert_eq!(vec![patches.grid.t, patches.grid.h, patches.grid.w], numbers(&case["grid"]));
            compared += 1;
            continue;
        };
        let grid = patches.grid;
        assert_eq!(vec![grid.t, grid.h, grid.w], numbers(&case["grid"]), "{case}");
        assert_eq!(patches.pixels.len(), grid.patches() * 1176);
        assert_eq!(fnv1a(&patches.pixels), case["fnv1a"], "{case}");
        compared += 1;
    }
    assert_eq!(compared, 4);
}

#[test]
fn an_odd_number_of_frames_repeats_the_last_frame() {
    let config = PreprocessConfig::default();
    let frame = |shade: u8| Image::from_rgb(56, 56, 56 * 3, &vec![shade; 56 * 56 * 3]).unwrap();
    let video = |shades: &[u8]| {
        let video = Video::from_frames(shades.iter().map(|&shade| frame(shade)).collect(), 2.0).unwrap();
        preprocess_video(&video.min_pixels(784).max_pixels(3136), &config).unwrap()
    };
    let odd = video(&[10, 20, 30]);
    assert_eq!(odd.grid, Grid { t: 2, h: 4, w: 4 });
    assert_eq!(odd, video(&[10, 20, 30, 30]));
    assert_eq!(odd.pixels[0], 10);
    assert_eq!(odd.pixels[196], 20);
    assert_eq!(odd.second_per_grid, Some(1.0));
}

#[test]
fn video_frames_share_a_pixel_budget_unless_limits_are_set() {
    let config = PreprocessConfig::default();
    let frame = Image::from_rgb(1280, 720, 1280 * 3, &vec![90; 1280 * 720 * 3]).unwrap();
    let video = Video::from_frames(vec![frame; 2], 2.0).unwrap();
    let size = |video: &Video| {
        let grid = preprocess_video(video, &config).unwrap().grid;
        (grid.h * 14, grid.w * 14)
    };
    assert_eq!(size(&video), (560, 1008));
    assert_eq!(size(&video.clone().max_pixels(60 * 784)), (140, 280));
    assert_eq!(size(&video.clone().min_pixels(1 << 20)), (784, 1372));
    let error = preprocess_video(&video.min_pixels(2000).max_pixels(1000), &config).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Image);
}

#[test]
fn frames_are_sampled_as_in_the_reference() {
    let mut errors = 0;
    for case in vectors()["video"].as_array().unwrap() {
        let options = &case["ele"];
        let mut sampling = FrameSampling::new();
        sampling.fps = options["fps"].as_f64();
        sampling.frames = options["nframes"].as_u64().map(|count| count as usize);
        sampling.min_frames = options["min_frames"].as_u64().map(|count| count as usize);
        sampling.max_frames = options["max_frames"].as_u64().map(|count| count as usize);
        let sampled = sample_frames(number(&case["total"]), case["video_fps"].as_f64().unwrap(), &sampling);
        if case["err"].is_string() {
            assert_eq!(sampled.unwrap_err().code(), ErrorCode::Option, "{case}");
            errors += 1;
            continue;
        }
        let sampled = sampled.unwrap();
        let count = number(&case["nframes"]);
        assert_eq!(sampled.indices.len(), count, "{case}");
        assert!(sampled.indices.starts_with(&numbers(&case["idx_first"])), "{case}: {:?}", sampled.indices);
        assert!(sampled.indices.ends_with(&numbers(&case["idx_last"])), "{case}: {:?}", sampled.indices);
        assert!((sampled.fps / case["sample_fps"].as_f64().unwrap() - 1.0).abs() < 1e-15, "{case}");
        // serde_json may lose the last digit of a number.
        let seconds = case["second_per_grid"].as_f64().unwrap();
        assert!((sampled.second_per_grid() / seconds - 1.0).abs() < 1e-15, "{case}");
        for (budget, name) in [(128_000.0 * 784.0 * 0.9, "default"), (16384.0 * 784.0, "mimo_eval")] {
            let max = frame_pixels(count, budget);
            assert_eq!(max, case[format!("max_pixels_{name}")].as_f64().unwrap(), "{case}");
            let size = smart_resize(720, 1280, 28, 128 * 784, max as usize).unwrap();
            assert_eq!(vec![size.0, size.1], numbers(&case[format!("size720p_{name}")]), "{case}");
            let tokens = (count / 2) * size.0 * size.1 / 784;
            assert_eq!(tokens, number(&case[format!("tokens_{name}")]), "{case}");
        }
    }
    assert_eq!(errors, 2);
}

#[test]
fn a_time_range_of_a_video_is_sampled_and_invalid_options_are_errors() {
    let range = FrameSampling::new().start(1.01).end(3.0).frames(4);
    let sampled = sample_frames(100, 10.0, &range).unwrap();
    assert_eq!(sampled.indices, [11, 17, 24, 30]);
    assert_eq!(sampled.fps, 2.0);
    let all = sample_frames(10, 10.0, &FrameSampling::new().min_frames(usize::MAX)).unwrap();
    assert_eq!(all.indices.len(), 10, "the video has no more frames");
    for (total, fps, sampling) in [
        (0, 10.0, FrameSampling::new()),
        (10, 0.0, FrameSampling::new()),
        (10, f64::NAN, FrameSampling::new()),
        (10, f64::INFINITY, FrameSampling::new()),
        (10, 10.0, FrameSampling::new().fps(-1.0)),
        (10, 10.0, FrameSampling::new().start(f64::NAN)),
        (10, 10.0, FrameSampling::new().start(0.5).end(0.5)),
        (10, 10.0, FrameSampling::new().start(99.0)),
        (10, 10.0, FrameSampling::new().frames(usize::MAX)),
        (10, 10.0, FrameSampling::new().max_frames(1)),
    ] {
        let error = sample_frames(total, fps, &sampling).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Option, "{sampling:?}: {error}");
    }
}

/// A JPEG of 32×16 pixels (red, green / blue, white) with this EXIF orientation.
fn oriented_jpeg(orientation: u8) -> Vec<u8> {
    let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
    let pixels = RgbImage::from_fn(32, 16, |x, y| Rgb(colours[(y / 8 * 2 + x / 16) as usize]));
    let jpeg = encode(&DynamicImage::ImageRgb8(pixels), ImageFormat::Jpeg);
    // TIFF header, one entry: tag 0x0112, type SHORT, count 1, the value; no further directory.
    let mut exif = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xFF, 0xE1]);
    bytes.extend((exif.len() as u16 + 2).to_be_bytes());
    bytes.extend(exif);
    bytes.extend(&jpeg[2..]);
    bytes
}

#[test]
fn exif_orientation_is_applied_and_recorded() {
    // Colours at top left, top right, bottom left and bottom right, as a viewer shows them.
    let shown = ["RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"];
    for (orientation, shown) in (1..=8).zip(shown) {
        let image = Image::from_bytes(&oriented_jpeg(orientation)).unwrap();
        assert_eq!(image.orientation(), orientation);
        let (width, height) = (image.width() as usize, image.height() as usize);
        assert_eq!((width, height), if orientation < 5 { (32, 16) } else { (16, 32) });
        let corners = [(3, 3), (width - 4, 3), (3, height - 4), (width - 4, height - 4)];
        let seen: String =
            corners.iter().map(|&(x, y)| colour_letter(&image.pixels()[(y * width + x) * 3..][..3])).collect();
        assert_eq!(seen, shown, "orientation {orientation}");

        let transform = preprocess_image(&image, &PreprocessConfig::default()).unwrap().transform;
        assert_eq!(transform.original, (width, height));
        assert_eq!(transform.orientation, orientation);
        let (x, y) = transform.to_model(width as f64, height as f64);
        assert_eq!((x, y), (transform.resized.0 as f64, transform.resized.1 as f64));
        assert_eq!(transform.to_original(x / 2.0, y / 4.0), (width as f64 / 2.0, height as f64 / 4.0));
    }
    assert_eq!(Image::from_bytes(&oriented_jpeg(9)).unwrap().orientation(), 1);
}

fn colour_letter(pixel: &[u8]) -> char {
    match [pixel[0] > 128, pixel[1] > 128, pixel[2] > 128] {
        [true, false, false] => 'R',
        [false, true, false] => 'G',
        [false, false, true] => 'B',
        [true, true, true] => 'W',
        _ => '?',
    }
}

#[test]
fn transparency_is_blended_with_white_and_rounded_to_nearest() {
    let every: Vec<u8> = (0..=255).flat_map(|alpha| (0..=255).flat_map(move |c| [c, c, 255 - c, alpha])).collect();
    let image = Image::from_rgba(256, 256, 1024, &every).unwrap();
    for (rgba, rgb) in every.chunks(4).zip(image.pixels().chunks(3)) {
        for channel in 0..3 {
            let exact = u32::from(rgba[channel]) * u32::from(rgba[3]) + 255 * u32::from(255 - rgba[3]);
            assert_eq!(u32::from(rgb[channel]), (exact * 2 + 255) / 510, "{rgba:?}");
        }
    }
    let png = DynamicImage::ImageRgba8(image::RgbaImage::from_raw(256, 256, every).unwrap());
    assert_eq!(Image::from_bytes(&encode(&png, ImageFormat::Png)).unwrap().pixels(), image.pixels());
    let grey = DynamicImage::ImageLumaA8(image::GrayAlphaImage::from_raw(2, 1, vec![40, 255, 40, 0]).unwrap());
    let grey = Image::from_bytes(&encode(&grey, ImageFormat::Png)).unwrap();
    assert_eq!(grey.pixels(), [40, 40, 40, 255, 255, 255]);
}

#[test]
fn every_format_is_recognised_by_its_content_and_an_error_when_truncated() {
    let pixels = texture(61, 47);
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff]
    {
        let bytes = encode(&DynamicImage::ImageRgb8(pixels.clone()), format);
        let image = Image::from_bytes(&bytes).unwrap();
        assert_eq!((image.width(), image.height()), (61, 47), "{format:?}");
        if !matches!(format, ImageFormat::Jpeg | ImageFormat::Gif) {
            assert_eq!(image.pixels(), pixels.as_raw().as_slice(), "{format:?}");
        }
        for length in (16..bytes.len() * 9 / 10).step_by(97) {
            let error = Image::from_bytes(&bytes[..length]).expect_err(&format!("{format:?} truncated to {length}"));
            assert_eq!(error.code(), ErrorCode::Image, "{format:?} truncated to {length}: {error}");
        }
    }
}

#[test]
fn a_truncated_jpeg_or_png_is_an_error() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png] {
        let bytes = encode(&DynamicImage::ImageRgb8(texture(64, 64)), format);
        for missing in 1..bytes.len() {
            let error = Image::from_bytes(&bytes[..bytes.len() - missing]).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Image);
        }
        let mut longer = bytes.clone();
        longer.extend(b"what a camera appends");
        assert!(Image::from_bytes(&longer).is_ok());
    }
    // A thumbnail in the metadata has its own end marker.
    let jpeg = oriented_jpeg(1);
    let mut with_thumbnail = jpeg[..2].to_vec();
    with_thumbnail.extend([0xFF, 0xE2, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9]);
    with_thumbnail.extend(&jpeg[2..]);
    assert!(Image::from_bytes(&with_thumbnail).is_ok());
    assert_image_error(Image::from_bytes(&with_thumbnail[..with_thumbnail.len() - 2]), "cut short");
}

#[test]
fn deep_grey_and_palette_images_become_rgb() {
    let deep = image::ImageBuffer::<Rgb<u16>, _>::from_raw(2, 1, vec![0_u16, 257, 65535, 32768, 128, 129]).unwrap();
    let deep = Image::from_bytes(&encode(&DynamicImage::ImageRgb16(deep), ImageFormat::Png)).unwrap();
    assert_eq!(deep.pixels(), [0, 1, 255, 128, 0, 1]);
    let grey = image::GrayImage::from_raw(2, 1, vec![7, 200]).unwrap();
    let grey = Image::from_bytes(&encode(&DynamicImage::ImageLuma8(grey), ImageFormat::Png)).unwrap();
    assert_eq!(grey.pixels(), [7, 7, 7, 200, 200, 200]);
    let two = RgbImage::from_fn(8, 8, |x, _| if x < 4 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    let palette = Image::from_bytes(&encode(&DynamicImage::ImageRgb8(two.clone()), ImageFormat::Gif)).unwrap();
    assert_eq!(palette.pixels(), two.as_raw().as_slice());
}

#[test]
fn unusable_files_are_errors_with_their_path() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.png");
    let error = Image::open(&missing).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == missing), "{error}");
    assert_eq!(Image::open(folder.path()).unwrap_err().code(), ErrorCode::Io);
    for (name, bytes) in [("note.png", b"this is a note, not an image".as_slice()), ("empty.jpg", b"")] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Image::open(&path).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_image_error(Err(error), "not an image");
    }
    let cut = folder.path().join("cut.jpg");
    let jpeg = encode(&DynamicImage::ImageRgb8(texture(64, 64)), ImageFormat::Jpeg);
    std::fs::write(&cut, &jpeg[..jpeg.len() / 2]).unwrap();
    let error = Image::open(&cut).unwrap_err();
    assert!(error.to_string().contains("cut.jpg"), "{error}");
    assert_image_error(Err(error), "cut short");
    assert_image_error(Image::from_bytes(b"\x89PNG\r\n\x1a\n"), "Png");
    assert_image_error(Image::from_bytes(b"RIFF\0\0\0\0WEBP"), "WebP");
}

/// A PNG with this size in its header and only the start of the pixel data.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encode(&DynamicImage::ImageRgb8(texture(1, 1)), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = bytes[12..29].iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    });
    bytes[29..33].copy_from_slice(&(!checksum).to_be_bytes());
    bytes
}

#[test]
fn images_without_pixels_or_with_too_many_are_errors_after_the_header() {
    assert!(Image::from_bytes(&png_header(1, 1)).is_ok());
    for (width, height) in [(0, 5), (5, 0), (0, 0)] {
        assert_eq!(Image::from_bytes(&png_header(width, height)).unwrap_err().code(), ErrorCode::Image);
    }
    assert_image_error(Image::from_bytes(&png_header(30_000, 30_000)), "30000x30000");
    assert_image_error(Image::from_bytes(&png_header(16_385, 1)), "16384");
    assert_image_error(Image::from_bytes(&png_header(16_384, 16_384)), "MiB");
    // The size is allowed, so the error is about the missing pixels.
    assert_image_error(Image::from_bytes(&png_header(12_000, 9_000)), "enough data");

    let mut jpeg = encode(&DynamicImage::ImageRgb8(texture(8, 8)), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x75, 0x30, 0x75, 0x30]);
    assert_image_error(Image::from_bytes(&jpeg), "30000x30000");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0, 0, 0, 8]);
    assert_eq!(Image::from_bytes(&jpeg).unwrap_err().code(), ErrorCode::Image);
}

#[test]
fn raw_pixels_are_validated_and_copied_without_padding() {
    let padded = [1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12];
    assert_eq!(Image::from_rgb(2, 2, 8, &padded).unwrap().pixels(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_image_error(Image::from_rgb(2, 2, 8, &padded[..13]), "too few");
    assert_image_error(Image::from_rgb(2, 2, 5, &padded), "stride");
    assert_image_error(Image::from_rgba(2, 2, 7, &padded), "stride");
    assert_image_error(Image::from_rgb(0, 2, 8, &padded), "at least 1");
    assert_image_error(Image::from_rgb(30_000, 30_000, 90_000, &padded), "16384");
    assert_image_error(Image::from_rgb(1, 2, usize::MAX, &padded), "too few");
}

#[test]
fn extreme_aspect_ratios_and_contradictory_limits_are_errors() {
    let config = PreprocessConfig::default();
    let strip = Image::from_rgb(201, 1, 603, &[9; 603]).unwrap();
    let error = preprocess_image(&strip, &config).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Image);
    assert!(error.to_string().contains("200"), "{error}");
    let image = Image::from_rgb(20, 20, 60, &[9; 1200]).unwrap();
    for limits in [image.clone().min_pixels(2000).max_pixels(1000), image.clone().max_pixels(0)] {
        let error = preprocess_image(&limits, &config).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Image);
        assert!(error.to_string().contains("max_pixels"), "{error}");
    }
    // A limit of the image takes precedence over a default that contradicts it.
    let grid = |image: &Image| preprocess_image(image, &config).unwrap().grid;
    assert_eq!(grid(&image.clone().max_pixels(800)), Grid { t: 1, h: 2, w: 2 });
    assert_eq!(grid(&image.min_pixels(20_000)), Grid { t: 1, h: 12, w: 12 });
}

#[test]
fn media_with_too_many_tokens_are_errors_before_memory_is_allocated() {
    let mut config = PreprocessConfig::default();
    let too_many = |patches: mimo_vl_core::Result<Patches>| match patches {
        Err(Error::ContextTooLong { tokens, .. }) => tokens,
        other => panic!("{other:?}"),
    };
    let image = Image::from_rgb(20, 20, 60, &[9; 1200]).unwrap();
    assert!(too_many(preprocess_image(&image.clone().min_pixels(u32::MAX), &config)) > 5_000_000);
    let video = Video::from_frames(vec![image.clone(); 10_000], 2.0).unwrap();
    assert_eq!(too_many(preprocess_video(&video, &config)), 5000 * 12 * 12);
    let large = Image::from_rgb(5100, 5100, 15_300, &vec![9; 78_030_000]).unwrap().max_pixels(u32::MAX);
    assert_eq!(too_many(preprocess_image(&large, &config)), 182 * 182);
    let image = image.min_pixels(4 * 784).max_pixels(4 * 784);
    config.max_tokens = 4;
    assert_eq!(preprocess_image(&image, &config).unwrap().grid.tokens(), 4);
    config.max_tokens = 3;
    assert_eq!(too_many(preprocess_image(&image, &config)), 4);
}

#[test]
fn videos_need_frames_of_one_size_and_a_frame_rate() {
    let small = Image::from_rgb(2, 2, 6, &[1; 12]).unwrap();
    let wide = Image::from_rgb(4, 1, 12, &[1; 12]).unwrap();
    for fps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Video::from_frames(vec![small.clone()], fps).unwrap_err().code(), ErrorCode::Option);
    }
    assert_eq!(Video::from_frames(Vec::new(), 2.0).unwrap_err().code(), ErrorCode::Image);
    let error = Video::from_frames(vec![small.clone(), small, wide], 2.0).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Image);
    assert!(error.to_string().contains("frame 2"), "{error}");
}
