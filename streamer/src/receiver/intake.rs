//! A stream of bytes, cut into records for the spool: what comes from stdin or by TCP, in no
//! requests.
//!
//! Nobody can be told of a record that is none, so it goes into the spool in a way that makes it a
//! dead letter.

use std::sync::Arc;

use crate::format::{Beginning, Format, Header, Next, Reader, State, without_mark};
use crate::memory::{CONNECTION_BYTES, Held};
use crate::spool::{Append, Content};

/// So much memory is kept for what comes next, in bytes.
const SMALL_BYTES: usize = CONNECTION_BYTES / 2;

/// Cuts a stream of bytes.
#[derive(Debug)]
pub struct Intake {
    record_bytes_max: usize,
    /// What was said to come.
    format: Option<Format>,
    /// What reads it, once it is known what comes.
    reader: Option<Reader>,
    content: Option<Content>,
    /// How many names are in the header, where there is one.
    fields: usize,
    /// The names, until somebody has asked for them.
    header: Option<Vec<String>>,
    buffer: Vec<u8>,
    /// The rest of a line that is too long is passed over.
    is_skipping: bool,
}

/// What follows the bytes that have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Perhaps more.
    More,
    /// Nothing: a last line without a line end counts.
    Nothing,
    /// Nothing, and it may have been broken off: half a line is a dead letter.
    Unknown,
}

/// The stream can't be read: its first line is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the first line is no CSV header")]
pub struct NoHeader;

impl Intake {
    /// For records of at most `record_bytes_max` bytes. Where no format is given, the first byte
    /// tells it: `{` begins JSON, anything else a CSV header.
    pub fn new(record_bytes_max: usize, format: Option<Format>) -> Intake {
        Intake {
            record_bytes_max,
            format,
            reader: None,
            content: None,
            fields: 0,
            header: None,
            buffer: Vec::new(),
            is_skipping: false,
        }
    }

    /// The names in the header, once, when it was read.
    pub fn take_header(&mut self) -> Option<Vec<String>> {
        self.header.take()
    }

    /// How many bytes it has that are no whole record yet.
    pub fn held_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// How many bytes the header has that it keeps, where it has read one.
    pub fn header_bytes(&self) -> usize {
        let header = self.content.as_ref().and_then(|content| content.header.as_ref());
        header.map_or(0, |header| header.len())
    }

    /// Takes bytes; returns what is to be appended now.
    ///
    /// # Errors
    /// [`NoHeader`].
    pub fn take(&mut self, bytes: &[u8], follows: Follows) -> Result<Vec<Append>, NoHeader> {
        self.buffer.extend_from_slice(bytes);
        let Some(mut reader) = self.take_reader(follows) else { return Ok(Vec::new()) };
        let appends = match self.begin(&mut reader, follows)? {
            Some(content) => self.cut(&mut reader, &content, follows),
            None => Vec::new(),
        };
        // Many connections have little to say at a time.
        if self.buffer.len() < SMALL_BYTES {
            self.buffer.shrink_to(SMALL_BYTES);
            reader.trim();
        }
        self.reader = Some(reader);
        Ok(appends)
    }

    /// The reader of what comes; nothing while that can't be told.
    fn take_reader(&mut self, follows: Follows) -> Option<Reader> {
        if self.reader.as_ref().is_none_or(|reader| reader.state() == State::default()) {
            let blanks =
                |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let blank = blanks(&self.buffer);
            self.buffer.drain(..blank);
            let mark = self.buffer.len() - without_mark(&self.buffer).len();
            let blank = blanks(&self.buffer[mark..]);
            self.buffer.drain(mark..mark + blank);
        }
        if let Some(reader) = self.reader.take() {
            return Some(reader);
        }
        let complete = follows != Follows::More;
        let format = self.format.or_else(|| Format::of_bytes(&self.buffer, complete))?;
        Some(Reader::new(format, self.record_bytes_max))
    }

    /// Reads what the stream begins with: which segments its records go into. Nothing while that
    /// can't be told.
    fn begin(
        &mut self,
        reader: &mut Reader,
        follows: Follows,
    ) -> Result<Option<Content>, NoHeader> {
        if self.content.is_some() {
            return Ok(self.content.clone());
        }
        let format = reader.format();
        let complete = match follows {
            Follows::More => false,
            Follows::Nothing => true,
            // Half a header is none.
            Follows::Unknown => !format.has_header(),
        };
        let mut at = 0;
        let beginning = reader.begin(&self.buffer, &mut at, complete);
        self.buffer.drain(..at);
        let header = match beginning {
            Beginning::NotYet | Beginning::Empty => return Ok(None),
            Beginning::Header(Header { names, raw }) => {
                (self.fields, self.header) = (names.len(), Some(names));
                Some(raw)
            }
            Beginning::Unreadable(_) if format.has_header() => return Err(NoHeader),
            // Its records are dead letters if they are no text.
            Beginning::Records | Beginning::Unreadable(_) => None,
        };
        self.content = Some(Content { format, header });
        Ok(self.content.clone())
    }

