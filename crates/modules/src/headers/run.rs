//! Adding headers to a response.

use limpet_http::phase::HeaderFilter;
use limpet_http::reply::{append_line, ends_line};
use limpet_http::{Request, Text};

/// One `add_header`.
pub struct AddHeader {
    pub name: String,
    pub value: Text,
    pub always: bool,
}

/// The statuses of responses that get a header without `always`.
const WITHOUT_ALWAYS: [u16; 10] = [200, 201, 204, 206, 301, 302, 303, 304, 307, 308];

impl HeaderFilter for AddHeader {
    fn append(&self, request: &Request, status: u16, lines: &mut Vec<u8>) {
        if !self.always && !WITHOUT_ALWAYS.contains(&status) {
            return;
        }
        let mut value = self.value.render(request);
        // A variable may have brought a line end along; it must not begin a header.
        value.retain(|byte| !ends_line(*byte));
        if !value.is_empty() {
            append_line(lines, self.name.as_bytes(), &value);
        }
    }
}
