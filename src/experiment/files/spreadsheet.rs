//! Comma-separated text that a spreadsheet does not read as formulas.

use std::io::{self, BufWriter, Write};

/// The first characters of a formula, and the white space that a spreadsheet strips before.
const BEGINNINGS: &[u8] = b"=+-@\t\r";

/// Writes comma-separated text with an apostrophe before each field that a spreadsheet would read as a formula, as
/// OWASP recommends. Numbers are unchanged.
pub struct PlainFields<W: Write> {
    to: BufWriter<W>,
    field: Vec<u8>,
    in_quotes: bool,
}

impl<W: Write> PlainFields<W> {
    /// Writes to `to`, through a buffer.
    pub fn new(to: W) -> Self {
        Self { to: BufWriter::new(to), field: Vec::new(), in_quotes: false }
    }

    /// Writes the last field, which may have no line end.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> io::Result<()> {
        self.end_field()?;
        self.to.flush()
    }

    fn end_field(&mut self) -> io::Result<()> {
        let quotes = usize::from(self.field.first() == Some(&b'"'));
        let is_number = || std::str::from_utf8(&self.field).is_ok_and(|text| text.parse::<f64>().is_ok());
        let is_formula = self.field.get(quotes).is_some_and(|first| BEGINNINGS.contains(first)) && !is_number();
        if is_formula {
            self.field.insert(quotes, b'\'');
        }
        self.to.write_all(&self.field)?;
        self.field.clear();
        Ok(())
    }
}

impl<W: Write> Write for PlainFields<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.in_quotes ^= *byte == b'"';
            if !self.in_quotes && (*byte == b',' || *byte == b'\n') {
                self.end_field()?;
                self.to.write_all(&[*byte])?;
            } else {
                self.field.push(*byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // An unfinished field is not yet known.
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_get_a_leading_apostrophe_and_numbers_do_not() {
        let plain = |text: &str| {
            let mut out = Vec::new();
            let mut fields = PlainFields::new(&mut out);
            // In whatever pieces it comes.
            text.as_bytes().chunks(3).for_each(|piece| fields.write_all(piece).unwrap());
            fields.finish().unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(plain("a,b=c\n-1.5,+2e3\n-inf,1\n"), "a,b=c\n-1.5,+2e3\n-inf,1\n");
        assert_eq!(plain("=1+2,@x\n+a,-b\n"), "'=1+2,'@x\n'+a,'-b\n");
        assert_eq!(
            plain("\"=HYPERLINK(\"\"x\"\",1)\",\"a\n=b\",\"\tc\"\n=d"),
            "\"'=HYPERLINK(\"\"x\"\",1)\",\"a\n=b\",\"'\tc\"\n'=d"
        );
    }
}