    /// The records in the buffer; what is no whole record yet stays there.
    fn cut(&mut self, reader: &mut Reader, content: &Content, follows: Follows) -> Vec<Append> {
        let mut appends = Appends { content, done: Vec::new(), bytes: Vec::new(), records: 0 };
        let buffer = &self.buffer;
        let is_complete = follows != Follows::More;
        // Of a line that is too long so much is kept that it is too long there too.
        let kept = |raw: &[u8]| raw.len().min(self.record_bytes_max + 1);
        let mut at = 0;
        while at < buffer.len() {
            if self.is_skipping {
                self.is_skipping = !reader.pass_line(buffer, &mut at);
                continue;
            }
            match reader.next(buffer, &mut at, is_complete) {
                Next::Record(place) => {
                    // The last one, and without a line end. With so many fields more it has too
                    // many, whatever it has; half an object is none.
                    let is_half = follows == Follows::Unknown && place.end == buffer.len();
                    let fields = if is_half { self.fields } else { 0 };
                    appends.add(place.of(buffer), fields);
                }
                Next::Malformed(place, _) => {
                    let raw = place.of(buffer);
                    appends.add_malformed(&raw[..kept(raw)]);
                }
                Next::Endless(place, _) => {
                    let raw = place.of(buffer);
                    appends.add_malformed(&raw[..kept(raw)]);
                    self.is_skipping = true;
                }
                Next::Incomplete => break,
            }
        }
        let appends = appends.done();
        self.buffer.drain(..at);
        appends
    }
}

/// What is to be appended, in order.
struct Appends<'k> {
    content: &'k Content,
    done: Vec<Append>,
    bytes: Vec<u8>,
    records: u64,
}

