//! A FastCGI request of one server's check, and what its answer says (FastCGI specification 1.0, sections 3 to 6).

use super::probe::Verdict;
use crate::written::Expected;

const VERSION: u8 = 1;
const BEGIN_REQUEST: u8 = 1;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
/// The header of a record: version, type, request id, content length, padding length and a reserved byte.
const HEADER: usize = 8;
/// No record holds more.
const MOST: usize = 0xffff;
/// The role of a responder, and that the connection is closed after the request.
const RESPONDER: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 0];

/// What is asked where no `check_fastcgi_param` says otherwise.
const DEFAULT: [(&[u8], &[u8]); 3] =
    [(b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/"), (b"SCRIPT_FILENAME", b"index.php")];

/// A request without a body.
pub(super) fn request(params: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut pairs = Vec::new();
    let mut add = |name: &[u8], value: &[u8]| {
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(length) if length < 128 => pairs.push(length),
                // Four bytes, of which the first bit says so.
                _ => pairs.extend_from_slice(&(text.len() as u32 | 1 << 31).to_be_bytes()),
            }
        }
        pairs.extend_from_slice(name);
        pairs.extend_from_slice(value);
    };
    if params.is_empty() {
        DEFAULT.iter().for_each(|(name, value)| add(name, value));
    }
    params.iter().for_each(|(name, value)| add(name, value));
    let mut out = Vec::new();
    record(BEGIN_REQUEST, &RESPONDER, &mut out);
    pairs.chunks(MOST).for_each(|part| record(PARAMS, part, &mut out));
    record(PARAMS, &[], &mut out);
    record(STDIN, &[], &mut out);
    out
}

fn record(kind: u8, content: &[u8], out: &mut Vec<u8>) {
    let [high, low] = (content.len() as u16).to_be_bytes();
    out.extend_from_slice(&[VERSION, kind, 0, 1, high, low, 0, 0]);
    out.extend_from_slice(content);
}

/// The first record decides, as in Tengine. It has to be output, and if statuses are expected, a `Status` in it has to be
/// one of them. A record of the error stream before any output is a failure.
pub(super) fn verdict(answer: &[u8], expected: Option<Expected>) -> Verdict {
    let Some(header) = answer.get(..HEADER) else {
        return if VERSION == answer.first().copied().unwrap_or(VERSION) { Verdict::Open } else { Verdict::Bad };
    };
    let [VERSION, STDOUT, 0, 1, high, low, ..] = header else { return Verdict::Bad };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length == 0 {
        return Verdict::Bad;
    }
    let Some(output) = answer.get(HEADER..HEADER + length) else { return Verdict::Open };
    let Some(expected) = expected else { return Verdict::Good };
    let lines = output.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        name.eq_ignore_ascii_case(b"Status").then(|| value.get(1..).unwrap_or_default().trim_ascii_start())
    });
    let Some(status) = status else { return Verdict::Good };
    let number = status.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
    let is_good = number.and_then(|number| (number / 100).checked_sub(1)).and_then(|at| expected.get(at)).copied();
    if is_good.unwrap_or(false) { Verdict::Good } else { Verdict::Bad }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: Option<Expected> = Some([false, true, false, false, false]);

    fn output(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        record(STDOUT, text.as_bytes(), &mut out);
        out
    }

    #[test]
    fn a_request_is_a_beginning_parameters_and_an_empty_body() {
        let request = request(&[(b"A".to_vec(), b"bc".to_vec())]);
        let begin = [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let params = [1, 4, 0, 1, 0, 5, 0, 0, 1, 2, b'A', b'b', b'c', 1, 4, 0, 1, 0, 0, 0, 0];
        assert_eq!(request, [&begin[..], &params, &[1, 5, 0, 1, 0, 0, 0, 0]].concat());
        let long = super::request(&[(b"A".to_vec(), vec![b'x'; 70_000])]);
        assert_eq!(long.get(16..29), Some(&[1, 4, 0, 1, 0xff, 0xff, 0, 0, 1, 0x80, 1, 0x11, 0x70][..]));
        assert!(super::request(&[]).windows(24).any(|part| part == b"SCRIPT_FILENAMEindex.php"));
    }

    #[test]
    fn the_first_record_decides() {
        for (text, verdict) in [
            ("Status: 200 OK\r\n\r\n", Verdict::Good),
            ("status:204\nX: 1\n\n", Verdict::Good),
            ("X: 1\r\n\r\nStatus: 500\r\n", Verdict::Good),
            ("X: 1\r\nStatus: 404 Not Found\r\n\r\n", Verdict::Bad),
            ("Status: x\r\n\r\n", Verdict::Bad),
            ("Status: 999\r\n\r\n", Verdict::Bad),
            ("", Verdict::Bad),
        ] {
            assert_eq!(super::verdict(&output(text), GOOD), verdict, "{text:?}");
        }
        assert_eq!(super::verdict(&output("Status: 600\r\n\r\n"), None), Verdict::Good);
        let whole = output("Status: 200\r\n\r\n");
        assert!((0..whole.len()).all(|count| super::verdict(&whole[..count], GOOD) == Verdict::Open));
        let mut error = Vec::new();
        record(7, b"Primary script unknown", &mut error);
        assert_eq!(super::verdict(&error, GOOD), Verdict::Bad);
        assert_eq!(super::verdict(b"HTTP/1.1 400", GOOD), Verdict::Bad);
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in prop::collection::vec(any::<u8>(), 0..80)) {
            verdict(&answer, GOOD);
            let mut record = vec![1, STDOUT, 0, 1, 0, answer.len() as u8, 0, 0];
            record.extend_from_slice(&answer);
            verdict(&record, GOOD);
        }
    }
}
