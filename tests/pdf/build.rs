//! Small PDF files, written by hand.

use std::fmt::Write;

/// Objects of a file by their number, from 1 on, and what its trailer has beside them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Build {
    objects: Vec<Vec<u8>>,
    pub(crate) trailer: String,
}

impl Build {
    /// A file whose catalog is object 1 and names object 2 as the page tree.
    pub(crate) fn new(tree: &str) -> Self {
        let mut build = Self::default();
        build.add("<< /Type /Catalog /Pages 2 0 R >>");
        build.add(tree);
        build
    }

    pub(crate) fn add(&mut self, object: impl AsRef<[u8]>) -> usize {
        self.objects.push(object.as_ref().to_vec());
        self.objects.len()
    }

    pub(crate) fn stream(&mut self, entries: &str, content: &[u8]) -> usize {
        let start = format!("<< /Length {} {entries} >>\nstream\n", content.len());
        self.add([start.as_bytes(), content, b"\nendstream"].concat())
    }

    /// The objects, the table of their places and the trailer.
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
        let (count, more) = (self.objects.len() + 1, &self.trailer);
        write!(table, "trailer\n<< /Size {count} /Root 1 0 R {more} >>\nstartxref\n{start}\n%%EOF\n").unwrap();
        bytes.extend(table.bytes());
        bytes
    }
}

/// A file with these pages: what a page has beside its contents, and the contents.
pub(crate) fn pages(pages: &[(&str, &str)]) -> Vec<u8> {
    // Each page is an object, and its contents the one after it.
    let kids: String = (0..pages.len()).map(|index| format!("{} 0 R ", 2 * index + 3)).collect();
    let mut build = Build::new(&format!("<< /Type /Pages /Kids [{kids}] /Count {} >>", pages.len()));
    for (entries, content) in pages {
        let next = build.objects.len() + 2;
        build.add(format!("<< /Type /Page /Parent 2 0 R /Contents {next} 0 R {entries} >>"));
        build.stream("", content.as_bytes());
    }
    build.bytes()
}

/// A page of 200 by 100 points: red from (10, 20) to (60, 40), blue from (150, 70) to (190, 90).
pub(crate) const COLOURED: (&str, &str) = ("/MediaBox [0 0 200 100]", RECTANGLES);
pub(crate) const RECTANGLES: &str = "1 0 0 rg 10 20 50 20 re f 0 0 1 rg 150 70 40 20 re f";

/// A red page of 200 by 100 points, encrypted with 40-bit RC4 (version 1, revision 2). The password is "secret".
pub(crate) fn encrypted() -> Vec<u8> {
    let content = hex("a641e88996601be477bb06046224f7aa53359c62394e2a269a");
    let mut build = Build::new("<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    build.add("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 200 100] >>");
    build.stream("", &content);
    let owner = "4f".repeat(32);
    let user = "0c176b04793652103e0dece85fb71f9c2beb3f3a82e5bdb187af770c1e3d0096";
    build.trailer = format!(
        "/ID [(0123456789abcdef) (0123456789abcdef)] \
         /Encrypt << /Filter /Standard /V 1 /R 2 /O <{owner}> /U <{user}> /P -4 >>"
    );
    build.bytes()
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