impl Appends<'_> {
    /// A record, with so many empty fields behind it.
    fn add(&mut self, record: &[u8], fields: usize) {
        self.bytes.extend_from_slice(record);
        if let Some(delimiter) = self.content.format.delimiter() {
            self.bytes.extend(std::iter::repeat_n(delimiter, fields));
        }
        self.bytes.push(b'\n');
        self.records += 1;
    }

    /// What is no record. Where line ends do not end it, it must not be read together with its
    /// neighbours.
    fn add_malformed(&mut self, line: &[u8]) {
        if !self.content.format.spans_lines() {
            return self.add(line, 0);
        }
        self.flush();
        let bytes = [line, b"\n"].concat();
        self.done.push(self.append(bytes, 1));
    }

    fn flush(&mut self) {
        if self.records > 0 {
            let (bytes, records) = (std::mem::take(&mut self.bytes), self.records);
            self.done.push(self.append(bytes, records));
            self.records = 0;
        }
    }

    fn append(&self, bytes: Vec<u8>, records: u64) -> Append {
        let bytes = Arc::new(Held::new(bytes, None));
        Append { content: self.content.clone(), bytes, records, key: None, waits: false }
    }

    fn done(mut self) -> Vec<Append> {
        self.flush();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is appended of bytes that come one by one, and of the same at once.
    fn taken(text: &str, follows: Follows) -> Vec<(String, u64, bool)> {
        let take = |pieces: Vec<&[u8]>| {
            let mut intake = Intake::new(20, None);
            let mut appends = Vec::new();
            for piece in pieces {
                appends.extend(intake.take(piece, Follows::More).unwrap());
            }
            appends.extend(intake.take(b"", follows).unwrap());
            let mut joined: Vec<(String, u64, bool)> = Vec::new();
            for Append { content, bytes, records, .. } in appends {
                let next = Reader::new(content.format, 20).next(&bytes, &mut 0, true);
                // What is no record must not be read together with its neighbours.
                let is_alone = content.format.spans_lines() && !matches!(next, Next::Record(_));
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                match joined.last_mut() {
                    Some(last) if !last.2 && !is_alone => {
                        last.0 += &text;
                        last.1 += records;
                    }
                    _ => joined.push((text, records, is_alone)),
                }
            }
            joined
        };
        let (single, whole) =
            (take(text.as_bytes().chunks(1).collect()), take(vec![text.as_bytes()]));
        assert_eq!(single, whole, "{text}");
        whole
    }

    #[test]
    fn csv_is_cut_into_whole_records() {
        let text = "a,b\r\n1,2\r\n\r\n3,\"x\ny\"\n4,5";
        let all = |end: &str, count| vec![(format!("1,2\n3,\"x\ny\"\n4,5{end}\n"), count, false)];
        assert_eq!(taken(text, Follows::Nothing), all("", 3));
        assert_eq!(
            taken(text, Follows::Unknown),
            all(",,", 3),
            "half a record has too many fields"
        );
        assert!(Intake::new(20, None).take(b"\xff\xfe,\n", Follows::More).is_err());
    }

    #[test]
    fn what_is_no_record_is_kept_apart_from_its_neighbours() {
        let one = |text: &str| (text.to_owned(), 1, false);
        let alone = |text: &str| (text.to_owned(), 1, true);
        let text = "a,b\n1,2\n\"x\"y,2\n3,4\n";
        assert_eq!(
            taken(text, Follows::Nothing),
            [one("1,2\n"), alone("\"x\"y,2\n"), one("3,4\n")]
        );
        let text = "a,b\n1,2\n3,\"open";
        assert_eq!(taken(text, Follows::Unknown), [one("1,2\n"), alone("3,\"open\n")]);
    }

    #[test]
    fn json_is_cut_at_its_line_ends() {
        let text = "{\"a\":1}\n\n{\"a\":2}\r\n{\"a\"";
        let appended =
            |end: &str, count| vec![(format!("{{\"a\":1}}\n{{\"a\":2}}\n{end}"), count, false)];
        assert_eq!(taken(text, Follows::Unknown), appended("{\"a\"\n", 3));
        let mut intake = Intake::new(10, None);
        let appends = intake.take(b"{\"a\":\"0123456789\"}\n{}\n", Follows::More).unwrap();
        assert_eq!(appends[0].records, 2);
        assert_eq!(**appends[0].bytes, *b"{\"a\":\"01234\n{}\n", "still too long");
        // The end of a line that is too long is no line.
        let mut intake = Intake::new(10, None);
        assert_eq!(intake.take(b"{\"a\":\"0123456789", Follows::More).unwrap()[0].records, 1);
        assert!(intake.take(b"0123456789", Follows::More).unwrap().is_empty());
        let appends = intake.take(b"\"}\n{}\n", Follows::More).unwrap();
        assert_eq!((&**appends[0].bytes, appends[0].records), (&b"{}\n"[..], 1));
    }

    #[test]
    fn what_comes_may_be_said() {
        let taken = |format, text: &[u8]| {
            let mut intake = Intake::new(20, Some(format));
            let mut appends = Vec::new();
            for byte in text.chunks(1) {
                appends.extend(intake.take(byte, Follows::More).unwrap());
            }
            appends.extend(intake.take(b"", Follows::Nothing).unwrap());
            let kinds: Vec<Content> = appends.iter().map(|append| append.content.clone()).collect();
            (
                kinds,
                appends.into_iter().flat_map(|append| append.bytes.to_vec()).collect::<Vec<u8>>(),
            )
        };
        // The name of a column may begin so.
        let csv = Content { format: Format::Csv, header: Some(b"{a}".as_slice().into()) };
        assert_eq!(taken(Format::Csv, b"{a}\n1\n"), (vec![csv], b"1\n".to_vec()));
        // Lines that are no objects are dead letters then.
        let (kinds, bytes) = taken(Format::Ndjson, b"\xef\xbb\xbf[1]\n{}");
        let json = Content { format: Format::Ndjson, header: None };
        assert_eq!((kinds, bytes.as_slice()), (vec![json; 2], &b"[1]\n{}\n"[..]));
        assert!(taken(Format::Ndjson, b"").1.is_empty());
    }

    #[test]
    fn blanks_before_the_first_record_are_not_kept() {
        for format in [None, Some(Format::Ndjson)] {
            let mut intake = Intake::new(1000, format);
            let mut take = |bytes: &[u8]| {
                let appends = intake.take(bytes, Follows::More).unwrap();
                (appends, intake.buffer.len())
            };
            take(b" \n\xef\xbb\xbf");
            for _ in 0..3 {
                let (appends, kept) = take(&[b' '; 1000]);
                assert!(appends.is_empty() && kept <= 3, "{kept} bytes are kept");
            }
            let (appends, _) = take(b"\n{\"a\":1}\n");
            assert_eq!(**appends[0].bytes, *b"{\"a\":1}\n");
        }
    }
}
