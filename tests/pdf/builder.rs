//! Small PDF files, written object by object.

use std::fmt::Write;

/// The objects of a file, numbered from 1 on, and further entries of its trailer.
#[derive(Debug, Clone, Default)]
pub(crate) struct PdfBuilder {
    objects: Vec<Vec<u8>>,
    /// Entries of the trailer beside `/Size` and `/Root`.
    pub(crate) trailer: String,
}

impl PdfBuilder {
    /// Starts a file with the catalog as object 1 and the page tree as object 2.
    pub(crate) fn new(tree: &str) -> Self {
        let mut builder = Self::default();
        builder.add("<< /Type /Catalog /Pages 2 0 R >>");
        builder.add(tree);
        builder
    }

    /// Adds an object; returns its number.
    pub(crate) fn add(&mut self, object: impl AsRef<[u8]>) -> usize {
        self.objects.push(object.as_ref().to_vec());
        self.objects.len()
    }

    /// Adds a stream with further entries of its dictionary; returns its number.
    pub(crate) fn stream(&mut self, entries: &str, content: &[u8]) -> usize {
        let start = format!("<< /Length {} {entries} >>\nstream\n", content.len());
        self.add([start.as_bytes(), content, b"\nendstream"].concat())
    }

    /// The file: objects, cross-reference table and trailer.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"%PDF-1.7\n".to_vec();
        let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", self.objects.len() + 1);
        for (index, object) in self.objects.iter().enumerate() {
            writeln!(table, "{:010} 00000 n ", bytes.len()).unwrap();
            bytes.extend(format!("{} 0 obj\n", index + 1).bytes());
            bytes.extend(object);
            bytes.extend(b"\nendobj\n");
        }
        let start = bytes.len();
        let (count, entries) = (self.objects.len() + 1, &self.trailer);
        write!(table, "trailer\n<< /Size {count} /Root 1 0 R {entries} >>\nstartxref\n{start}\n%%EOF\n").unwrap();
        bytes.extend(table.bytes());
        bytes
    }
}

/// A file with these pages, each given by its dictionary entries and its contents.
pub(crate) fn pages(pages: &[(&str, &str)]) -> Vec<u8> {
    // Each page is an object, followed by its contents.
    let kids: String = (0..pages.len()).map(|index| format!("{} 0 R ", 2 * index + 3)).collect();
    let mut builder = PdfBuilder::new(&format!("<< /Type /Pages /Kids [{kids}] /Count {} >>", pages.len()));
    for (entries, content) in pages {
        let next = builder.objects.len() + 2;
        builder.add(format!("<< /Type /Page /Parent 2 0 R /Contents {next} 0 R {entries} >>"));
        builder.stream("", content.as_bytes());
    }
    builder.bytes()
}

/// A page of 200 by 100 points with [`RECTANGLES`].
pub(crate) const COLOURED: (&str, &str) = ("/MediaBox [0 0 200 100]", RECTANGLES);
/// Contents: red from (10, 20) to (60, 40) points, blue from (150, 70) to (190, 90).
pub(crate) const RECTANGLES: &str = "1 0 0 rg 10 20 50 20 re f 0 0 1 rg 150 70 40 20 re f";

/// A red page of 200 by 100 points, encrypted with 40-bit RC4 (version 1, revision 2). The password is `secret`.
pub(crate) fn encrypted() -> Vec<u8> {
    let content = hex("a641e88996601be477bb06046224f7aa53359c62394e2a269a");
    let mut builder = PdfBuilder::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    builder.add("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 200 100] >>");
    builder.stream("", &content);
    let owner = "4f".repeat(32);
    let user = "0c176b04793652103e0dece85fb71f9c2beb3f3a82e5bdb187af770c1e3d0096";
    builder.trailer = format!(
        "/ID [(0123456789abcdef) (0123456789abcdef)] \
         /Encrypt << /Filter /Standard /V 1 /R 2 /O <{owner}> /U <{user}> /P -4 >>"
    );
    builder.bytes()
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
